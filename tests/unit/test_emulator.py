import dataclasses
import re
import shutil

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import c_source, emulator, firmware, host
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.errors import InvalidArgumentError, ToolError
from tests.conformance import layers
from tests.conformance.samples import SAMPLES, Chain, inputs, same
from tests.tools import REQUIRED


@pytest.fixture(scope="module")
def artifacts():
    return {name: c_source.emit(build(), name) for name, build in SAMPLES.items()}


@pytest.fixture(scope="module")
def small():
    return c_source.emit(SAMPLES["cnn_small"](), "small")


def has(core, compiler):
    return compiler == "zig" or shutil.which(emulator.CORES[core].family.gcc)


def builds(*names):
    """(core, compiler) of the cores; those of a gcc that is not installed are skipped.

    Of all cores, two with one compiler are tested at once and the others are slow.
    """
    skip = () if REQUIRED else pytest.mark.skip(reason="this gcc is not installed")

    def marks(core, compiler):
        if not has(core, compiler):
            return skip
        quick = names or (compiler == "zig" and core in ("cortex-m0", "cortex-m4"))
        return () if quick else pytest.mark.slow

    return [
        pytest.param(core, compiler, marks=marks(core, compiler), id=f"{core}-{compiler}")
        for core in names or emulator.CORES
        for compiler in emulator.COMPILERS
    ]


@pytest.mark.parametrize(("core", "compiler"), builds())
def test_every_sample_equals_the_reference(artifacts, core, compiler):
    functions = ("run", "argmax", "selftest")
    keep = [f"{name}_{function}" for name in artifacts for function in functions]
    image = emulator.Image(artifacts.values(), core, keep, compiler)
    for name, artifact in artifacts.items():
        machine = emulator.Machine(image, artifact)
        assert machine.selftest() == 0, name
        x = inputs(artifact.graph, batch=4)
        for codes in zip(*x) if isinstance(x, tuple) else x:
            made = machine.run(codes)
            one = tuple(part[None] for part in codes) if isinstance(x, tuple) else codes[None]
            first = made[0] if isinstance(made, tuple) else made
            batch = tuple(part[None] for part in made) if isinstance(made, tuple) else made[None]
            assert same(batch, artifact.graph, one), name
            if not isinstance(made, tuple):
                assert machine.argmax() == first.argmax(), name


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


def tiny():
    chain = Chain("tiny", (5, 5, 1)).conv(3).step().flatten().dense(2).logits()
    return c_source.emit(chain.graph(), "tiny")


def one_by_one(image, artifact, code):
    """(instructions, {layer: how many until its label}) of a hook an instruction."""
    machine, seen, ends = emulator.Machine(image, artifact), [], {}
    labels = {
        address & ~1: int(name.removeprefix(firmware.LABEL))
        for name, address in image.symbols.items()
        if name.startswith(firmware.LABEL)
    }

    def hook(uc, address, size, _):
        if address in labels:
            ends[labels[address]] = len(seen)
        seen.append(address)

    machine._uc.hook_add(machine._unicorn.UC_HOOK_CODE, hook)
    machine.run(code)
    return len(seen), ends


@pytest.mark.parametrize(("core", "compiler"), builds("cortex-m0", "cortex-m4", "rv32imc"))
def test_instructions_equal_a_count_one_by_one(core, compiler):
    """A hook an instruction leaves out those in an IT block whose condition fails; only M4 has them."""
    artifact = tiny()
    code = inputs(artifact.graph)[2]
    for trace in (None, "count"):
        image = emulator.Image([artifact], core, ["tiny_run"], compiler, trace)
        by_blocks = emulator.Machine(image, artifact, count=True)
        by_blocks.run(code)
        count, ends = one_by_one(image, artifact, code)
        assert count > 500
        skipped = 0.05 if core == "cortex-m4" else 0
        assert count <= by_blocks.instructions <= (1 + skipped) * count
        assert len(by_blocks.marks) == len(ends) == (len(artifact.notes) if trace else 0)
        for layer, instructions in by_blocks.marks:
            assert ends[layer] <= instructions <= (1 + skipped) * ends[layer]


@pytest.mark.parametrize(("core", "compiler"), builds("cortex-m0", "cortex-m4", "rv32imc"))
def test_layers_add_up_to_the_run(small, core, compiler):
    cost = emulator.cost(small, inputs(small.graph), core, compiler)
    assert (cost.core, cost.compiler) == (core, compiler)
    notes, counts = zip(*cost.layers)
    assert notes == small.notes and min(counts) > 5
    assert abs(sum(counts) - cost.instructions) <= 4 * len(counts)
    kernels = dict(zip((note.split()[0] for note in notes), counts))
    assert kernels["conv1"] + kernels["conv3"] > 0.8 * sum(counts) and kernels["affine6"] > 100
    alone = emulator.run(small, inputs(small.graph), core, compiler=compiler)[1]
    assert dataclasses.replace(cost, layers=()) == alone
    assert cost.weight_bytes == small.sizes["weights"]
    assert cost.weight_bytes + cost.table_bytes == cost.data_bytes
    lines = str(cost).splitlines()
    assert lines[0] == f"{core}, {compiler} -O2"
    assert len(lines) == 2 + len(counts) + 6 and len({len(line) for line in lines[2:-6]}) == 1


@pytest.mark.parametrize(("core", "compiler"), builds("cortex-m0", "rv32imc"))
@pytest.mark.parametrize("name", ["cnn_same", "two_inputs_joined", "dense_int8_input"])
def test_the_trace_shows_what_every_layer_left(artifacts, name, core, compiler):
    """All samples on all cores: tests/conformance/test_trace.py."""
    artifact, seen = artifacts[name], []
    x = inputs(artifact.graph, 3)
    expected = layers.expected(artifact.graph, x)

    def check(sample, layer, read):
        right = expected[sample][layer - 1]
        assert right is None or read(len(right)) == right, artifact.notes[layer - 1]
        seen.append((sample, layer))

    emulator.trace(artifact, x, check, core, compiler)
    assert seen == [(i, layer + 1) for i in range(3) for layer in range(len(artifact.notes))]


