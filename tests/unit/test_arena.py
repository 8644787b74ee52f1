"""The arena: the measured one works, less does not, and what crashes or differs is refused."""

import pathlib

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor.converters import arena, interpreters, readback, tflite, tflite_ends, tflm
from keras_gxnor.errors import ModelFileError, ToolError, VerificationError
from tests.conformance.samples import SAMPLES, Chain, inputs
from tests.unit.test_tflm import ENDS, NETS, made, number


def allocates(data, size):
    from tflite_micro.python.tflite_micro import runtime

    return runtime.Interpreter.from_bytes(data, arena_size=size)


@pytest.mark.parametrize("name", NETS)
def test_the_measured_arena_works_and_less_fails(name):
    data, measured = made(name).main, made(name).sizes["arena_measured"]
    x = inputs(NETS[name]())[:1]
    interpreter = allocates(data, measured)
    interpreter.set_input(x, 0)
    interpreter.invoke()
    assert (interpreter.get_output(0) == interpreters.run(data, x, "tflite_micro")).all()
    with pytest.raises(RuntimeError, match="failed to allocate"):
        allocates(data, measured - 16)
    assert measured % 16 == 0


@pytest.mark.parametrize("name", [name for name in ENDS if name not in ("floats", "label", "two_sums")])
def test_the_measured_arena_is_the_smallest(name, monkeypatch):
    """In a process of its own: in too small an arena kernels may crash."""
    graph, artifact = made(name).graph, made(name)
    codes, logits = tflm._vectors(graph)
    x = tflite_ends.fed(graph, codes, artifact.inputs)
    expected = tflite_ends.made(logits, artifact.outputs, interpreters.output_scales(artifact.main))
    measured = artifact.sizes["arena_measured"]
    monkeypatch.setattr(arena, "_LARGEST", measured)
    assert arena.measure(artifact.main, x, expected) == measured
    monkeypatch.setattr(arena, "_LARGEST", measured - 16)
    with pytest.raises(ToolError, match="refused the file"):
        arena.measure(artifact.main, x, expected)


