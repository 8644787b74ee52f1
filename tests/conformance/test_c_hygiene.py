"""Generated C compiles without a warning everywhere, needs nothing, and survives sanitizers."""

import re
import sys

import numpy as np
import pytest

from keras_gxnor import reference
from keras_gxnor.converters import c_source, emulator, host
from tests.conformance.samples import ALL, inputs
from tests.tools import C99, CXX11, ZIG, available, executed

RUNTIME = c_source._HERE / "runtime"
SLOW = pytest.mark.slow
TARGETS = ["avr", "riscv32", *(pytest.param(name, marks=SLOW) for name in ("msp430", "powerpc", "wasm32"))]
LEVELS = ["-O2", *(pytest.param(level, marks=SLOW) for level in ("-O1", "-O3", "-Os"))]
COMPILERS = {
    "zig c": ([*ZIG, "cc"], C99, "all.c"),
    "zig c++": ([*ZIG, "c++"], CXX11, "all.cpp"),
    "gcc": (["gcc"], C99, "all.c"),
    "g++": (["g++"], CXX11, "all.cpp"),
}
CORE = ["-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0", "-ffreestanding"]
UNWINDING = {"__aeabi_unwind_cpp_pr0", "__aeabi_unwind_cpp_pr1"}
FLOATS = {"__aeabi_fadd", "__aeabi_fmul", "__aeabi_fdiv", "__aeabi_fcmpeq", "__aeabi_fcmpgt", "__aeabi_i2f"}


@pytest.fixture(scope="module")
def artifacts():
    return {name: c_source.emit(build(), name) for name, build in ALL.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, artifacts):
    """All samples' headers, and sources that implement them all at once."""
    root = tmp_path_factory.mktemp("hygiene")
    source, calls = "", ""
    for name, artifact in artifacts.items():
        (root / f"{name}.h").write_bytes(artifact.main)
        source += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
        calls += _calls(artifact)
    (root / "all.c").write_text(source)
    (root / "all.cpp").write_text(source)
    (root / "main.c").write_text(f"{source}\nint main(void)\n{{{calls}\n    return 0;\n}}\n")
    (root / "twice.c").write_text(source + source)
    return root


def _calls(artifact) -> str:
    """C that runs a network: its self-test, an input of its own, and one that lies in the scratch."""
    name, macro, graph = artifact.name, artifact.name.upper(), artifact.graph
    suffixes = lambda ends: [""] if len(ends) == 1 else [str(i + 1) for i in range(len(ends))]
    ins, outs = suffixes(graph.inputs), suffixes(graph.outputs)
    types = [f"{op.spec.dtype}_t" for op in graph.inputs]
    lines = [f"static uint32_t scratch[{macro}_SCRATCH_BYTES / 4];"]
    lines += [f"static {kind} input{s}[{macro}_INPUT{s}_SIZE];" for kind, s in zip(types, ins)]
    lines += [f"static float logits{s}[{macro}_OUTPUT{s}_SIZE];" for s in outs]
    own = [f"input{s}" for s in ins]
    inside = [f"({kind} *)(scratch + {macro}_INPUT{s}_WORD)" for kind, s in zip(types, ins)]
    lines += [f"if ({name}_selftest(scratch) != 0) {{ return 1; }}"]
    for given in (own, inside):
        lines.append(f"{name}_run({', '.join([*given, *(f'logits{s}' for s in outs)])}, scratch);")
    lines += [f"if ({name}_argmax{s}(logits{s}) < 0) {{ return 1; }}" for s in outs]
    return "\n    {\n        " + "\n        ".join(lines) + "\n    }"


@pytest.mark.parametrize(
    "compiler", ["zig c", *(pytest.param(name, marks=SLOW) for name in ("zig c++", "gcc", "g++"))]
)
def test_no_warning(folder, compiler):
    command, flags, source = COMPILERS[compiler]
    host.compile_c([*available(command), *flags, "-O2", "-c", source, "-o", "warnings.o"], folder)
    assert (folder / "warnings.o").stat().st_size > 10_000


