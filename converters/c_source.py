"""Graph -> one C header that a user can paste into any project.

The header holds const tables, a straight line of calls, and the runtime kernels those
calls need, copied from `runtime/`. The algorithms live there; here is only text.
"""

import dataclasses
import hashlib
import math
import pathlib
import re
import textwrap

import numpy as np

from keras_gxnor import graph as g
from keras_gxnor import reference, rewrites
from keras_gxnor.converters import c_emitters, memory
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.c_calls import input_bytes
from keras_gxnor.converters.names import comment, identifier
from keras_gxnor.converters.text import float_literal, rows, template
from keras_gxnor.errors import UnsupportedGraphError
from keras_gxnor.version import __version__

# Changes whenever a function in runtime/ changes its arguments or meaning.
_RUNTIME_VERSION = 1
_HERE = pathlib.Path(__file__).resolve().parent
_INCLUDE = re.compile(r'^#include "(\w+)\.h"\n', re.MULTILINE)
_TYPES = {"input": "const uint8_t *", "scratch": "uint32_t *", "logits": "float *"}
_CASTS = {"bytes": "(uint8_t *)({})", "trits": "{}", "sums": "(int32_t *)({})"}


def emit(graph: g.Graph, name: str) -> Artifact:
    """Generates the C header of a graph.

    Args:
        graph: The `Graph`; it is rewritten with `rewrites.canonical` first.
        name: What to call it, any string: made a C identifier, it is the stem of the
            file and the prefix of every symbol.

    Returns:
        An `Artifact` of one file `{name}.h`, the same bytes for the same graph. Its
        `sizes`, in bytes: `"weights"` (two bits each, input channels filled up to a
        multiple of 32), `"tables"` (all constants of the network, weights included) and
        `"scratch"` (RAM, room for the input included).

    Raises:
        UnsupportedGraphError: naming the node that ternary C cannot express.
        GraphError: if the graph is not sound.
        MissingExtraError: if jinja2 is not installed.
    """
    prefix = identifier(name)
    canonical = rewrites.canonical(graph)
    calls = c_emitters.calls(canonical)
    words = -(-math.prod(graph.input.shape) // 4)
    plan = memory.plan(words, [call.stage for call in calls])
    tables = [table for call in calls for table in call.tables]
    sizes = {
        "weights": sum(t.nbytes for t in tables if t.suffix == "weights"),
        "tables": sum(t.nbytes for t in tables),
        "scratch": 4 * plan.words,
    }
    layers = _layers(prefix, calls, plan)
    text = template("network.h.j2").render(
        version=__version__,
        runtime_version=_RUNTIME_VERSION,
        fingerprint=_fingerprint(graph, layers),
        prefix=prefix,
        macro=prefix.upper(),
        title=comment(graph.name),
        dtype=graph.input.spec.dtype,
        input_size=math.prod(graph.input.shape),
        input_shape="x".join(map(str, graph.input.shape)),
        input_scale=float_literal(graph.input.spec.scale),
        zero_point=graph.input.spec.zero_point,
        input_word=plan.input,
        output_size=calls[-1].size,
        layers=layers,
        runtime=_runtime(calls),
        selftest=_selftest(canonical, prefix, calls, plan),
        sizes=sizes,
    )
    notes = tuple(call.note for call in calls)
    return Artifact("c", prefix, graph, {f"{prefix}.h": text.encode("ascii")}, sizes, notes=notes)


def _fingerprint(graph, layers) -> str:
    """Eight hexadecimal digits that tell networks apart."""
    digest = hashlib.sha256(repr(graph.input).encode())
    for layer in layers:
        digest.update("".join([layer["code"], *(t["body"] for t in layer["tables"])]).encode())
    return digest.hexdigest()[:8]


def _layers(prefix, calls, plan) -> list[dict]:
    """What the template prints of every call."""
    layers = []
    source = "input"
    for index, call in enumerate(calls):
        name = f"{prefix}_{call.symbol}"
        out = _CASTS.get(call.writes, "logits").format(_place(plan.outputs[index]))
        temporary = _CASTS.get(call.reads, "").format(_place(plan.temporaries[index]))
        arguments = call.arguments.format(source=source, out=out, temp=temporary, name=name)
        tables = [_table(name, table) for table in call.tables]
        layers.append(
            {
                "name": name,
                "note": call.note,
                "out": out,  # for GXNOR_TRACE
                "tables": tables,
                "code": _wrapped(f"{call.kernel}({arguments});"),
                "parameters": ", ".join(_TYPES[n] + n for n in _names(call, index == 0)),
                "passes": ", ".join(_names(call, index == 0)),
            }
        )
        source = out
    return layers


def _place(word: int) -> str:
    return f"scratch + {word}" if word else "scratch"


def _names(call, first) -> list[str]:
    """The parameters of a layer's function: only what it uses."""
    if call.reads == "float":
        return ["logits"]
    if call.writes == "float":
        return ["scratch", "logits"]
    return ["input", "scratch"] if first else ["scratch"]


def _wrapped(statement: str) -> str:
    """A call broken into lines of at most 100 characters, at its spaces."""
    lines = textwrap.wrap(
        statement,
        width=96,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def _table(name, table) -> dict:
    """A table as C: its declaration, and its rows of numbers."""
    label = f"{name}_{table.suffix}"
    if isinstance(table.values, str):
        return {"head": f"static const {table.ctype} {label}", "body": f"\n    {table.values};"}
    values = table.values.reshape(-1)
    show = {"uint32_t": "0x{:08x}u".format, "int32_t": str, "float": float_literal}[table.ctype]
    per_line = {"uint32_t": 8, "int32_t": 12, "float": 6}[table.ctype]
    items = [show(value) for value in values.tolist()]
    return {
        "head": f"static const {table.ctype} GXNOR_FLASH {label}[{values.size}]",
        "body": " {\n    " + ",\n    ".join(rows(items, per_line)) + "\n};",
    }


def _runtime(calls) -> str:
    """The sources of the kernels in use, each after those it needs, in one string."""
    texts: dict[str, str] = {}

    def add(kernel):
        if kernel in texts:
            return
        text = (_HERE / "runtime" / f"{kernel}.h").read_text(encoding="ascii")
        for needed in _INCLUDE.findall(text):
            add(needed)
        text = text.split("\n", 1)[1]  # without the licence line: the header has its own
        text = _INCLUDE.sub("", text).replace("#include <stdint.h>\n", "")
        texts[kernel] = re.sub(r"\n{3,}", "\n\n", text)

    for call in calls:
        add(call.kernel)
        if call.writes == "bytes":
            add("gxnor_digest_u8")
    for kernel in ("gxnor_argmax", "gxnor_noise", "gxnor_digest"):
        add(kernel)
    return "\n".join(texts.values())


@dataclasses.dataclass(frozen=True)
class _Check:
    """One layer's digest: the C arguments of what goes into it, and what must come out.

    The tables go in before the values: a damaged weight is seen even where it changes
    no value of this input.
    """

    parts: list[tuple[str, str]]  # (digest function, arguments)
    expected: str


def _selftest(graph, prefix, calls, plan) -> dict:
    """The digests and logits that the self-test's input gives, by the reference."""
    spec, shape = graph.input.spec, graph.input.shape
    x = _noise(math.prod(shape)).view(spec.dtype).reshape(1, *shape)
    trace = reference.run(graph, x, trace=True)
    _, zero = input_bytes(spec)
    checks = []
    for call, start in zip(calls, plan.outputs):
        if call.writes == "float":
            continue
        parts, words = [], []
        for table in call.tables:
            if not isinstance(table.values, str):
                cast = "(const uint32_t *)" if table.ctype == "int32_t" else ""
                label = f"{prefix}_{call.symbol}_{table.suffix}"
                parts.append(("gxnor_digest", f"{cast}{label}, {table.values.size}"))
                words.append(table.values.reshape(-1).view(np.uint32))
        function, place = "gxnor_digest", _place(start)
        if call.writes == "bytes":
            function, place = "gxnor_digest_u8", f"(const uint8_t *)({place})"
        parts.append((function, f"{place}, {call.size}"))
        words.append(_as_stored(trace[call.node][0], call, zero))
        checks.append(_Check(parts, f"0x{_digest(np.concatenate(words)):08x}u"))
    last = graph.nodes[graph.outputs[0]]
    logits = trace[last.name].astype(np.float32).reshape(-1)
    if not np.isfinite(logits).all():
        raise UnsupportedGraphError(
            f"Node `{last.name}`: the logits overflow float32; scale them down. "
            f"Received: {logits}"
        )
    return {"checks": checks, "logits": [float_literal(value) for value in logits]}


def _noise(size) -> np.ndarray:
    """The bytes of gxnor_noise: uint8 of shape (size,)."""
    state, result = 1, bytearray(size)
    for i in range(size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        result[i] = state >> 24
    return np.frombuffer(bytes(result), np.uint8)


def _as_stored(values, call, zero) -> np.ndarray:
    """A node's values as the words (or bytes) that the call leaves in the scratch."""
    if call.writes == "sums":
        return values.astype(np.int32).view(np.uint32).reshape(-1)
    if call.writes == "bytes":
        return (values + zero).astype(np.uint8).reshape(-1)
    return memory.pairs(values.reshape(-1, call.channels)).reshape(-1)


def _digest(words) -> int:
    """32-bit FNV-1a over words, as gxnor_digest."""
    digest = 2166136261
    for word in words.tolist():
        digest = ((digest ^ word) * 16777619) & 0xFFFFFFFF
    return digest
