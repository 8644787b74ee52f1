"""C with 8 to 512 output channels side by side: exact and silent on every compiler, on AVR, with vectors."""

import functools
import re

import numpy as np
import pytest

from keras_gxnor import reference
from keras_gxnor.converters import c_source, host, tiles
from keras_gxnor.converters.c_selftest import fnv
from keras_gxnor.errors import InvalidArgumentError
from tests.conformance.samples import ALL, inputs
from tests.tools import C99, CXX11, ZIG, available, executed

# zig compiles for the processor it runs on unless told otherwise, gcc for any.
BUILDS = {
    "zig": ([*ZIG, "cc"], "-O2"),
    "zig for any": ([*ZIG, "cc"], "-O1 -mcpu=baseline"),
    "gcc": (["gcc"], "-O2"),
    "gcc native": (["gcc"], "-O2 -march=native"),
}
QUICK = [(8, "zig for any")]
EVERY = [
    pytest.param(lanes, build, marks=[] if (lanes, build) in QUICK else pytest.mark.slow)
    for lanes in tiles.LANES
    for build in BUILDS
]
VECTORS = {
    "helium": ("-target thumb-freestanding-eabi -mcpu=cortex_m55+mve", r"\bveor\s+q"),
    "neon": ("-target aarch64-freestanding", r"\beor\s+v\d+\.16b"),
    "sse": ("-target x86_64-linux-musl -mcpu=x86_64", r"\bv?p?xorp?s?\s+.*%xmm"),
}


@functools.cache
def artifact_of(name, lanes):
    return c_source.emit(ALL[name](), name, lanes)


def silent(flags, language=C99):
    """Flags without the warning of functions that nothing uses, as headers may hold some."""
    return [*language, "-Wno-unused-function", *flags]


@pytest.mark.parametrize(("lanes", "build"), EVERY)
def test_every_sample_is_exact_without_a_warning(lanes, build):
    compiler, flags = BUILDS[build]
    artifacts = {name: artifact_of(name, lanes) for name in ALL}
    library = host.Library(artifacts.values(), available(compiler), silent(flags.split()))
    for name, artifact in artifacts.items():
        x = inputs(artifact.graph, 6)
        logits, expected = library.run(artifact, x), reference.run(artifact.graph, x)
        for found, right in zip(host.parts(logits), host.parts(expected), strict=True):
            np.testing.assert_array_equal(found, right, name)
        assert library.selftest(artifact) == 0, name


def test_a_layer_fills_whole_tiles():
    narrow, usual, wide = (artifact_of("dense_100", lanes).sizes["weights"] for lanes in (8, 32, 512))
    assert narrow < usual < wide
    with pytest.raises(InvalidArgumentError, match=r"`lanes` must be one of \(8, 32.*lanes=16"):
        c_source.emit(ALL["dense_only"](), "odd", 16)


def test_networks_of_different_lanes_are_refused_in_one_file(tmp_path):
    source = ""
    for lanes in (8, 32):
        name = f"wide{lanes}"
        (tmp_path / f"{name}.h").write_bytes(c_source.emit(ALL["dense_100"](), name, lanes).main)
        source += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
    (tmp_path / "mix.c").write_text(source)
    with pytest.raises(host.ToolError, match="Networks of different lanes"):
        host.compile_c([*ZIG, "cc", "-std=c99", "-Wfatal-errors", "-c", "mix.c", "-o", "mix.o"], tmp_path)


def written(lanes, folder, *names):
    """A source that implements networks in `folder`."""
    source = ""
    for name in names:
        (folder / f"{name}.h").write_bytes(artifact_of(name, lanes).main)
        source += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
    for file in ("all.c", "all.cpp"):
        (folder / file).write_text(source)


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [8, 256])
@pytest.mark.parametrize("compiler", ["gcc", "g++", "zig c++"])
def test_no_warning(tmp_path, lanes, compiler):
    """C of zig is compiled above; vectors wider than the processor's have their own warnings."""
    written(lanes, tmp_path, "cnn_same", "z2_weights", "residual_step", "mobile")
    command = [*ZIG, "c++"] if compiler == "zig c++" else available(compiler)
    flags, file = (CXX11, "all.cpp") if "+" in compiler else (C99, "all.c")
    host.compile_c([*command, *silent(["-O2"], flags), "-c", file, "-o", "all.o"], tmp_path)
    assert (tmp_path / "all.o").stat().st_size > 0


