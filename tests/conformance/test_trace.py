"""Every layer of every sample leaves exactly what the reference has there: on hosts and on cores."""

import ctypes
import sys

import numpy as np
import pytest

from keras_gxnor.converters import c_source, emulator, host
from tests.conformance import layers
from tests.conformance.samples import ALL, inputs
from tests.tools import ZIG, available

BUILDS = {
    "gcc -O0": (["gcc"], "-O0"),
    "gcc -O2": (["gcc"], "-O2"),
    "gcc -Os": (["gcc"], "-Os"),
    "zig -O2": ([*ZIG, "cc"], "-O2"),
}
SLOW = pytest.mark.slow
MORE_CORES = ["cortex-m0", "cortex-m3", "cortex-m33", "rv32imc"]
HOOK = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)
SOURCE = """
typedef void (*gxnor_hook)(int layer, const void *place);
extern gxnor_hook hook;
gxnor_hook hook;
#define GXNOR_TRACE(layer, place) hook(layer, place)
"""


@pytest.fixture(scope="module")
def samples():
    """{name: (artifact, inputs, what each layer leaves of each)}."""
    made = {}
    for name, build in ALL.items():
        artifact = c_source.emit(build(), name)
        x = inputs(artifact.graph, 4)
        x = tuple(part[::-1] for part in x) if isinstance(x, tuple) else x[::-1]  # extremes come last
        made[name] = artifact, x, layers.expected(artifact.graph, x)
    return made


@pytest.mark.skipif(sys.platform == "win32", reason="builds a .so")
@pytest.mark.parametrize("build", [pytest.param(b, marks=[SLOW] * (b != "zig -O2")) for b in BUILDS])
def test_every_layer_on_a_host(samples, tmp_path, build):
    source = SOURCE
    for name, (artifact, _, _) in samples.items():
        (tmp_path / f"{name}.h").write_bytes(artifact.main)
        source += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
    (tmp_path / "traced.c").write_text(source)
    compiler, level = BUILDS[build]
    flags = ["-std=c99", level, "-shared", "-fPIC"]
    host.compile_c([*available(compiler), *flags, "traced.c", "-o", "traced.so"], tmp_path)
    library = ctypes.CDLL(str(tmp_path / "traced.so"))
    for name, (artifact, x, expected) in samples.items():
        for i, wanted in enumerate(expected):
            code = tuple(part[i] for part in host.parts(x))
            assert wrong(library, artifact, code, wanted) == [], name


def wrong(library, artifact, code, wanted) -> list[str]:
    """The notes of the layers that leave something else."""
    seen, found, hook = watcher(artifact, wanted, ctypes.string_at)
    kept = HOOK(hook)
    ctypes.c_void_p.in_dll(library, "hook").value = ctypes.cast(kept, ctypes.c_void_p).value
    logits = [np.zeros(shape, np.float32) for shape in host.output_shapes(artifact.graph)]
    scratch = np.full(artifact.sizes["scratch"] // 4, 0xC0FFEE11, np.uint32)
    places = [np.ascontiguousarray(array) for array in (*code, *logits, scratch)]
    library[f"{artifact.name}_run"](*(ctypes.c_void_p(array.ctypes.data) for array in places))
    assert seen == list(range(1, len(artifact.notes) + 1))
    return found



@pytest.mark.parametrize("compiler", ["zig", pytest.param("gcc", marks=pytest.mark.slow)])
@pytest.mark.parametrize("core", ["cortex-m4", *(pytest.param(core, marks=SLOW) for core in MORE_CORES)])
def test_every_layer_on_a_core(samples, core, compiler):
    """The cores are little-endian, as a machine that this test runs on must be."""
    assert sys.byteorder == "little"
    if compiler == "gcc":
        available(emulator.CORES[core].family.gcc)
    artifacts = [artifact for artifact, _, _ in samples.values()]
    keep = [f"{name}_run" for name in samples]
    image = emulator.Image(artifacts, core, keep, compiler, "values")
    for name, (artifact, x, expected) in samples.items():
        machine = emulator.Machine(image, artifact)
        seen, found, hook = watcher(artifact, expected[0], machine.read)
        machine.on_layer(hook)
        machine.run(tuple(part[0] for part in x) if isinstance(x, tuple) else x[0])
        assert found == [] and seen == list(range(1, len(artifact.notes) + 1)), name


def watcher(artifact, wanted, read):
    """(layers seen, notes of those that left something else, function to call at each layer)."""
    seen, found = [], []

    def hook(layer, place):
        seen.append(layer)
        right = wanted[layer - 1]
        if right is not None and read(place, len(right)) != right:
            found.append(artifact.notes[layer - 1])

    return seen, found, hook