def test_every_runtime_file_includes_what_it_uses():
    """A network may be the only one in a file, with this kernel first."""
    texts = {path.stem: path.read_text(encoding="ascii") for path in RUNTIME.glob("*.h")}
    named = r"#define (GXNOR_\w+)|^} (\w+);|^typedef [^;{]*?(\w+)(?: __attribute__.*)?;"
    made = {}
    for stem, text in texts.items():
        found = ["".join(match) for match in re.findall(named, text, re.MULTILINE)]
        for name in (*found, *(function for function, _ in functions(text))):
            made.setdefault(name, stem)

    def closure(stem):
        needed = re.findall(r'#include "(\w+)\.h"', texts[stem])
        return {stem}.union(*map(closure, needed))

    assert made["gxnor_lanes"] == "gxnor_lanes" and made["GXNOR_ROLLED"] == "gxnor_shared"
    for stem, text in texts.items():
        for name in set(re.findall(r"\bgxnor_\w+|\bGXNOR_\w+", uncommented(text), re.IGNORECASE)):
            assert made.get(name, stem) in closure(stem), (stem, name)


@pytest.mark.parametrize("target", TARGETS)
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


@pytest.mark.parametrize("level", LEVELS)
def test_cortex_m0_has_no_warning_and_needs_floats_only(folder, level):
    host.compile_c([*ZIG, "cc", *CORE, *C99, level, "-c", "all.c", "-o", "m0.o"], folder)
    assert undefined(folder / "m0.o") - UNWINDING == FLOATS


def undefined(path):
    """Symbols an object needs from elsewhere."""
    from elftools.elf.elffile import ELFFile

    with open(path, "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF" and s.name}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("compiler", ["zig c", pytest.param("gcc", marks=SLOW)])
def test_nothing_is_needed_from_outside(folder, compiler, level):
    if not sys.platform.startswith("linux"):
        pytest.skip("reads ELF objects")
    command = available(COMPILERS[compiler][0])
    host.compile_c([*command, "-std=c99", level, "-c", "all.c", "-o", "needs.o"], folder)
    assert undefined(folder / "needs.o") == set()


@pytest.mark.parametrize("compiler", ["zig c", "gcc"])
def test_weights_of_1_67_bits_are_as_clean(tmp_path, compiler):
    command, flags, _ = COMPILERS[compiler]
    source = ""
    for name in ("cnn_mnist_like", "cnn_dilated", "z2", "z2_weights", "dense_100", "dense_wide_logits"):
        (tmp_path / f"{name}.h").write_bytes(c_source.emit(ALL[name](), name, weights="1.67bit").main)
        source += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
    (tmp_path / "all.c").write_text(source)
    host.compile_c([*available(command), *flags, "-O2", "-c", "all.c", "-o", "all.o"], tmp_path)
    assert undefined(tmp_path / "all.o") == set()


def test_no_writable_static_data(folder):
    from elftools.elf.elffile import ELFFile

    host.compile_c([*ZIG, "cc", *CORE, "-O2", "-c", "all.c", "-o", "data.o"], folder)
    with open(folder / "data.o", "rb") as file:
        sizes = {s.name: s["sh_size"] for s in ELFFile(file).iter_sections() if s["sh_flags"] & 1}
    assert sum(sizes.values()) == 0, sizes


def test_two_networks_of_one_name_are_refused(folder):
    other = c_source.emit(ALL["cnn_1x1"](), "cnn_same")
    (folder / "other").mkdir()
    (folder / "other" / "cnn_same.h").write_bytes(other.main)
    (folder / "clash.c").write_text('#include "cnn_same.h"\n#include "other/cnn_same.h"\n')
    with pytest.raises(host.ToolError, match="Two different networks are called cnn_same"):
        host.compile_c([*ZIG, "cc", *C99, "-c", "clash.c", "-o", "clash.o"], folder)


def test_runtimes_of_two_versions_are_refused(folder):
    text = (folder / "dense_100.h").read_text()
    runtime = f"GXNOR_RUNTIME {c_source._RUNTIME_VERSION}"
    assert runtime in text
    (folder / "newer.h").write_text(text.replace("GXNOR_RUNTIME != ", "GXNOR_RUNTIME != 1"))
    first = '#define DENSE_ONLY_IMPLEMENTATION\n#include "dense_only.h"\n'
    (folder / "mix.c").write_text(first + '#define DENSE_100_IMPLEMENTATION\n#include "newer.h"\n')
    with pytest.raises(host.ToolError, match="different keras_gxnor versions"):
        host.compile_c([*ZIG, "cc", *C99, "-c", "mix.c", "-o", "mix.o"], folder)


def test_a_header_may_be_included_twice(folder):
    host.compile_c([*ZIG, "cc", *C99, "-c", "twice.c", "-o", "twice.o"], folder)
    assert (folder / "twice.o").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["zig undefined", "gcc address,undefined"])
