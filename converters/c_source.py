"""Graph -> one C header that a user can paste into any project.

The header holds const tables, a straight line of calls, and the runtime kernels those
calls need, copied from `runtime/`. The algorithms live there; here is only text.
"""

import hashlib
import math
import pathlib
import re
import textwrap

from keras_gxnor import graph as g
from keras_gxnor.converters import c_emitters, c_selftest, groups, relus, tiles
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.c_calls import LANES, POINTERS, Place, shape_text
from keras_gxnor.converters.names import comment, identifier
from keras_gxnor.converters.text import float_literal, rows, template
from keras_gxnor.errors import InvalidArgumentError, UnsupportedGraphError
from keras_gxnor.version import __version__

# Changes whenever a function in runtime/ changes its arguments or meaning.
_RUNTIME_VERSION = 5
_HERE = pathlib.Path(__file__).resolve().parent
_INCLUDE = re.compile(r'^#include "(\w+)\.h"\n', re.MULTILINE)
_SHOW = {"uint32_t": "0x{:08x}u".format, "uint8_t": "{:d}".format, "int32_t": str, "float": float_literal}
_PER_LINE = {"uint32_t": 8, "uint8_t": 20, "int32_t": 12, "float": 6}


def emit(graph: g.Graph, name: str, lanes: int = 32, weights: str = "2bit") -> Artifact:
    """Generates the C header of a graph.

    Args:
        graph: The `Graph`; it is rewritten with `relus.canonical` first.
        name: What to call it, any string: made a C identifier, it is the stem of the
            file and the prefix of every symbol.
        lanes: Output channels that are computed side by side: 32 for every 32-bit core, 8 for AVR,
            64 to 512 for vector units (128: Arm Helium, NEON, SSE; 256: AVX2; 512: AVX-512).
            The results are the same; narrow layers waste flash if it is large.
        weights: `"2bit"`, or `"1.67bit"`: three weights in five bits, in the hidden layers, for 32
            lanes. They take a sixth less flash, half as many instructions again, and about
            2 kB more code; the results are the same.

    Returns:
        An `Artifact` of one file `{name}.h`, the same bytes for the same graph. Its
        `sizes`, in bytes: `"weights"` (the outputs of a layer filled up to a multiple of
        `lanes`), `"weights_2bit"` and, for 32 lanes, `"weights_1.67bit"` (what they take with
        either option), `"tables"` (all constants of the network, weights included) and
        `"scratch"` (RAM, room for the inputs included).

    Raises:
        InvalidArgumentError: if there are no kernels for so many lanes, or no such weights.
        UnsupportedGraphError: naming the node that C has no exact form for.
        GraphError: if the graph is not sound.
        MissingExtraError: if jinja2 is not installed.
    """
    if not isinstance(lanes, int) or lanes not in tiles.LANES:
        raise InvalidArgumentError(f"`lanes` must be one of {tiles.LANES}. Received: lanes={lanes!r}")
    _check_weights(weights, lanes)
    prefix = identifier(name)
    canonical = relus.canonical(graph)
    program = c_emitters.program(canonical, lanes, groups.PLACES[weights])
    plan = program.plan()
    writer = _Writer(graph, prefix, program, plan)
    sizes = _sizes(canonical, program, weights, plan)
    layers = writer.layers()
    selftest = c_selftest.build(canonical, prefix, program, writer.scratch)
    text = template("network.h.j2").render(
        version=__version__,
        runtime_version=_RUNTIME_VERSION,
        lanes=lanes,
        places=program.places,
        weights=weights,
        fingerprint=_fingerprint(graph, layers),
        prefix=prefix,
        macro=prefix.upper(),
        title=comment(graph.name),
        inputs=writer.inputs,
        outputs=writer.outputs,
        layers=layers,
        runtime=_runtime(program.calls, selftest),
        selftest=selftest,
        sizes=sizes,
    )
    notes = tuple(call.note for call in program.calls)
    return Artifact("c", prefix, graph, {f"{prefix}.h": text.encode("ascii")}, sizes, notes=notes)


def _check_weights(weights, lanes):
    if not isinstance(weights, str) or weights not in groups.PLACES:
        raise InvalidArgumentError(
            f"`weights` must be one of {list(groups.PLACES)}. Received: weights={weights!r}"
        )
    if weights != "2bit" and lanes != 32:
        raise InvalidArgumentError(
            f"weights={weights!r} are made for 32 lanes: use lanes=32. Received: lanes={lanes}"
        )


def _sizes(canonical, program, weights, plan) -> dict[str, int]:
    """Bytes of a network whose weights are of the kind `weights`, and of those weights in the other kinds."""
    found = {weights: _weight_bytes(program)}
    for kind, places in groups.PLACES.items():
        if kind not in found and program.lanes == 32:
            try:
                found[kind] = _weight_bytes(c_emitters.program(canonical, program.lanes, places))
            except UnsupportedGraphError:
                continue  # which is said when it is asked for
    return {
        "weights": found[weights],
        **{f"weights_{kind}": found[kind] for kind in groups.PLACES if kind in found},
        "tables": sum(t.nbytes for call in program.calls for t in call.tables),
        "scratch": 4 * plan.words,
    }


