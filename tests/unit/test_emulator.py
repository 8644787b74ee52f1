import dataclasses

import numpy as np
import pytest

from keras_gxnor import reference
from keras_gxnor.converters import c_source, emulator, host
from keras_gxnor.errors import InvalidArgumentError, ToolError
from tests.conformance.samples import C_SAMPLES as SAMPLES
from tests.conformance.samples import Chain, inputs


@pytest.fixture(scope="module")
def artifacts():
    return {name: c_source.emit(build(), name) for name, build in SAMPLES.items()}


@pytest.fixture(scope="module")
def small():
    return c_source.emit(SAMPLES["cnn_small"](), "small")


@pytest.mark.parametrize("core", sorted(emulator.CORES))
def test_every_sample_equals_the_reference(artifacts, core):
    functions = ("run", "argmax", "selftest")
    keep = [f"{name}_{function}" for name in artifacts for function in functions]
    image = emulator.Image(artifacts.values(), core, keep)
    for name, artifact in artifacts.items():
        machine = emulator.Machine(image, artifact)
        assert machine.selftest() == 0, name
        x = inputs(artifact.graph, batch=4)
        expected = reference.run(artifact.graph, x)
        for code, logits in zip(x, expected):
            np.testing.assert_array_equal(machine.run(code), logits, name)
            assert machine.argmax() == logits.argmax()


def test_run_returns_logits_and_cost(small):
    seen = []
    x = inputs(small.graph, batch=60)
    logits, cost = emulator.run(small, x, progress=lambda *done: seen.append(done))
    np.testing.assert_array_equal(logits, reference.run(small.graph, x))
    assert logits.dtype == np.float32
    assert seen == [(50, 60), (60, 60)]
    assert cost.core == "cortex-m4"
    assert cost.scratch_bytes == small.sizes["scratch"]
    assert cost.flash_bytes == cost.code_bytes + cost.data_bytes
    # The compiler may fold small tables into code. The self-test's numbers are left out.
    assert small.sizes["weights"] <= cost.data_bytes <= small.sizes["tables"] + 64
    assert 1000 < cost.code_bytes < 8000
    assert 16 < cost.stack_bytes < 1024
    assert emulator.run(small, x[:1])[1] == cost


@pytest.mark.parametrize(("core", "skipped"), [("cortex-m0", 0), ("cortex-m4", 0.05)])
def test_instructions_equal_a_count_one_by_one(core, skipped):
    """A hook an instruction leaves out those in an IT block whose condition fails; M0 has none."""
    chain = Chain("tiny", (5, 5, 1)).conv(3).step().flatten().dense(2).logits()
    artifact = c_source.emit(chain.graph(), "tiny")
    image = emulator.Image([artifact], core, ["tiny_run"])
    code = inputs(artifact.graph)[2]
    by_blocks = emulator.Machine(image, artifact, count=True)
    by_blocks.run(code)
    one_by_one, count = emulator.Machine(image, artifact), []
    one_by_one._uc.hook_add(one_by_one._unicorn.UC_HOOK_CODE, lambda *_: count.append(1))
    one_by_one.run(code)
    assert len(count) > 500
    assert len(count) <= by_blocks.instructions <= (1 + skipped) * len(count)


@pytest.mark.parametrize("name", ["cnn_small", "cnn_same", "dense_100", "cnn_spatial_logits"])
def test_one_word_of_scratch_less_is_an_overrun(artifacts, name):
    artifact = artifacts[name]
    sizes = {**artifact.sizes, "scratch": artifact.sizes["scratch"] - 4}
    with pytest.raises(ToolError, match="crashed on the emulated cortex-m4"):
        emulator.run(dataclasses.replace(artifact, sizes=sizes), inputs(artifact.graph))


def test_the_self_test_sees_a_corrupted_table(small):
    assert emulator.selftest(small) == 0
    text = small.main.decode()
    head = text.index("small_dense4_weights[180] = {")
    place = text.index("0x", head) + len("0x0000000")
    text = text[:place] + ("0" if text[place] != "0" else "f") + text[place + 1 :]
    bad = dataclasses.replace(small, files={"small.h": text.encode()})
    assert emulator.selftest(bad) == 4
    x = inputs(small.graph, batch=64)
    assert not np.array_equal(emulator.run(bad, x)[0], host.run(small, x))


def test_arguments_are_checked(small):
    with pytest.raises(InvalidArgumentError, match="cortex-m99"):
        emulator.run(small, inputs(small.graph), core="cortex-m99")
    with pytest.raises(InvalidArgumentError, match="at least one"):
        emulator.run(small, inputs(small.graph)[:0])


def test_writable_static_data_is_refused(small):
    text = small.main.decode().replace(
        "int small_argmax", "int small_calls;\nint small_argmax", 2
    ) + "\nint small_count(void) { return ++small_calls; }\n"
    bad = dataclasses.replace(small, files={"small.h": text.encode()})
    with pytest.raises(ToolError, match="no writable static data"):
        emulator.Image([bad], "cortex-m4", ["small_count"])
