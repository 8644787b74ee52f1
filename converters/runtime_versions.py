"""The oldest TFLite runtime that knows every operator of a file: entry `min_runtime_version`.

TFLite's converter writes this entry into each file: the greatest version over its operators,
as text in 16 bytes filled up with zeros. The numbers below are copied from its table in
https://github.com/google-ai-edge/LiteRT, tflite/converter/tools/versioning/runtime_version.cc.
"""

ENTRY = "min_runtime_version"
_BYTES = 16
# Operator: the runtime that brought its version 1, 2, 3...
_SINCE = {
    "ADD": "1.5.0 1.14.0 2.4.0 2.6.0 2.13.0 2.23.0",
    "ARG_MAX": "1.9.0 1.14.0 2.9.0",
    "CAST": "1.5.0 2.7.0 2.8.0 2.9.0 2.12.0 2.15.0 2.17.0 2.21.0",
    "CONCATENATION": "1.5.0 1.14.0 2.3.0 2.14.0 2.21.0 2.23.0",
    "CONV_2D": "1.5.0 1.14.0 1.14.0 2.3.0 2.4.0 2.9.0 2.11.0 2.15.0",
    "DEPTHWISE_CONV_2D": "1.5.0 1.12.0 1.14.0 2.2.0 2.3.0 2.3.0 2.11.0",
    "DEQUANTIZE": "1.13.1 1.14.0 1.15.0 2.2.0 2.7.0 2.18.0 2.21.0 2.22.0",
    "DIV": "1.6.0 2.3.0",
    "FLOOR": "1.9.0",
    "FULLY_CONNECTED": (
        "1.5.0 1.10.0 1.14.0 1.14.0 2.0.0 2.1.0 2.3.0 2.3.0 2.3.0 2.11.0 2.15.0 2.17.0 2.18.0 2.21.0"
    ),
    "MAX_POOL_2D": "1.5.0 1.14.0 2.3.0",
    "MEAN": "1.6.0 1.14.0 2.4.0",
    "MINIMUM": "1.14.0 1.14.0 2.3.0 2.3.0",
    "MUL": "1.5.0 1.14.0 1.15.0 2.3.0 2.6.0 2.11.0 2.13.0 2.23.0",
    "PAD": "1.5.0 1.14.0 2.4.0 2.6.0 2.20.0",
    "QUANTIZE": "1.14.0 1.15.0 2.7.0 2.21.0 2.21.0 2.21.0",
    "RESHAPE": "1.5.0",
    "SUB": "1.6.0 1.14.0 2.3.0 2.4.0 2.5.0",
    "SUM": "1.10.0 1.15.0",
}


def oldest(codes) -> str | None:
    """The oldest runtime that knows all of `codes`.

    Args:
        codes: Iterable of (operator, version).

    Returns:
        Its version, or None if one of the operators is not in the table: no number is better
        than one that is too low.

    Example:

    >>> oldest([("MUL", 1), ("CONV_2D", 3)])
    '1.14.0'
    >>> oldest([("MUL", 1), ("CONV_2D", 99)])
    """
    found = []
    for operator, version in codes:
        since = _SINCE.get(operator, "").split()
        if not 0 < version <= len(since):
            return None
        found.append(since[version - 1])
    return max(found, key=lambda text: [int(part) for part in text.split(".")], default=None)


def entry(codes) -> dict[str, bytes]:
    """The metadata entry of a file with these (operator, version); empty if not known."""
    version = oldest(codes)
    return {ENTRY: version.encode("ascii").ljust(_BYTES, b"\0")} if version else {}
