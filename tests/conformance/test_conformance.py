"""Every sample graph on every back end equals the reference, integer for integer.

The logits are exact functions of the last layer's integers; the C self-test, which runs
here too, compares every layer's output with the reference by digest.
"""

import dataclasses
import math

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import c_source, convert, emulator, host, tflite, tflm, verification, verify
from keras_gxnor.errors import VerificationError
from tests.conformance import samples
from tests.conformance.chain import TERNARY
from tests.conformance.samples import SAMPLES, inputs

IMAGES = 12
LITE = [name for name, (target, _) in verification.BACKENDS.items() if target == "tflite"]


def _report(graph, artifact, names):
    return verify(graph, artifact, inputs(graph, IMAGES), names)


def test_the_samples_cover_what_they_should():
    assert len(SAMPLES) >= 60
    graphs = [build() for build in SAMPLES.values()]
    ops = [node.op for graph in graphs for node in graph.nodes]
    channels = {op.kernel.shape[-1] for op in ops if isinstance(op, (g.Dense, g.Conv2D))}
    assert min(channels) == 1 and max(channels) >= 100
    assert any(isinstance(op, g.Threshold) and op.flipped.any() for op in ops)
    assert {op.padding for op in ops if isinstance(op, g.Conv2D)} == {"same", "valid"}
    assert any(isinstance(op, g.Conv2D) and max(op.strides) > 1 for op in ops)
    assert any(isinstance(op, g.Conv2D) and op.groups > 1 for op in ops)


@pytest.mark.parametrize("name", SAMPLES)
def test_tflite(name):
    graph = SAMPLES[name]()
    report = _report(graph, tflite.emit(graph, name), LITE)
    assert report.ok, report
    assert report.images == dict.fromkeys(LITE, IMAGES) and len(LITE) == 4


