"""Generated C compiles without a warning everywhere, needs nothing, and survives sanitizers."""

import re
import shutil
import subprocess
import sys

import pytest

from keras_gxnor.converters import c_source, emulator, host
from tests.conformance.samples import SAMPLES

ZIG = [sys.executable, "-m", "ziglang"]
WARNINGS = (
    "-pedantic -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-qual "
    "-Wcast-align -Wvla -Wdouble-promotion -Werror"
).split()
C99 = ["-std=c99", "-Wstrict-prototypes", "-Wmissing-prototypes", *WARNINGS]
CXX11 = ["-std=c++11", *WARNINGS]
COMPILERS = {
    "zig c": ([*ZIG, "cc"], C99, "all.c"),
    "zig c++": ([*ZIG, "c++"], CXX11, "all.cpp"),
    "gcc": (["gcc"], C99, "all.c"),
    "g++": (["g++"], CXX11, "all.cpp"),
}
CORE = ["-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0", "-ffreestanding"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All samples' headers, and sources that implement them all at once."""
    root = tmp_path_factory.mktemp("hygiene")
    includes, calls = [], []
    for name, build in SAMPLES.items():
        artifact = c_source.emit(build(), name)
        (root / f"{name}.h").write_bytes(artifact.main)
        macro, dtype = name.upper(), artifact.graph.input.spec.dtype
        includes.append(f'#define {macro}_IMPLEMENTATION\n#include "{name}.h"\n')
        calls.append(
            f"""
    {{
        static uint32_t scratch[{macro}_SCRATCH_BYTES / 4];
        static {dtype}_t input[{macro}_INPUT_SIZE];
        static float logits[{macro}_OUTPUT_SIZE];
        if ({name}_selftest(scratch) != 0) {{ return 1; }}
        {name}_run(input, logits, scratch);
        if ({name}_argmax(logits) < 0) {{ return 1; }}
        {name}_run(({dtype}_t *)(scratch + {macro}_INPUT_WORD), logits, scratch);
    }}"""
        )
    source = "".join(includes)
    (root / "all.c").write_text(source)
    (root / "all.cpp").write_text(source)
    (root / "main.c").write_text(f"{source}\nint main(void)\n{{{''.join(calls)}\n    return 0;\n}}\n")
    (root / "twice.c").write_text(source + source)
    return root


def available(command):
    if command[0] in ("gcc", "g++") and not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} on this machine")