def _weight_bytes(program) -> int:
    return sum(t.nbytes for call in program.calls for t in call.tables if t.suffix == "weights")


def _fingerprint(graph, layers) -> str:
    """Eight hexadecimal digits that tell networks apart."""
    digest = hashlib.sha256(repr(graph.inputs).encode())
    for layer in layers:
        digest.update("".join([layer["code"], *(t["body"] for t in layer["tables"])]).encode())
    return digest.hexdigest()[:8]


class _Writer:
    """The program as text: names of inputs and outputs, places in the scratch, one function a layer."""

    def __init__(self, graph, prefix, program, plan):
        self.prefix, self.program, self.plan = prefix, program, plan
        self.inputs, self.outputs = ends(graph)
        read = {place.buffer for call in program.calls for place in call.places}
        for index, end in enumerate(self.inputs):
            end["word"], end["read"] = plan.offsets[index], index in read

    def scratch(self, buffer: int) -> str:
        """A place in the scratch, uint32_t *."""
        offset = self.plan.offsets[buffer]
        return f"scratch + {offset}" if offset else "scratch"

    def layers(self) -> list[dict]:
        """What the template prints of every call."""
        return [self._layer(call) for call in self.program.calls]

    def _layer(self, call):
        name = f"{self.prefix}_{call.symbol}"
        arguments = ", ".join(self._argument(part, name) for part in call.arguments)
        used = self._parameters(call)
        return {
            "name": name,
            "note": call.note,
            "out": self._argument(call.made.place, name),  # for GXNOR_TRACE
            "output": -1 - call.made.buffer if call.made.buffer < 0 else None,
            "tables": [_table(name, table) for table in call.tables],
            "code": _wrapped(f"{call.kernel}({arguments});"),
            "parameters": ", ".join(kind + argument for argument, kind, _ in used),
            "passes": ", ".join(argument for argument, _, _ in used),
            "casts": ", ".join(cast + argument for argument, _, cast in used),
        }

    def _argument(self, part, name) -> str:
        if not isinstance(part, Place):
            return str(part).replace("{name}", name)
        if part.buffer < 0:
            return self.outputs[-1 - part.buffer]["name"]
        if part.pointer == POINTERS["bytes"]:
            return self.inputs[part.buffer]["name"]
        place = self.scratch(part.buffer)
        if part.pointer == "uint32_t *" or (part.pointer == LANES and self.program.lanes == 32):
            return place
        return f"({part.pointer})({place})"

    def _parameters(self, call) -> list[tuple[str, str, str]]:
        """(name, type, cast from the type in {prefix}_run) of only what the call uses."""
        places = call.places
        used = {place.buffer for place in places if place.pointer == POINTERS["bytes"]}
        found = [
            (end["name"], POINTERS["bytes"], "(const uint8_t *)" if end["dtype"] == "int8" else "")
            for index, end in enumerate(self.inputs)
            if index in used
        ]
        if any(p.buffer >= 0 and p.pointer != POINTERS["bytes"] for p in places):
            found.append(("scratch", "uint32_t *", ""))
        outputs = {-1 - place.buffer for place in places if place.buffer < 0}
        return found + [(self.outputs[i]["name"], "float *", "") for i in sorted(outputs)]


def ends(graph: g.Graph) -> tuple[list[dict], list[dict]]:
    """What C calls the inputs and the outputs: `input` and `logits`, or numbered if there are several.

    Returns:
        (inputs, outputs), a dict each: `name`, `suffix` of its macros, `size`; and of inputs
        `dtype`, `shape`, `scale` and `zero_point`.
    """
    types = graph.check()
    inputs = [
        {
            "suffix": suffix,
            "name": f"input{suffix}",
            "dtype": op.spec.dtype,
            "size": math.prod(op.shape),
            "shape": shape_text(op.shape),
            "scale": float_literal(op.spec.scale),
            "zero_point": op.spec.zero_point,
        }
        for op, suffix in zip(graph.inputs, _suffixes(graph.inputs))
    ]
    outputs = [
        {"suffix": suffix, "name": f"logits{suffix}", "size": math.prod(types[index].shape)}
        for index, suffix in zip(graph.outputs, _suffixes(graph.outputs))
    ]
    return inputs, outputs


def _suffixes(several) -> list[str]:
    """Nothing if there is one of them, else numbers from 1."""
    return [""] if len(several) == 1 else [str(i) for i in range(1, len(several) + 1)]


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
    place = "GXNOR_ROM GXNOR_FLASH" if table.rom else "GXNOR_FLASH"
    items = [_SHOW[table.ctype](value) for value in values.tolist()]
    return {
        "head": f"static const {table.ctype} {place} {label}[{values.size}]",
        "body": " {\n    " + ",\n    ".join(rows(items, _PER_LINE[table.ctype])) + "\n};",
    }


def _runtime(calls, selftest) -> str:
    """The sources of the functions in use, each after those it needs, in one string."""
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

    digests = [function for check in selftest["checks"] if check for function, _ in check.parts]
    for kernel in ("gxnor_rom", *(call.kernel for call in calls), *digests, "gxnor_argmax", "gxnor_noise"):
        add(kernel)
    add("gxnor_digest")
    return "\n".join(texts.values())
