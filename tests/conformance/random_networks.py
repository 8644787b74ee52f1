"""Random networks as short programs, which hypothesis can draw, shrink and print.

    python -m tests.conformance.random_networks 'Program(seed=..., ...)'

builds the network that a failed test has printed, and compares it on every runtime; with
another argument `c`, in C (and then one for the form of the weights).
"""

import collections
import dataclasses
import re
import sys

import numpy as np
from hypothesis import strategies as st

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import c_source, host, interpreters, tflite, verification
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.samples import Chain, inputs, same

_LARGEST = 4000  # values of a tensor: tests stay fast
SPECS = (
    g.InputSpec("uint8", 1 / 128, 128),
    g.InputSpec("uint8", 1 / 255, 0),
    g.InputSpec("int8", 1 / 64, -5),
    g.InputSpec("int8", 1.0, 0),
)


@dataclasses.dataclass(frozen=True)
class Program:
    """A network: `steps` are applied in order; one that does not fit is left out.

    A step is (name, five numbers), each number taken modulo what there is to choose from.
    """

    seed: int
    shape: tuple
    spec: int
    steps: tuple
    logits: int = 1
    end: int = 0


def programs(only_c=False):
    """Strategy of `Program`s; `only_c`: with what C alone can do, or need not be tried elsewhere."""
    names = st.sampled_from(sorted({**_STEPS, **_C_STEPS} if only_c else _STEPS))
    steps = st.tuples(names, *[st.integers(0, 11)] * 5)
    sizes = st.integers(1, 9)
    shape = st.one_of(st.tuples(st.integers(1, 70)), st.tuples(sizes, sizes, st.integers(1, 5)))
    return st.builds(
        Program,
        st.integers(0, 99),
        shape,
        st.integers(0, len(SPECS) - 1),
        st.lists(steps, max_size=9).map(tuple),
        st.integers(0, 2),
        st.integers(0, len(_ENDS) - 1) if only_c else st.just(0),
    )


def build(program: Program) -> g.Graph:
    """The graph of a program; its constants depend on the seed alone."""
    chain = Chain("random", program.shape, SPECS[program.spec], program.seed)
    for name, *numbers in program.steps:
        {**_STEPS, **_C_STEPS}[name](chain, *numbers)
    _ENDS[program.end](chain, 1 + program.seed % 5)
    return chain.logits(program.logits).graph()


def mismatches(graph, images=6) -> dict:
    """{runtime: samples that differ from the reference}."""
    x = inputs(graph, images)
    truth, model = reference.run(graph, x), tflite.emit(graph, "random").main
    if truth.dtype != np.float32:  # sums, which the file gives as floats
        truth = truth.astype(np.float32)
    return {
        kernels: verification.count_mismatches(interpreters.run(model, x, kernels), truth)[0]
        for kernels in interpreters.KERNELS
    }


def c_failures(programs, weights="2bit") -> tuple[list, collections.Counter]:
    """(programs whose C differs from the reference, how often each kernel is called).

    All are compiled in one file, which takes less time than alone.
    """
    graphs = [build(program) for program in programs]
    artifacts = [c_source.emit(graph, f"random{i}", weights=weights) for i, graph in enumerate(graphs)]
    library, failed, kernels = host.Library(artifacts, flags=("-O1",)), [], collections.Counter()
    for program, graph, artifact in zip(programs, graphs, artifacts):
        x = inputs(graph, 6)
        layers = rf"^static void {artifact.name}_\w+\([^)]*\)\n{{\n    (gxnor_\w+)\("
        kernels.update(re.findall(layers, artifact.main.decode(), re.MULTILINE))
        if library.selftest(artifact) or not same(library.run(artifact, x), graph, x):
            failed.append(program)
    return failed, kernels


def shrunk(program, fails) -> Program:
    """The program without the steps that it also fails without."""
    for index in reversed(range(len(program.steps))):
        steps = program.steps[:index] + program.steps[index + 1 :]
        fewer = dataclasses.replace(program, steps=steps)
        program = fewer if fails(fewer) else program
    return program


def _fits(chain):
    """Whether an int8 operator can read the codes here."""
    t = chain.type
    return t.kind == "code" and (chain.here == 0 or max(-t.low.min(), t.high.max()) <= 127)


def _image(chain):
    return len(chain.type.shape) == 3


def _step_after(chain, order, flip):
    """A step of a space that the program chooses; ternary most often."""
    space = DiscreteSpace((1, 1, 0, 1, 2, 1, 1, 3)[order % 8])
    extreme = order == 11 and space.order == 1
    chain.step(flip=flip / 11, space=space, extreme=extreme)