@pytest.mark.parametrize("level", ["-O0", "-O2"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_warning(folder, compiler, level):
    command, flags, source = COMPILERS[compiler]
    available(command)
    host.compile_c([*command, *flags, level, "-c", source, "-o", "warnings.o"], folder)
    assert (folder / "warnings.o").stat().st_size > 10_000


@pytest.mark.parametrize("target", ["avr", "msp430", "riscv32", "powerpc", "wasm32"])
def test_other_machines_have_no_warning(folder, target):
    """Two of them have ints of 16 bits, one is big-endian."""
    machine = ["-target", f"{target}-freestanding", "-ffreestanding"]
    machine += ["-mcpu=atmega328p", "-Wno-avr-rtlib-linking-quirks"] if target == "avr" else []
    host.compile_c([*ZIG, "cc", *machine, *C99, "-Os", "-c", "all.c", "-o", "other.o"], folder)
    assert (folder / "other.o").stat().st_size > 10_000


def test_a_warning_would_be_seen(folder):
    (folder / "bad.c").write_text("int f(long x);\nint f(long x) { return x; }\n")
    with pytest.raises(host.ToolError, match="conversion"):
        host.compile_c([*ZIG, "cc", *C99, "-c", "bad.c", "-o", "bad.o"], folder)


def test_cortex_m0_has_no_warning_either(folder):
    host.compile_c([*ZIG, "cc", *CORE, *C99, "-Os", "-c", "all.c", "-o", "m0.o"], folder)
    names = undefined(folder / "m0.o")
    floats = {"__aeabi_fadd", "__aeabi_fmul", "__aeabi_fcmpeq", "__aeabi_fcmpgt", "__aeabi_i2f"}
    assert names - {"__aeabi_unwind_cpp_pr0"} == floats


def undefined(path):
    """Symbols an object needs from elsewhere."""
    from elftools.elf.elffile import ELFFile

    with open(path, "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF" and s.name}


@pytest.mark.parametrize("level", ["-O1", "-O2", "-O3", "-Os"])
@pytest.mark.parametrize("compiler", ["zig c", "gcc"])
def test_nothing_is_needed_from_outside(folder, compiler, level):
    if not sys.platform.startswith("linux"):
        pytest.skip("reads ELF objects")
    command = COMPILERS[compiler][0]
    available(command)
    host.compile_c([*command, "-std=c99", level, "-c", "all.c", "-o", "needs.o"], folder)
    assert undefined(folder / "needs.o") == set()


def test_no_writable_static_data(folder):
    from elftools.elf.elffile import ELFFile

    host.compile_c([*ZIG, "cc", *CORE, "-O2", "-c", "all.c", "-o", "data.o"], folder)
    with open(folder / "data.o", "rb") as file:
        sizes = {s.name: s["sh_size"] for s in ELFFile(file).iter_sections() if s["sh_flags"] & 1}
    assert sum(sizes.values()) == 0, sizes


def test_two_networks_of_one_name_are_refused(folder):
    other = c_source.emit(SAMPLES["cnn_1x1"](), "cnn_same")
    (folder / "other").mkdir()
    (folder / "other" / "cnn_same.h").write_bytes(other.main)
    (folder / "clash.c").write_text('#include "cnn_same.h"\n#include "other/cnn_same.h"\n')
    with pytest.raises(host.ToolError, match="Two different networks are called cnn_same"):
        host.compile_c([*ZIG, "cc", *C99, "-c", "clash.c", "-o", "clash.o"], folder)


def test_runtimes_of_two_versions_are_refused(folder):
    text = (folder / "dense_100.h").read_text()
    runtime = f"GXNOR_RUNTIME {c_source._RUNTIME_VERSION}"
    assert runtime in text
    (folder / "newer.h").write_text(text.replace("GXNOR_RUNTIME != 1", "GXNOR_RUNTIME != 2"))
    first = '#define DENSE_ONLY_IMPLEMENTATION\n#include "dense_only.h"\n'
    (folder / "mix.c").write_text(first + '#define DENSE_100_IMPLEMENTATION\n#include "newer.h"\n')
    with pytest.raises(host.ToolError, match="different keras_gxnor versions"):
        host.compile_c([*ZIG, "cc", *C99, "-c", "mix.c", "-o", "mix.o"], folder)


def test_a_header_may_be_included_twice(folder):
    host.compile_c([*ZIG, "cc", *C99, "-c", "twice.c", "-o", "twice.o"], folder)
    assert (folder / "twice.o").stat().st_size > 10_000


@pytest.mark.parametrize("sanitizer", ["zig undefined", "gcc address,undefined"])
def test_sanitizers_have_nothing_to_say(folder, sanitizer):
    command, checks = sanitizer.split()
    compiler = [*ZIG, "cc"] if command == "zig" else ["gcc"]
    available(compiler)
    stop = ["-fsanitize-trap=undefined"] if command == "zig" else ["-fno-sanitize-recover=all"]
    flags = ["-std=c99", "-O1", "-g", f"-fsanitize={checks}", *stop]
    host.compile_c([*compiler, *flags, "main.c", "-o", "sanitized"], folder)
    done = subprocess.run([folder / "sanitized"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_sanitizer_would_see_a_short_scratch(folder):
    available(["gcc"])
    text, words = (folder / "main.c").read_text(), "CNN_SAME_SCRATCH_BYTES / 4"
    (folder / "short.c").write_text(text.replace(f"scratch[{words}]", f"scratch[{words} - 1]"))
    flags = ["-std=c99", "-O1", "-w", "-fsanitize=address"]
    host.compile_c(["gcc", *flags, "short.c", "-o", "short"], folder)
    done = subprocess.run([folder / "short"], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "AddressSanitizer" in done.stderr


def functions(text):
    """(name, body) of every C function in `text`."""
    for match in re.finditer(r"^[a-z][\w *]*?(\w+)\([^;{]*\)\n\{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE):
        yield match[1], match[2]


def test_every_function_is_simple_and_short(folder):
    seen = set()
    for name in SAMPLES:
        for function, body in functions((folder / f"{name}.h").read_text()):
            seen.add(function)
            code = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
            branches = re.findall(r"\b(?:if|for|while|case)\b|&&|\|\||\?", code)
            assert len(branches) + 1 <= 8, function
    assert {"gxnor_dot", "gxnor_conv_u8_step", "gxnor_maxpool", "cnn_same_run", "cnn_same_selftest"} <= seen


def test_no_forbidden_word(folder):
    words = r"\b(malloc|free|memcpy|memset|double|goto|alloca|printf\(\))\b|#include <(?!stdint\.h>)"
    for name in SAMPLES:
        text = (folder / f"{name}.h").read_text()
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        assert not re.search(words, code), name
        assert "SPDX-License-Identifier: 0BSD" in text


def test_runtime_files_hold_one_function_each_and_are_all_used(folder):
    runtime = list((c_source._HERE / "runtime").glob("*.h"))
    pasted = "".join((folder / f"{name}.h").read_text() for name in SAMPLES)
    for path in runtime:
        text = path.read_text(encoding="ascii")
        assert text.startswith("/* SPDX-License-Identifier: 0BSD */\n"), path
        names = [name for name, _ in functions(text)]
        assert names == [path.stem] or path.stem == "gxnor_conv", path
        assert f"#define {path.stem.upper()}_H" in pasted, path


def test_the_emulated_image_is_bare(folder):
    artifact = c_source.emit(SAMPLES["cnn_mnist_like"](), "bare")
    image = emulator.Image([artifact], "cortex-m4", ["bare_run", "bare_argmax"])
    assert not {"memcpy", "memset", "memmove", "malloc"} & set(image.symbols)