@pytest.mark.parametrize("rom", ["", "__flash"])
def test_avr_has_no_warning(tmp_path, rom):
    """ints of 16 bits; and an error where a pointer into flash would be read as one into RAM."""
    written(8, tmp_path, *ALL)
    flags = "-target avr-freestanding-none -mcpu=atmega328p -Wno-avr-rtlib-linking-quirks -ffreestanding -Os"
    flags += f" -DGXNOR_ROM={rom}"
    host.compile_c([*ZIG, "cc", *silent(flags.split()), "-c", "all.c", "-o", "all.o"], tmp_path)
    assert (tmp_path / "all.o").stat().st_size > 0


@pytest.mark.parametrize("target", VECTORS)
def test_128_lanes_are_vector_instructions(tmp_path, target):
    """The heart of all layers, gxnor_add_first, computes in them."""
    written(128, tmp_path, "cnn_mnist_like")
    flags, instruction = VECTORS[target]
    command = [*ZIG, "cc", *flags.split(), "-ffreestanding", "-std=c99", "-O2", "-g0", "-S"]
    host.compile_c([*command, "all.c", "-o", "all.s"], tmp_path)
    text = (tmp_path / "all.s").read_text()
    start = text.index("\ngxnor_add_first:")
    body = text[start : text.index(".Lfunc_end", start)]
    assert len(re.findall(instruction, body)) > 20


AVR = r"""
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#define {macro}_IMPLEMENTATION
#include "{name}.h"

static const {dtype}_t input[] = {{ {values} }};
static uint32_t scratch[{macro}_SCRATCH_BYTES / 4];
static float logits[{macro}_OUTPUT_SIZE];

static void put(char letter)
{{
    while (!(UCSR0A & (1 << UDRE0))) {{
    }}
    UDR0 = (uint8_t)letter;
}}

static void show(uint32_t number)
{{
    int i;

    for (i = 28; i >= 0; i -= 4) {{
        put("0123456789abcdef"[(number >> i) & 15]);
    }}
}}

int main(void)
{{
    int i;

    UCSR0B = 1 << TXEN0;
    for (i = 0; i < {macro}_SCRATCH_BYTES / 4; i++) {{
        scratch[i] = 0xC0FFEE11u;
    }}
    show((uint32_t){name}_selftest(scratch));
    {name}_run(input, logits, scratch);
    show(gxnor_digest(2166136261u, (const uint32_t *)(const void *)logits, {macro}_OUTPUT_SIZE));
    put('\n');
    cli();
    sleep_enable();
    sleep_cpu();
    return 0;
}}
"""
ON_AVR = "dense_100 cnn_small cnn_dilated cnn_grouped mobile residual z2_weights z5_weights".split()


@pytest.mark.parametrize(("name", "standard"), [*((name, "gnu99") for name in ON_AVR), ("mobile", "c99")])
def test_avr_is_exact(tmp_path, name, standard):
    """On the simulated 8-bit core: the self-test, and the bits of the logits of one input.

    In GNU C the tables stay in flash.
    """
    available("avr-gcc"), available("simavr")
    artifact = artifact_of(name, 8)
    written(8, tmp_path, name)
    x = inputs(artifact.graph, 3)
    values = ", ".join(map(str, x[2].reshape(-1).tolist()))
    main = AVR.format(name=name, macro=name.upper(), dtype=x.dtype, values=values)
    (tmp_path / "main.c").write_text(main)
    flags = [*silent(["-Wno-missing-prototypes", "-Waddr-space-convert", "-Os"]), "-mmcu=atmega1284p"]
    host.compile_c(["avr-gcc", *flags, f"-std={standard}", "main.c", "-o", "main.elf"], tmp_path)
    _, sizes = executed(["avr-size", "-A", "main.elf"], tmp_path)
    ram = sum(int(size) for size in re.findall(r"^\.(?:data|bss) +(\d+)", sizes, re.MULTILINE))
    assert (ram > artifact.sizes["tables"] + artifact.sizes["scratch"]) == (standard == "c99")
    _, output = executed(["simavr", "-m", "atmega1284p", "-f", "20000000", "main.elf"], tmp_path)
    logits = reference.run(artifact.graph, x)[2].reshape(-1)
    digest = fnv(2166136261, logits.view(np.uint32))
    assert re.findall(r"[0-9a-f]{16}", output) == [f"{0:08x}{digest:08x}"], output