def _reaching(kernel_size, signs, first):
    """(graph, inputs): every sum from -kernel_size to kernel_size in every channel of a kernel.

    The inputs become trits first; all columns of the kernel are one pattern, up to a sign.
    """
    chain = samples.Chain(f"every_{kernel_size}", first)
    channels = first[-1]
    steps = np.tile(np.array([[0, 1]], np.int32), (channels, 1))  # of q - 128
    chain.add(g.Threshold(steps, np.zeros(channels, bool), TERNARY))
    pattern = chain.rng.choice(np.array([-1, 1], np.int8), size=kernel_size)
    kernel = pattern[:, None] * signs
    if len(first) == 1:
        chain.add(g.Dense(kernel))
    else:
        chain.add(g.Conv2D(kernel.reshape(*first, -1)))
    sums = np.arange(-kernel_size, kernel_size + 1)
    order = np.argsort(chain.rng.random((len(sums), kernel_size)), axis=1)
    trits = np.where(order < np.abs(sums)[:, None], np.sign(sums)[:, None] * pattern, 0)
    chain.step(flip=0.5)
    center = chain.rng.integers(-kernel_size, kernel_size, len(signs))
    width = chain.rng.integers(0, kernel_size, len(signs)) * (np.arange(len(signs)) % 3)
    op = chain.nodes[-1].op
    steps = np.stack([center, center + width // 2], 1).astype(np.int32)
    chain.nodes[-1] = dataclasses.replace(chain.nodes[-1], op=dataclasses.replace(op, thresholds=steps))
    if len(first) == 3:
        chain.flatten()
    chain.add(g.Dense(np.eye(len(signs), dtype=np.int8)))
    chain.logits()
    return chain.graph(), np.uint8(128 + trits).reshape(-1, *first), sums


@pytest.mark.parametrize("first", [(64,), (300,), (1152,), (3, 3, 128)])
def test_every_accumulator(first):
    kernel_size = math.prod(first)
    signs = np.where(np.arange(24) % 2, -1, 1).astype(np.int8)
    graph, x, sums = _reaching(kernel_size, signs, first)
    kernel = next(n.name for n in graph.nodes[2:] if isinstance(n.op, (g.Dense, g.Conv2D)))
    reached = reference.run(graph, x, trace=True)[kernel].reshape(len(x), -1)
    assert np.array_equal(reached, sums[:, None] * signs)  # all of them, in all channels
    artifact = tflite.emit(graph, "every")
    report = verify(graph, artifact, x, LITE)
    assert report.ok and report.images == dict.fromkeys(LITE, 2 * kernel_size + 1), report


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("name", SAMPLES)
def test_tf_lite(name, weights):
    """The interpreter that ships with TensorFlow, with its default delegate."""
    import tensorflow as tf

    graph = SAMPLES[name]()
    x, made = inputs(graph, IMAGES), []
    x = x if isinstance(x, tuple) else (x,)
    interpreter = tf.lite.Interpreter(model_content=tflite.emit(graph, name, weights).main)
    fed, ends = interpreter.get_input_details(), interpreter.get_output_details()
    for one, part in zip(fed, x, strict=True):
        interpreter.resize_tensor_input(one["index"], part.shape)
    interpreter.allocate_tensors()
    for one, part in zip(fed, x):
        interpreter.set_tensor(one["index"], part)
    interpreter.invoke()
    made = tuple(interpreter.get_tensor(one["index"]) for one in ends)
    truth = reference.run(graph, x if len(x) > 1 else x[0])
    assert verification.count_mismatches(made, truth) == (0, 0)


# Every third, to save time, and some of each kind: several inputs and outputs, more than three states.
IN_TFLM = ["two_inputs_joined", "two_outputs", "same_sums_twice", "z2_weights", "z4_dense"]
IN_TFLM = list(dict.fromkeys([*list(SAMPLES)[::3], *IN_TFLM]))


@pytest.mark.parametrize("name", IN_TFLM)
def test_tflm(name):
    """TFLite Micro gives every bit in the smallest arena that holds the network."""
    artifact = tflm.emit(SAMPLES[name](), name)  # compares the bits of its test vectors
    assert 1000 < artifact.sizes["arena_measured"] < artifact.sizes["arena"]
    assert artifact.main == tflite.emit(SAMPLES[name](), name).main


@pytest.mark.parametrize("name", ["cnn_mnist_like", "cnn_100_channels"])
def test_tflm_weights(name):
    """Fewer bits a weight cost arena, by what is unpacked at once; exact in each form."""
    graph, made = SAMPLES[name](), {}
    for form in [("int8", None), ("int4", None), ("decode", None), ("decode", 2000)]:
        made[form] = artifact = tflm.emit(graph, name, *form)
        report = verify(graph, artifact, inputs(graph, IMAGES), ["tflite_micro"])
        assert report.ok and report.images == {"tflite_micro": IMAGES}, report
    flash = [len(artifact.main) for artifact in made.values()]
    arenas = [artifact.sizes["arena_measured"] for artifact in made.values()]
    assert flash[0] > flash[1] > flash[2] and arenas[0] < min(arenas[1:])
    kernels = sum(isinstance(node.op, (g.Dense, g.Conv2D)) for node in graph.nodes)
    assert flash[2] < flash[3] < flash[0] and arenas[3] < arenas[2]
    parts, whole = (made["decode", split].sizes["decoded_largest"] for split in (2000, None))
    assert parts <= 2000 < whole and arenas[2] - arenas[0] <= whole + 250 * kernels


@pytest.mark.parametrize("options", [{"inputs": "float32"}, {"outputs": "argmax"}])
@pytest.mark.parametrize("name", ["two_inputs_added", "two_outputs", "z2"])
def test_tflm_ends(name, options):
    graph = SAMPLES[name]()
    artifact = tflm.emit(graph, name, **options)
    report = verify(graph, artifact, inputs(graph, IMAGES), LITE)
    assert report.ok and report.images == dict.fromkeys(LITE, IMAGES), report
    assert artifact.main == tflite.emit(graph, name, **options).main


# All samples at once run in test_host, test_emulator and test_trace; alone every sixth, the rest is slow.
IN_C = [pytest.param(n, marks=[pytest.mark.slow] * (i % 6 > 0)) for i, n in enumerate(SAMPLES)]


@pytest.mark.parametrize("name", IN_C)
def test_c(name):
    graph = SAMPLES[name]()
    artifact = c_source.emit(graph, name)
    report = _report(graph, artifact, ["c_host", "c_cortex_m4"])
    assert report.ok, report
    assert report.images == {"c_host": IMAGES, "c_cortex_m4": IMAGES}
    assert report.cost.scratch_bytes == artifact.sizes["scratch"]
    assert host.selftest(artifact) == 0
    assert emulator.selftest(artifact) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", samples.MIXED)
def test_c_of_mixed_networks(name):
    """On three kinds of cores, in tiles of 8 to 256 channels, with weights in either format."""
    graph = samples.MIXED[name]()
    artifact = c_source.emit(graph, name)
    x = inputs(graph, 3)
    for core in ("cortex-m4", "cortex-m0", "rv32imc"):
        logits, cost = emulator.run(artifact, x, core)
        assert samples.same(logits, graph, x) and emulator.selftest(artifact, core) == 0, core
        assert cost.scratch_bytes == artifact.sizes["scratch"]
    x = inputs(graph, IMAGES)
    assert samples.same(host.run(artifact, x), graph, x) and host.selftest(artifact) == 0
    for options in ({"lanes": 8}, {"lanes": 256}, {"weights": "1.67bit"}):
        other = c_source.emit(graph, name, **options)
        assert samples.same(host.run(other, x), graph, x) and host.selftest(other) == 0, options


def _damaged(graph):
    """The graph with one weight of its last kernel turned."""
    nodes = list(graph.nodes)
    index = max(i for i, n in enumerate(nodes) if isinstance(n.op, (g.Dense, g.Conv2D)))
    kernel = nodes[index].op.kernel.copy()
    kernel.flat[0] = -1 if kernel.flat[0] == 1 else 1
    op = dataclasses.replace(nodes[index].op, kernel=kernel)
    nodes[index] = dataclasses.replace(nodes[index], op=op)
    return dataclasses.replace(graph, nodes=tuple(nodes))


@pytest.mark.parametrize("backend", verification.BACKENDS)
def test_a_broken_back_end_fails(backend):
    """One wrong weight, or logits off by one bit, on each back end alone."""
    graph = SAMPLES["cnn_small"]()
    target, run = verification.BACKENDS[backend]
    emit = {"tflite": tflite.emit, "c": c_source.emit, None: c_source.emit}[target]
    x = inputs(graph, IMAGES)
    truth = reference.run(graph, x)
    good, _ = run(emit(graph, "good"), x)
    bad, _ = run(emit(_damaged(graph), "bad"), x)
    assert verification.count_mismatches(good, truth) == (0, 0)
    assert verification.count_mismatches(bad, truth)[0] > 0
    nudged = good.copy()
    nudged[3, 2] = np.nextafter(nudged[3, 2], np.float32(np.inf))
    assert verification.count_mismatches(nudged, truth)[0] == 1


@pytest.mark.parametrize("target", ["tflite", "tflm", "c", "library"])
def test_convert_refuses_a_broken_emitter(target, monkeypatch, tmp_path):
    import keras_gxnor.converters as converters

    emit = converters.TARGETS[target]
    graph = SAMPLES["cnn_small"]()

    def broken(graph, name):
        return dataclasses.replace(emit(_damaged(graph), name), graph=graph)

    monkeypatch.setitem(converters.TARGETS, target, broken)
    with pytest.raises(VerificationError, match="NOT equal"):
        convert(graph, target, name="broken").write(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert convert(graph, target, name="fine").write(tmp_path)


@pytest.mark.parametrize("target", ["tflite", "tflm", "c", "library"])
def test_same_graph_same_bytes(target):
    for name in ("cnn_small", "dense_extreme"):
        one, two = (convert(SAMPLES[name](), target, name=name, check=False) for _ in range(2))
        assert one.files == two.files
        assert one.summary()[next(iter(one.files))] == len(one.main)
