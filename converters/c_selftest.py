"""The self-test of a generated network: what every layer must leave of one input, by the reference."""

import dataclasses
import math

import numpy as np

from keras_gxnor import reference
from keras_gxnor.converters import planes
from keras_gxnor.converters.text import float_literal
from keras_gxnor.errors import UnsupportedGraphError

_MOST_LOGITS = 256  # that the self-test keeps on the stack, 1 kB
_START = 2166136261  # the FNV-1a digest of nothing


@dataclasses.dataclass(frozen=True)
class Check:
    """One layer's digest: the C arguments of what goes into it, and what must come out.

    The tables go in before the values: a damaged weight is seen even where it changes
    no value of this input.
    """

    parts: list[tuple[str, str]]  # (digest function, arguments)
    expected: str


def build(graph, prefix, program, scratch) -> dict:
    """The digests and logits that the self-test's input gives.

    Args:
        graph: The canonical `Graph`.
        prefix: Of all symbols.
        program: Its `Program`.
        scratch: Callable: number of a buffer -> its place in C.

    Returns:
        `checks`: one `Check` or None a call; `logits`: for each output literals, or None if they
        are more than the stack should hold: then its sums alone are compared.

    Raises:
        UnsupportedGraphError: if logits overflow float32.
    """
    x = tuple(
        noise(math.prod(op.shape)).view(op.spec.dtype).reshape(1, *op.shape) for op in graph.inputs
    )
    trace = reference.run(graph, x if len(x) > 1 else x[0], trace=True)
    checks = [_check(call, f"{prefix}_{call.symbol}", trace, scratch) for call in program.calls]
    return {"checks": checks, "logits": [_logits(graph.nodes[index], trace) for index in graph.outputs]}


def _check(call, name, trace, scratch):
    made = call.made
    if made.form == "float" or not call.whole:
        return None
    parts, digest = [], _START
    for table in call.tables:
        if isinstance(table.values, str):
            continue
        label = f"{name}_{table.suffix}"
        cast = "(const uint32_t GXNOR_ROM *)" if table.ctype == "int32_t" else ""
        words = "gxnor_digest_rom" if table.rom else "gxnor_digest"
        function = "gxnor_digest_u8" if table.ctype == "uint8_t" else words
        parts.append((function, f"{cast}{label}, {table.values.size}"))
        values = table.values.reshape(-1)
        digest = fnv(digest, values if table.ctype == "uint8_t" else values.view(np.uint32))
    left = stored(trace[made.node][0], made)
    if made.form == "u8":
        parts.append(("gxnor_digest_bytes", f"(const uint8_t *)({scratch(made.buffer)}), {left.size}"))
    else:
        parts.append(("gxnor_digest", f"{scratch(made.buffer)}, {left.size}"))
    return Check(parts, f"0x{fnv(digest, left):08x}u")


def stored(values, made) -> np.ndarray:
    """A node's values as the words, or bytes, that the call leaves in the scratch."""
    if made.form == "u8":
        return (values.reshape(-1).astype(np.int64) & 0xFF).astype(np.uint8)
    if made.form == "sums":
        return values.astype(np.int32).view(np.uint32).reshape(-1)
    return planes.pack(values.reshape(-1, made.channels), made.planes).reshape(-1)


def _logits(node, trace) -> list[str] | None:
    logits = trace[node.name].astype(np.float32).reshape(-1)
    if not np.isfinite(logits).all():
        raise UnsupportedGraphError(
            f"Node `{node.name}`: the logits overflow float32; scale them down. Received: {logits}"
        )
    return [float_literal(value) for value in logits] if logits.size <= _MOST_LOGITS else None


def noise(size) -> np.ndarray:
    """The bytes of gxnor_noise: uint8 of shape (size,)."""
    state, result = 1, bytearray(size)
    for i in range(size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        result[i] = state >> 24
    return np.frombuffer(bytes(result), np.uint8)


def fnv(digest, numbers) -> int:
    """32-bit FNV-1a over words or bytes, as gxnor_digest.

    >>> hex(fnv(2166136261, np.array([1], np.uint32)))
    '0x40c5b8c'
    """
    for number in numbers.tolist():
        digest = ((digest ^ number) * 16777619) & 0xFFFFFFFF
    return digest