def test_sanitizers_have_nothing_to_say(folder, sanitizer):
    command, checks = sanitizer.split()
    compiler = [*ZIG, "cc"] if command == "zig" else available("gcc")
    stop = ["-fsanitize-trap=undefined"] if command == "zig" else ["-fno-sanitize-recover=all"]
    flags = ["-std=c99", "-O1", "-g", f"-fsanitize={checks}", *stop]
    host.compile_c([*compiler, *flags, "main.c", "-o", "sanitized"], folder)
    assert executed([folder / "sanitized"]) == (0, "")


@pytest.mark.slow
def test_a_sanitizer_would_see_a_short_scratch(folder):
    """One word less than a network asks for, of each network in turn."""
    available("gcc")
    text, names = (folder / "main.c").read_text(), "CNN_SAME DENSE_100 MOBILE RESIDUAL Z2_WEIGHTS".split()
    for name in names:
        words = f"scratch[{name}_SCRATCH_BYTES / 4"
        assert f"{words}];" in text
        text = text.replace(f"{words}];", f"{words} - (SHORT == {names.index(name)})];")
    (folder / "short.c").write_text(text)
    flags = ["-std=c99", "-O1", "-w", "-fsanitize=address"]
    for which in range(len(names)):
        host.compile_c(["gcc", *flags, f"-DSHORT={which}", "short.c", "-o", "short"], folder)
        code, output = executed([folder / "short"])
        assert code != 0 and "AddressSanitizer" in output, names[which]


M32 = {
    "-O2": "-O2",
    "-O0": "-O0",
    # Floats in registers of 80 bits: a logit must be rounded after every operation all the same.
    "x87": "-O2 -mfpmath=387 -mno-sse",
    "no vectors": "-O2 -march=i486",
}


@pytest.mark.slow
@pytest.mark.parametrize("build", M32)
def test_32_bits_are_exact(folder, artifacts, build, tmp_path):
    """Logits of four inputs of every sample, as bits, from a 32-bit program."""
    gcc = available(["gcc", "-m32"])
    program = '#include <stdio.h>\n#include "all.c"\nint main(void)\n{\n'
    expected = {}
    for name, artifact in artifacts.items():
        x = host.parts(inputs(artifact.graph, 4))
        truth = host.parts(reference.run(artifact.graph, x if len(x) > 1 else x[0]))
        # C gives every output as floats, the reference gives an output that is codes as integers.
        expected[name] = b"".join(y[2].astype(np.float32).tobytes() for y in truth).hex()
        program += _printed(artifact, [part[2] for part in x])
    (tmp_path / "print.c").write_text(program + "    return 0;\n}\n")
    host.compile_c([*gcc, "-std=c99", *M32[build].split(), f"-I{folder}", "print.c", "-o", "print"], tmp_path)
    code, output = executed([tmp_path / "print"])
    found = dict(line.split() for line in output.splitlines())
    assert code == 0 and {n for n in expected if expected[n] != found[n]} == set()


def _printed(artifact, x) -> str:
    """C that prints a network's name and the bytes of its logits."""
    name, outputs = artifact.name, host.output_shapes(artifact.graph)
    lines = [f"    static uint32_t scratch[{name.upper()}_SCRATCH_BYTES / 4];", "    unsigned i;"]
    for i, part in enumerate(x):
        values = ", ".join(map(str, part.reshape(-1).tolist()))
        lines.append(f"    static const {part.dtype}_t input{i}[] = {{{values}}};")
    lines += [f"    static float logits{i}[{int(np.prod(shape))}];" for i, shape in enumerate(outputs)]
    ends = [f"input{i}" for i in range(len(x))] + [f"logits{i}" for i in range(len(outputs))]
    lines.append(f'    printf("{name} ");')
    lines.append(f"    if ({name}_selftest(scratch) != 0) {{ return 1; }}")
    lines.append(f"    {name}_run({', '.join(ends)}, scratch);")
    for i in range(len(outputs)):
        each = f"for (i = 0; i < sizeof logits{i}; i++)"
        lines.append(f'    {each} {{ printf("%02x", ((const unsigned char *)logits{i})[i]); }}')
    return "    {\n    " + "\n    ".join(lines) + '\n        printf("\\n");\n    }\n'