def _window(chain, size, stride, same):
    height, width, _ = chain.type.shape
    pair = (1 + size % min(4, height), 1 + (size // 2) % min(4, width))
    return pair, 1 + stride % 2, "same" if same % 2 else "valid"


def _conv(chain, filters, size, stride, order, flip):
    if not _image(chain) or not _fits(chain):
        return
    pair, strides, padding = _window(chain, size, stride, stride // 2)
    channels = chain.type.shape[-1]
    groups = channels if filters == 11 else 1
    dilation = 2 if size == 11 and max(pair) > 1 and padding == "same" and strides == 1 else 1
    chain.conv((1 + filters) * groups if groups == 1 else groups, pair, strides, padding, dilation, groups)
    if order == 9:
        chain.pool(1 + size % min(2, *chain.type.shape[:2]))
    _step_after(chain, order, flip)


def _dense(chain, units, order, flip, zeros, _):
    if not _fits(chain):
        return
    if _image(chain):
        chain.conv(1 + units, (1, 1), zeros=zeros / 11)
    else:
        chain.dense(1 + 3 * units, zeros=zeros / 11)
    _step_after(chain, order, flip)


def _averaged_conv(chain, filters, size, stride, order, flip):
    """kernel -> sum pool -> step."""
    if not _image(chain) or not _fits(chain) or min(chain.type.shape[:2]) < 4:
        return
    chain.conv(1 + filters, 1 + size % 3).average(2, 1 + stride % 2)
    _step_after(chain, order, flip)


def _max(chain, size, stride, same, *_):
    if _image(chain):
        pair, strides, padding = _window(chain, size, stride, same)
        chain.pool(pair, strides, padding)


def _sum(chain, size, stride, same, *_):
    if _image(chain):
        pair, strides, padding = _window(chain, size, stride, same)
        chain.average(pair, strides, padding)


def _global(chain, *_):
    if _image(chain):
        chain.average(None)


def _flat(chain, *_):
    if _image(chain) and np.prod(chain.type.shape) < _LARGEST:
        chain.flatten()


def _again(chain, order, flip, *_):
    """A step of codes."""
    if _fits(chain):
        _step_after(chain, order, flip)


def _pad(chain, top, bottom, left, right, _):
    if _image(chain) and np.prod(chain.type.shape) < _LARGEST:
        chain.add(g.Pad2D(((top % 3, bottom % 3), (left % 3, right % 3))))


def _earlier(chain, back, agree):
    """The node that `back` chooses of those that could be merged with this one, or None."""
    here = chain.type
    found = [
        i
        for i, t in enumerate(chain._types)
        if t.kind == "code" and agree(t.shape, here.shape) and (i > 0) == (chain.here > 0)
    ]
    return found[back % len(found)] if found else None


def _add(chain, back, *_):
    other = _earlier(chain, back, lambda a, b: a == b)
    if other is not None:
        chain.plus(other)


def _join(chain, back, *_):
    other = _earlier(chain, back, lambda a, b: a[:-1] == b[:-1])
    if other is not None and np.prod(chain.type.shape) < _LARGEST:
        chain.join(other)


def _shape(chain, *_):
    if _image(chain):
        height, width, channels = chain.type.shape
        chain.add(g.Reshape((width, height, channels)))


_STEPS = {
    "conv": _conv,
    "dense": _dense,
    "averaged_conv": _averaged_conv,
    "max": _max,
    "sum": _sum,
    "global": _global,
    "flat": _flat,
    "again": _again,
    "pad": _pad,
    "add": _add,
    "join": _join,
    "shape": _shape,
}


# Of C alone: grouped convolutions, weights of several digits, layers wider than a word.


def _weights(order):
    return DiscreteSpace((2, 1, 0, 3)[order % 4])


def _grouped(chain, groups, filters, size, order, flip):
    channels = chain.type.shape[-1]
    found = [n for n in range(2, channels + 1) if channels % n == 0]
    if not _image(chain) or not _fits(chain) or not found:
        return
    depthwise = groups % 3 == 0
    count = channels if depthwise else found[groups % len(found)]
    pair, strides, padding = _window(chain, size, size // 4, size // 2)
    total = count if depthwise else count * (1 + filters % 4)
    chain.conv(total, pair, strides, padding, groups=count, space=_weights(order))
    if order % 4 == 2:
        chain.relu()
    else:
        _step_after(chain, order, flip)


def _many_groups(chain, zeros, relu, order, flip, _):
    """So many groups that they are not counted in tiles."""
    if not _image(chain) or not _fits(chain) or np.prod(chain.type.shape[:2]) > 40:
        return
    chain.conv(96, (1, 1), zeros=zeros / 11).step().conv(96, (1, 1), groups=32)
    if relu % 2:
        chain.relu()
    else:
        _step_after(chain, order, flip)


def _digits(chain, filters, size, space, order, flip):
    if not _fits(chain):
        return
    if _image(chain):
        pair, strides, padding = _window(chain, size, size // 4, size // 2)
        chain.conv(1 + filters, pair, strides, padding, space=_weights(space))
    else:
        chain.dense(1 + 3 * filters, space=_weights(space))
    _step_after(chain, order, flip)


def _broad(chain, channels, order, flip, zeros, _):
    if not _fits(chain) or np.prod(chain.type.shape[:-1]) > 40:
        return
    count = (31, 32, 33, 40, 63, 64, 65, 96, 97, 100, 128, 129)[channels]
    if _image(chain):
        chain.conv(count, (1, 1), zeros=zeros / 11)
    else:
        chain.dense(count, zeros=zeros / 11)
    _step_after(chain, order, flip)


def _sign(chain, *_):
    signs = chain.rng.choice(np.array([-1, 1], np.int8), chain.type.shape[-1])
    chain.add(g.Sign(signs))


def _relu(chain, filters, size, levels, stages, extreme):
    """A kernel of trits or int8, at times a pool, and a ReLU or a ternary step; or a ReLU of codes."""
    most = np.abs([chain.type.low, chain.type.high]).max()
    space = 127 if filters % 3 == 0 and most * 127 * np.prod(chain.type.shape) < 1 << 24 else None
    if most * np.prod(chain.type.shape) >= 1 << 24:
        return
    if _image(chain) and size:
        pair, strides, padding = _window(chain, size, size // 4, size // 2)
        groups = chain.type.shape[-1] if filters == 11 else 1
        count = groups if groups > 1 else 1 + 3 * filters
        chain.conv(count, pair, strides, padding, groups=groups, space=space)
        if stages % 3 == 0:
            chain.pool(1 + size % min(2, *chain.type.shape[:2]))
    elif size:
        chain.dense(1 + 3 * filters, space=space)
    if stages == 10 and size:
        chain.step(flip=0.5)
    else:
        levels = (255, 255, 15, 1, 100, 255)[levels % 6]
        chain.relu(levels, 1 + stages % 2, falling=stages / 11, extreme=extreme == 11)


_C_STEPS = {
    "grouped": _grouped,
    "many": _many_groups,
    "digits": _digits,
    "broad": _broad,
    "sign": _sign,
    "relu": _relu,
}


def _end(chain, outputs):
    if _image(chain):
        chain.conv(outputs, (1, 1))
    else:
        chain.dense(outputs)


def _end_many(chain, outputs):
    """Sums of so many outputs that they are counted in tiles."""
    _end(chain, 14 + 9 * outputs)


def _end_codes(chain, _):
    """The codes themselves are the logits."""


def _end_pool(chain, outputs):
    """The largest of sums."""
    _end(chain, outputs)
    if _image(chain):
        chain.pool((min(2, chain.type.shape[0]), min(2, chain.type.shape[1])))


def _end_groups(chain, _):
    """Few filters of many channels: groups that are not counted in tiles."""
    channels = chain.type.shape[-1]
    if _image(chain):
        groups = next((n for n in range(2, channels + 1) if channels % n == 0), 1)
        chain.conv(groups, (1, 1), groups=groups)
    else:
        chain.dense(3)


def _end_average(chain, _):
    if _image(chain):
        chain.average(None)
    chain.add(g.Divide(7))


def _end_bytes(chain, outputs):
    """A dense layer of int8."""
    chain.flatten() if _image(chain) else None
    most = np.abs([chain.type.low, chain.type.high]).max()
    chain.dense(outputs, space=127 if most * 127 * chain.type.shape[0] < 1 << 24 else None)


_ENDS = (_end, _end_many, _end_codes, _end_pool, _end_groups, _end_average, _end_bytes)


if __name__ == "__main__":
    drawn = eval(sys.argv[1], {"Program": Program})
    found = build(drawn)
    for node in found.nodes:
        print(node.name, node.inputs, node.op)
    print({"c": c_failures([drawn], *sys.argv[3:])[0]} if sys.argv[2:3] == ["c"] else mismatches(found, 64))