def test_a_header_without_the_hook_has_no_layers(small):
    text = re.sub(r"\n    GXNOR_TRACE\(.*?\);", "", small.main.decode(), flags=re.DOTALL)
    bare = dataclasses.replace(small, files={"small.h": text.encode()}, notes=())
    cost = emulator.cost(bare, inputs(small.graph))
    assert cost.layers == () and "conv1" not in str(cost)
    named = emulator.cost(dataclasses.replace(small, notes=()), inputs(small.graph))
    assert [name for name, _ in named.layers] == [f"layer{i}" for i in range(1, 7)]
    assert named.instructions == cost.instructions


@pytest.mark.parametrize(("core", "compiler"), builds())
def test_one_word_of_scratch_less_is_an_overrun(artifacts, core, compiler):
    names = ["cnn_small", "cnn_same", "dense_100", "cnn_spatial_logits"]
    keep = [f"{name}_{function}" for name in names for function in ("run", "selftest")]
    image = emulator.Image([artifacts[name] for name in names], core, keep, compiler)
    for name in names:
        artifact = artifacts[name]
        sizes = {**artifact.sizes, "scratch": artifact.sizes["scratch"] - 4}
        tight = dataclasses.replace(artifact, sizes=sizes)
        with pytest.raises(ToolError, match=f"_run` crashed on the emulated {core} at .* too small"):
            emulator.Machine(image, tight).run(inputs(artifact.graph)[0])
        with pytest.raises(ToolError, match=f"_selftest` crashed on the emulated {core}"):
            emulator.Machine(image, tight).selftest()


def several(inputs_, outputs):
    """A graph with dense layers from each input, and a header for it written by hand."""
    chain = Chain("several", (2,), g.InputSpec("int8", 1.0, 0))
    for i in range(1, inputs_):
        chain.input((2 + i,), g.InputSpec("uint8" if i % 2 else "int8", 1.0, 0))
    made, lines = [], []
    for k in range(outputs):
        source = k % inputs_
        made.append(chain.at(source).dense(2 + k % 3).here)
        kernel = chain.nodes[-1].op.kernel
        for j in range(kernel.shape[1]):
            terms = " + ".join(f"({w}) * input{source}[{i}]" for i, w in enumerate(kernel[:, j].tolist()))
            lines.append(f"    logits{k}[{j}] = (float)({terms});")
    graph = chain.graph(*made)
    parameters = [f"const {op.spec.dtype}_t *input{i}" for i, op in enumerate(graph.inputs)]
    parameters += [f"float *logits{k}" for k in range(outputs)] + ["uint32_t *scratch"]
    text = "\n".join(
        [
            "#include <stdint.h>",
            f"void several_run({', '.join(parameters)})",
            *["{", "    scratch[2] = 7;", *lines, "}"],
            "int several_selftest(uint32_t *scratch) { return scratch[0] == 0; }",
        ]
    )
    sizes = {"weights": 0, "tables": 0, "scratch": 12}
    return Artifact("c", "several", graph, {"several.h": text.encode()}, sizes)


@pytest.mark.parametrize("counts", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 4), (5, 6)])
@pytest.mark.parametrize(("core", "compiler"), builds("cortex-m0", "cortex-m33", "rv32imc"))
def test_several_inputs_and_outputs(core, compiler, counts):
    """Up to 4 (RISC-V: 8) arguments are in registers, the others on the stack."""
    artifact = several(*counts)
    x = inputs(artifact.graph, 5)
    expected = host.parts(reference.run(artifact.graph, x))
    on_core = emulator.run(artifact, x, core, compiler=compiler)[0]
    here = host.run(artifact, x)
    for logits in (on_core, here):
        assert isinstance(logits, tuple) == (counts[1] > 1)
        assert len(host.parts(logits)) == counts[1]
        for found, right in zip(host.parts(logits), expected):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, right)
    assert emulator.selftest(artifact, core, compiler) == 0  # the scratch is painted
    with pytest.raises(ToolError, match="crashed"):
        emulator.run(dataclasses.replace(artifact, sizes={**artifact.sizes, "scratch": 8}), x, core)


def test_arguments_on_the_stack_are_part_of_its_depth():
    few, many = several(1, 1), several(5, 6)
    depths = [emulator.run(a, inputs(a.graph), "cortex-m0")[1].stack_bytes for a in (few, many)]
    assert depths[1] >= depths[0] + 4 * (12 - 4)


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
    with pytest.raises(InvalidArgumentError, match=r"'zig', 'gcc'.*'tcc'"):
        emulator.cost(small, inputs(small.graph), compiler="tcc")
    with pytest.raises(InvalidArgumentError, match=r"`trace`.*'everything'"):
        emulator.Image([small], "cortex-m4", ["small_run"], trace="everything")
    with pytest.raises(InvalidArgumentError, match="at least one"):
        emulator.run(small, inputs(small.graph)[:0])


def test_writable_static_data_is_refused(small):
    text = small.main.decode().replace(
        "int small_argmax", "int small_calls;\nint small_argmax", 2
    ) + "\nint small_count(void) { return ++small_calls; }\n"
    bad = dataclasses.replace(small, files={"small.h": text.encode()})
    with pytest.raises(ToolError, match="no writable static data"):
        emulator.Image([bad], "cortex-m4", ["small_count"])