# What the analyzers are not asked about.
TIDY = {
    "bugprone-*": True,
    "clang-analyzer-*": True,
    "bugprone-easily-swappable-parameters": False,  # a style: many kernels take several int32_t
    # Offsets are products of int32_t that are places in arrays of less than 2^31 bytes, and
    # casts to ptrdiff_t would be casts to 16 bits on AVR.
    "bugprone-implicit-widening-of-multiplication-result": False,
}
CPPCHECK = [
    "--enable=warning,performance,portability",
    "--error-exitcode=1",
    *"--std=c99 --suppress=missingIncludeSystem --quiet --max-configs=1 -D__GNUC__=12".split(),
]
CHECKS = ",".join(["-*", *(name if on else f"-{name}" for name, on in TIDY.items())])
ANALYZERS = {
    "cppcheck": (["cppcheck", *CPPCHECK], []),
    "clang-tidy": (
        ["clang-tidy", "--quiet", f"--checks={CHECKS}", "--warnings-as-errors=*", "--header-filter=.*"],
        ["--", "-std=c99"],
    ),
}


@SLOW
@pytest.mark.parametrize("analyzer", ANALYZERS)
def test_analyzers_have_nothing_to_say(folder, analyzer):
    before, after = ANALYZERS[analyzer]
    code, output = executed([*available(before), "all.c", *after], folder, timeout=600)
    assert code == 0, output[-3000:]
    wrong = "int32_t wrong(int32_t sum)\n{\n    int32_t bad[2];\n\n    bad[0] = sum;\n    return bad[2];\n}\n"
    (folder / "wrong.c").write_text(f'#define Z2_IMPLEMENTATION\n#include "z2.h"\n{wrong}')
    code, output = executed([*before, "wrong.c", *after], folder, timeout=600)
    assert code != 0 and "bad" in output  # it would see a place outside of an array


def functions(text):
    """(name, body) of every C function in `text`."""
    head = r"^(?!typedef)[a-zA-Z][\w *]*?(\w+)\([^;{]*\)\n\{\n(.*?)^\}"
    for match in re.finditer(head, text, re.DOTALL | re.MULTILINE):
        yield match[1], match[2]


def uncommented(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def test_every_function_is_simple_and_short(folder):
    seen = set()
    for name in ALL:
        for function, body in functions((folder / f"{name}.h").read_text()):
            seen.add(function)
            if function.endswith("_selftest"):
                continue  # a loop an output
            branches = re.findall(r"\b(?:if|for|while|case)\b|&&|\|\||\?", uncommented(body))
            assert len(branches) + 1 <= (10 if "_u8" in function else 8), function
            assert len(body.splitlines()) <= 60 or function.endswith("_run"), function
    names = "gxnor_dot gxnor_conv_u8_step gxnor_add_rows gxnor_full_add gxnor_maxpool cnn_same_run".split()
    assert set(names) <= seen


def test_no_forbidden_word(folder):
    words = r"\b(malloc|free|memcpy|memset|double|goto|alloca|printf)\b|#include <(?!stdint\.h>)"
    for name in ALL:
        text = (folder / f"{name}.h").read_text()
        assert not re.search(words, uncommented(text)), name
        assert "SPDX-License-Identifier: 0BSD" in text


def test_runtime_files_hold_one_function_each_and_are_all_used(folder):
    """Or one type, or one group of macros."""
    pasted = "".join((folder / f"{name}.h").read_text() for name in ALL)
    for path in RUNTIME.glob("*.h"):
        text, guard = path.read_text(encoding="ascii"), f"{path.stem.upper()}_H"
        head = f"/* SPDX-License-Identifier: 0BSD */\n#ifndef {guard}\n#define {guard}\n\n"
        assert text.startswith(head) and text.endswith("\n\n#endif\n"), path
        names = [name for name, _ in functions(text)]
        assert names in ([path.stem], []), path
        assert names or "typedef" in text or text.count("#define") > 1, path
        assert text.count("typedef struct") <= 1 and not re.search(r"^ *\t| +$", text, re.MULTILINE), path
        assert max(map(len, text.splitlines())) <= 112, path
        assert f"#define {guard}\n" in pasted, path


def test_the_emulated_image_is_bare(folder):
    artifact = c_source.emit(ALL["cnn_mnist_like"](), "bare")
    image = emulator.Image([artifact], "cortex-m4", ["bare_run", "bare_argmax"])
    assert not {"memcpy", "memset", "memmove", "malloc"} & set(image.symbols)
