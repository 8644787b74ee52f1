"""Weights of 1.67 bits: the code, the C that reads it, whole networks, and what they cost."""

import ctypes
import dataclasses
import itertools
import re
import sys

import numpy as np
import pytest

from keras_gxnor import reference, rewrites
from keras_gxnor.converters import c_emitters, c_source, convert, emulator, groups, host
from keras_gxnor.errors import InvalidArgumentError, ToolError
from keras_gxnor.spaces import DiscreteSpace
from tests.conformance.samples import SAMPLES, Chain, inputs
from tests.unit.test_emulator import builds

PACKED = "1.67bit"
ZIG = [sys.executable, "-m", "ziglang", "cc"]
RUNTIME = c_source._HERE / "runtime"
CODES = list(itertools.product((0, 1), repeat=5))
ADD_ROW = """
#include "gxnor_add_row.h"
uint32_t add_row(uint32_t *ones, const uint32_t *group, int32_t at);
uint32_t add_row(uint32_t *ones, const uint32_t *group, int32_t at)
{
    const uintptr_t place = (uintptr_t)group;
    return at == 0 ? gxnor_add_row(ones, place, 0)
        : at == 1 ? gxnor_add_row(ones, place, 1) : gxnor_add_row(ones, place, 2);
}
"""


def test_all_27_triples_have_a_code():
    triples = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    packed = groups.bits(triples.T, 3)
    assert packed.shape == (1, 5, 27)
    assert [groups.decode(words) for words in packed[0].T] == [tuple(t) for t in triples.tolist()]
    assert len({tuple(words) for words in packed[0].T.tolist()}) == 27
    assert not packed[0, :, 0].any(), "what adds nothing is all 0"


def test_rows_are_laid_side_by_side():
    trits = np.random.default_rng(0).integers(-1, 2, (10, 6))
    packed = groups.bits(trits, 3)
    assert packed.shape == (4, 5, 6)
    found = np.array([[groups.decode(packed[g, :, k]) for k in range(6)] for g in range(4)])
    np.testing.assert_array_equal(np.moveaxis(found, 2, 0).reshape(12, 6)[:10], trits)
    assert not found.transpose(2, 0, 1).reshape(12, 6)[10:].any(), "missing rows are 0"


@pytest.mark.parametrize("compiler", [None, pytest.param(ZIG, marks=pytest.mark.slow)], ids=["cc", "zig"])
def test_c_reads_all_32_codes_as_they_are_meant(tmp_path, compiler):
    (tmp_path / "row.c").write_text(ADD_ROW)
    command = [*(compiler or host.find_compiler()), "-std=c99", "-O2", "-shared", f"-I{RUNTIME}"]
    pic = [] if sys.platform == "win32" else ["-fPIC"]
    host.compile_c([*command, *pic, "-DGXNOR_PLACES=3", "row.c", "-o", "row.so"], tmp_path)
    library = ctypes.CDLL(str(tmp_path / "row.so"))
    library.add_row.restype = ctypes.c_uint32
    group = np.array([sum(word[k] << i for i, word in enumerate(CODES)) for k in range(5)], np.uint32)
    for at, old in itertools.product(range(3), (0, 1)):
        ones = np.array([old * 0xFFFFFFFF], np.uint32)
        pointers = (ctypes.c_void_p(a.ctypes.data) for a in (ones, group))
        carry = library.add_row(*pointers, at)
        for lane, words in enumerate(CODES):
            total = 2 * (carry >> lane & 1) + (int(ones[0]) >> lane & 1)
            assert total == old + 1 + groups.decode(words)[at], (at, old, words)


def five_states(c):
    return c.step(space=DiscreteSpace(2))


# Rows that do not divide by three, chunks of a dense layer, columns that split words, two digits.
MORE = {
    "rows_1": lambda n: Chain(n, (3, 3, 1)).conv(1).step().conv(33, 1).step().flatten().dense(16).step(),
    "rows_2": lambda n: Chain(n, (3, 3, 1)).conv(2).step().conv(33, 1).step().flatten().dense(16).step(),
    "whole_chunks": lambda n: Chain(n, (9,)).dense(2040).step().dense(40).step(),
    "short_chunk": lambda n: Chain(n, (9,)).dense(1990).step().dense(40).step(),
    "one_row_left": lambda n: Chain(n, (9,)).dense(1025).step().dense(40).step(),
    "pixel_chunks": lambda n: Chain(n, (13, 13, 1)).conv(37).step().flatten().dense(20).step(),
    "column_of_5": lambda n: Chain(n, (7, 8, 1)).conv(7, 1).step().conv(20, 5).step().flatten(),
    "column_of_2": lambda n: Chain(n, (7, 8, 1)).conv(70, 1).step().conv(20, (2, 3)).step().flatten(),
    "dilated": lambda n: Chain(n, (9, 9, 1)).conv(40).step().conv(20, 3, 1, "same", 2).step().flatten(),
    "states": lambda n: five_states(five_states(Chain(n, (9,)).dense(50)).dense(50, space=DiscreteSpace(2))),
}


@pytest.mark.parametrize(
    "compiler", [pytest.param(None, id="cc"), pytest.param(ZIG, id="zig", marks=pytest.mark.slow)]
)
def test_every_network_equals_the_reference(compiler):
    graphs = {name: build() for name, build in SAMPLES.items()}
    graphs |= {name: build(name).dense(3).logits().graph() for name, build in MORE.items()}
    artifacts = {name: c_source.emit(graph, name, weights=PACKED) for name, graph in graphs.items()}
    library = host.Library(artifacts.values(), compiler)
    for name, graph in graphs.items():
        x = inputs(graph)
        results = zip(host.parts(library.run(artifacts[name], x)), host.parts(reference.run(graph, x)))
        for got, want in results:
            np.testing.assert_array_equal(got, want.astype(np.float32), name)
        assert library.selftest(artifacts[name]) == 0, name