def test_the_margin():
    artifact = made("cnn_small")
    scratch = 4 * -(-3 * 3 * 8 // 16) * 16  # four windows of 3 x 3 x 8 bytes, filled up
    assert artifact.sizes["arena"] == -(-(artifact.sizes["arena_measured"] + scratch + 512) // 16) * 16
    assert number(artifact, "kArenaSize") == artifact.sizes["arena"]
    assert number(artifact, "kArenaSizeMeasured") == artifact.sizes["arena_measured"]


def test_scratch_of_each_kernel():
    def step(name, x, kernel, y, dtype="int8"):
        return readback.Step(
            name, tuple(readback.Tensor(s, dtype, (), ()) for s in (x, kernel)),
            (readback.Tensor(y, dtype, (), ()),),
        )  # fmt: skip

    conv = step("CONV_2D", (1, 9, 9, 4), (8, 3, 3, 2), (1, 7, 7, 8))  # grouped: all channels count
    narrow = step("DEPTHWISE_CONV_2D", (1, 9, 9, 4), (1, 3, 3, 8), (1, 7, 7, 8))
    wide = step("DEPTHWISE_CONV_2D", (1, 9, 9, 400), (1, 3, 3, 400), (1, 7, 7, 400))
    sums = step("DEPTHWISE_CONV_2D", (1, 9, 9, 4), (1, 3, 3, 8), (1, 7, 7, 8), "int16")
    dense = step("FULLY_CONNECTED", (1, 70), (33, 70), (1, 33))
    pool = step("AVERAGE_POOL_2D", (1, 8, 8, 5), (1,), (1, 4, 4, 5))
    sizes = [arena.kernel_scratch([s]) for s in (conv, narrow, wide, sums, dense, pool)]
    assert sizes == [4 * 48, 9 * 496, 9 * 800, 8 * 36 + 8, 132, 20]
    floats = step("CONV_2D", (1, 9, 9, 4), (8, 3, 3, 4), (1, 7, 7, 8), "float32")
    assert arena.kernel_scratch([floats]) == 0  # only integer kernels are optimized
    assert arena.kernel_scratch([conv, dense]) == 192 and arena.kernel_scratch([]) == 0
    assert arena.kernel_scratch([step("RESHAPE", (1, 2), (2,), (1, 2))]) == 0


def test_a_crash_counts_as_too_small():
    log = [("try", 64), ("fails", 64), ("try", 96), ("works", 96), ("try", 80)]
    assert arena._bounds(log, 0, 1 << 28) == (80, 96)
    assert arena._bounds([], 16, 96) == (16, 96)
    assert arena._bounds([("try", 96)], 16, 96) == (96, 96)


@pytest.mark.parametrize("end", [0, 1])
def test_a_wrong_bit_in_any_output_is_refused(end):
    artifact = made("two_labels")
    codes, logits = tflm._vectors(artifact.graph)
    expected = tflite_ends.made(logits, "argmax", ())
    expected[end].reshape(3, -1)[2, -1] ^= 1
    with pytest.raises(VerificationError, match=f"differs from the reference in 1 of {expected[end].size} "):
        arena.measure(artifact.main, codes, expected)


@pytest.fixture
def small():
    graph = SAMPLES["dense_only"]()
    (x,), (expected,) = tflm._vectors(graph)
    return tflite.emit(graph, "net").main, x, expected


def test_a_kernel_that_crashes_in_a_small_arena_harms_nobody(small, monkeypatch):
    line = "    try:\n"
    crash = f"    if size < 4000: __import__('os').abort()\n{line}"
    monkeypatch.setattr(arena, "_PROBE", arena._PROBE.replace(line, crash))
    assert arena.measure(*small) == 4000


def test_a_crash_while_running_is_an_error(small, monkeypatch):
    monkeypatch.setattr(arena, "_PROBE", arena._PROBE.replace("made.invoke()", "__import__('os').abort()"))
    with pytest.raises(ToolError, match="refused the file"):
        arena.measure(*small)


def test_the_readme_s_numbers():
    """They do not depend on the weights: another net of the same shapes has the same arena."""
    chain = Chain("digits", (64,), g.InputSpec("uint8", 1 / 8, 8)).dense(256).step().dense(10).logits()
    sizes = tflm.emit(chain.graph(), "digits").sizes
    text = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert f"({sizes['arena_measured']:,} bytes for the net above)" in text
    assert f"kernels ({sizes['arena']:,} bytes)" in text


def test_files_that_never_run_are_refused():
    graph = SAMPLES["dense_only"]()
    data = tflite.emit(graph, "net").main
    with pytest.raises(ModelFileError, match="corrupt"):
        arena.measure(data[:8] + b"\xff" * 500, *tflm._vectors(graph))
    floats = tflite.emit(graph, "net", inputs="float32").main
    with pytest.raises(ToolError, match="refused the file"):  # codes for a file that takes floats
        arena.measure(floats, *tflm._vectors(graph))


def test_a_wrong_bit_in_the_measurement_is_refused(small):
    data, x, expected = small
    assert arena.measure(*small) == tflm.emit(SAMPLES["dense_only"](), "net").sizes["arena_measured"]
    nudged = expected.copy()
    nudged[1, 2] = np.nextafter(nudged[1, 2], np.float32(np.inf))
    with pytest.raises(VerificationError, match="differs from the reference in 1 of 9"):
        arena.measure(data, x, nudged)
    with pytest.raises(VerificationError, match="Expected: float32 of shape"):
        arena.measure(data, x, expected[:2])
    with pytest.raises(VerificationError, match="differs"):  # equal numbers, other bits
        arena._check_bits(np.float32([0.0]), np.float32([-0.0]))