@pytest.mark.parametrize(("core", "compiler"), builds("cortex-m0", "cortex-m4", "rv32imc"))
def test_emulated_cores_equal_the_reference(core, compiler):
    names = ["dense_100", "cnn_small", "cnn_mnist_like"]
    graphs = {name: SAMPLES[name]() for name in names}
    graphs |= {name: build(name).dense(3).logits().graph() for name, build in MORE.items()}
    artifacts = {name: c_source.emit(graph, name, weights=PACKED) for name, graph in graphs.items()}
    keep = [f"{name}_{function}" for name in artifacts for function in ("run", "argmax", "selftest")]
    image = emulator.Image(artifacts.values(), core, keep, compiler)
    for name, artifact in artifacts.items():
        machine, x = emulator.Machine(image, artifact), inputs(artifact.graph, batch=2)
        assert machine.selftest() == 0, name
        for code, logits in zip(x, reference.run(artifact.graph, x)):
            np.testing.assert_array_equal(machine.run(code), logits, name)


def large_dense():
    return Chain("large", (8,)).dense(1024).step(flip=0).dense(512, zeros=0.5).step().dense(3).logits()


def large_conv():
    chain = Chain("large", (8, 8, 1)).conv(64, padding="same").step(flip=0)
    return chain.conv(64, padding="same").step().flatten().dense(3).logits()


@pytest.mark.parametrize(
    ("build", "weights"), [(large_dense, 1024 * 512), (large_conv, 9 * 64 * 64)]
)
def test_bits_a_weight(build, weights):
    """Of the largest layer, with what lists count from."""
    graph, sizes = rewrites.canonical(build().graph()), {}
    for kind, places in groups.PLACES.items():
        calls = c_emitters.program(graph, 32, places).calls
        tables = [t.nbytes for c in calls for t in c.tables if t.suffix == "weights"]
        sizes[kind] = 8 * max(tables) / weights
    assert sizes["1.67bit"] <= 1.69 and 2 <= sizes["2bit"] <= 2.01, sizes


def test_instructions_a_product():
    """At density 0.5: less than 0.385; only inputs that are not 0 take any."""
    graph = large_dense().graph()
    x = inputs(graph, batch=3)[2:]
    trace = reference.run(graph, x, trace=True)
    active = next(np.mean(codes != 0) for name, codes in trace.items() if name.startswith("threshold"))
    count = {}
    for kind in groups.PLACES:
        cost = emulator.cost(c_source.emit(graph, "net", weights=kind), x, "cortex-m4")
        count[kind] = next(n for note, n in cost.layers if "1024 -> 512" in note) / (1024 * 512)
    assert 0.2 < active < 0.9
    assert count["2bit"] < 0.25 * 2 * active and count["1.67bit"] < 0.34 * 2 * active, (count, active)


def test_sizes_say_what_both_formats_take():
    graph = SAMPLES["cnn_mnist_like"]()
    wide, packed = (c_source.emit(graph, "net", weights=kind) for kind in groups.PLACES)
    for artifact in (wide, packed):
        assert artifact.sizes["weights_2bit"] == wide.sizes["weights"]
        assert artifact.sizes["weights_1.67bit"] == packed.sizes["weights"]
        assert f"weights_1.67bit {packed.sizes['weights']:,}" in repr(artifact)
    assert packed.sizes["weights"] < 0.86 * wide.sizes["weights"]
    assert f"they would take {packed.sizes['weights']} bytes" in wide.main.decode()
    assert f"they would take {wide.sizes['weights']} bytes" in packed.main.decode()
    assert "weights_1.67bit" not in c_source.emit(graph, "net", lanes=8).sizes


def test_the_self_test_sees_a_corrupted_word():
    artifact = c_source.emit(SAMPLES["cnn_mnist_like"](), "net", weights=PACKED)
    text = artifact.main.decode()
    for head in re.finditer(r"uint32_t GXNOR_FLASH net_[a-z]+(\d+)_weights\[\d+\] =", text):
        place = text.index("0x", head.end()) + 7 * len("0x00000000u, ") + len("0x0000000")
        bad = text[:place] + f"{int(text[place], 16) ^ 4:x}" + text[place + 1 :]
        damaged = dataclasses.replace(artifact, files={"net.h": bad.encode()})
        assert host.selftest(damaged) == int(head[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "3bit"}, r"\['2bit', '1.67bit'\].*Received: weights='3bit'"),
        ({"weights": 2}, "Received: weights=2"),
        ({"weights": PACKED, "lanes": 8}, "use lanes=32. Received: lanes=8"),
    ],
)
def test_other_values_are_refused(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        c_source.emit(SAMPLES["dense_only"](), "net", **options)


def test_both_targets_take_the_option():
    graph = SAMPLES["cnn_small"]()
    header = convert(graph, "c", name="net", weights=PACKED)
    library = convert(graph, "library", name="net", weights=PACKED)
    assert library.files["src/net.h"] == header.main == c_source.emit(graph, "net", weights=PACKED).main


def test_two_formats_in_one_file_are_refused(tmp_path):
    source = ""
    for name, weights in (("wide", "2bit"), ("packed", PACKED)):
        artifact = c_source.emit(SAMPLES["cnn_small"](), name, weights=weights)
        (tmp_path / f"{name}.h").write_bytes(artifact.main)
        source += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
    (tmp_path / "both.c").write_text(source)
    with pytest.raises(ToolError, match="different weight formats"):
        host.compile_c([*host.find_compiler(), "-std=c99", "-c", "both.c", "-o", "both.o"], tmp_path)
