"""The folder of target "library" builds and runs: on CMake, and on stand-ins for what no wheel has."""

import dataclasses
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys

import cmake
import kconfiglib
import pytest
from elftools.elf import elffile

from tests.unit.test_libraries import hostile, made
from tests.unit.test_names import HOSTILE

ZIG = [sys.executable, "-m", "ziglang"]
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Werror"
HEAD = "cmake_minimum_required(VERSION 3.16)\n"
ESPRESSIF = """
macro(idf_component_register)
  message(STATUS "registers ${ARGV}")
endmacro()
set(ESP_PLATFORM 1)
"""
ESPRESSIF_PROJECT = """
project(stub C)
function(idf_component_register)
  message(STATUS "registers ${ARGV}")
  cmake_parse_arguments(its "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
  add_library(component STATIC ${its_SRCS})
  target_include_directories(component PUBLIC ${its_INCLUDE_DIRS})
endfunction()
set(ESP_PLATFORM 1)
add_subdirectory(gxnor_digits)
add_executable(app start.c gxnor_digits/examples/main.c)
target_compile_definitions(app PRIVATE ESP_PLATFORM)
target_link_libraries(app component)
"""
ZEPHYR_PROJECT = """
project(stub C)
add_library(zephyr_interface INTERFACE)
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
  set_property(GLOBAL APPEND PROPERTY ZEPHYR_LIBS ${name})
endmacro()
function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
function(zephyr_include_directories folder)
  get_filename_component(path ${folder} ABSOLUTE)
  target_include_directories(zephyr_interface INTERFACE ${path})
endfunction()
import_kconfig()
add_subdirectory(gxnor_digits)
get_property(libraries GLOBAL PROPERTY ZEPHYR_LIBS)
add_executable(app gxnor_digits/examples/main.c)
target_link_libraries(app zephyr_interface ${libraries})
"""
# Arduino.h defines macros such as these; the header must stand them.
ARDUINO = """
#pragma once
#include <cstdio>
#define INPUT 0x0
#define OUTPUT 0x1
#define PI 3.14
#define F(x) x
#define abs(x) ((x) > 0 ? (x) : -(x))
#define round(x) ((x) >= 0 ? (long)((x) + 0.5) : (long)((x) - 0.5))
#define B0 0
struct Port {
  void begin(unsigned long) {}
  void print(const char* text) { std::printf("%s", text); }
  void print(int number) { std::printf("%d", number); }
  void println(int number) { std::printf("%d\\n", number); }
  void println(unsigned long number) { std::printf("%lu\\n", number); }
};
extern Port Serial;
unsigned long micros();
void delay(unsigned long);
"""
BOARD = """
#include "Arduino.h"
Port Serial;
void setup();
void loop();
unsigned long micros() { static unsigned long now = 0; return now += 7; }
void delay(unsigned long) {}
int main() { setup(); loop(); }
"""


@pytest.fixture(scope="session")
def compilers(tmp_path_factory):
    """Programs called cc, c++, ar and ranlib, all from the ziglang wheel: nothing else need be installed."""
    folder = tmp_path_factory.mktemp("compilers")
    for name in ("cc", "c++", "ar", "ranlib"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang {name} "$@"\n')
        path.chmod(0o755)
    return folder


@pytest.fixture
def build(compilers):
    """A function: configures and builds a folder with CMake, and gives what it printed."""

    def run(source, *options):
        tools = {"C_COMPILER": "cc", "CXX_COMPILER": "c++", "AR": "ar", "RANLIB": "ranlib"}
        options = [*options, *(f"-DCMAKE_{what}={compilers / name}" for what, name in tools.items())]
        options += [f"-DCMAKE_C_FLAGS={WARNINGS}", "-G", "Unix Makefiles"]
        configured = cmake_run("-S", source, "-B", source / "build", *options)
        return configured + cmake_run("--build", source / "build", "--parallel", "2")

    return run


def cmake_run(*arguments, program="cmake", code=0):
    command = [pathlib.Path(cmake.CMAKE_BIN_DIR) / program, *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if name not in ("CFLAGS", "CC", "MAKEFLAGS")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=clean)
    assert (done.returncode != 0) == (code != 0), done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def printed(program):
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


def damaged(artifact):
    """The same library with one bit of a weight turned over."""
    text = artifact.main.decode("ascii")
    place = text.index("0x", text.index("_weights["))
    text = f"{text[: place + 9]}{int(text[place + 9], 16) ^ 1:x}{text[place + 10 :]}"
    return dataclasses.replace(artifact, files={**artifact.files, "src/digits.h": text.encode()})


def test_cmake_builds_and_tests_it(tmp_path, build):
    folder, example = tmp_path / "digits", "gxnor_digits_example"
    made().write(folder)
    build(folder)
    assert printed(folder / "build" / example).startswith("digits: self-test passed, class ")
    said = cmake_run("--test-dir", folder / "build", program="ctest")
    assert "100% tests passed" in said and "gxnor_digits_selftest" in said
    damaged(made()).write(folder, force=True)
    cmake_run("--build", folder / "build")
    said = cmake_run("--test-dir", folder / "build", "-V", program="ctest", code=8)
    assert "digits: self-test failed at 1" in said


def test_the_code_of_its_readme_compiles(tmp_path):
    made().write(tmp_path)
    code = re.search(r"```c\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)[1]
    code = code.replace("int classify", "int classify(const uint8_t *);\nint classify")
    (tmp_path / "use.c").write_text(code)
    command = [*ZIG, "cc", "-std=c99", *WARNINGS.split(), "-Isrc", "-c", "use.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def project(folder, text, **artifacts):
    folder.mkdir(exist_ok=True)
    (folder / "CMakeLists.txt").write_text(HEAD + text)
    for name, artifact in artifacts.items():
        artifact.write(folder / name)
    return folder


def test_two_networks_in_a_project_of_cpp(tmp_path, build):
    """Whose own languages, tests and targets stay as they are."""
    text = """
project(both CXX)
add_subdirectory(one)
add_subdirectory(two)
add_executable(both main.cc)
target_link_libraries(both PRIVATE gxnor::digits gxnor::gestures)
"""
    folder = project(tmp_path / "both", text, one=made(), two=made("gestures", "dense_only"))
    (folder / "main.cc").write_text("""
#include "digits.h"
#include "gestures.h"
#include <cstdio>
static uint32_t a[DIGITS_SCRATCH_BYTES / 4], b[GESTURES_SCRATCH_BYTES / 4];
int main() { std::printf("%d %d", digits_selftest(a), gestures_selftest(b)); }
""")
    build(folder)
    assert printed(folder / "build" / "both") == "0 0"
    assert not list((folder / "build").rglob("*_example")) and not list(folder.rglob("CTestTestfile.cmake"))


def test_two_networks_of_one_name_are_refused(tmp_path, build):
    """Otherwise the linker would take the first one for both."""
    text = "project(both C)\nadd_subdirectory(one)\nadd_subdirectory(two)\n"
    folder = project(tmp_path / "both", text, one=hostile("a b"), two=hostile("a_b"))
    assert "gxnor_a_b" in cmake_run("-S", folder, "-B", folder / "build", code=1)


def test_espressif(tmp_path, build):
    """A stand-in for idf_component_register makes a library of what it is told, nothing else."""
    folder = project(tmp_path / "app", ESPRESSIF_PROJECT, gxnor_digits=made())
    (folder / "start.c").write_text("void app_main(void);\nint main(void) { app_main(); return 0; }\n")
    said = build(folder)
    assert "registers SRCS;src/digits.c;INCLUDE_DIRS;src\n" in said
    assert printed(folder / "build" / "app").startswith("digits: self-test passed, class ")
    # First ESP-IDF runs the file as a script, where there are no targets: only what it registers counts.
    script, listed = folder / "script.cmake", folder / "gxnor_digits" / "CMakeLists.txt"
    script.write_text(f"{HEAD}{ESPRESSIF}include({listed})\n")
    assert "registers SRCS;src/digits.c;INCLUDE_DIRS;src\n" in cmake_run("-P", script)
    script.write_text(f"{HEAD}include({listed})\n")
    assert "not scriptable" in cmake_run("-P", script, code=1)


@pytest.mark.parametrize("chosen", ["y", "n"])
def test_zephyr(chosen, tmp_path, build):
    """Its Kconfig says whether the stand-ins for its functions are called."""
    artifact = made()
    folder = project(tmp_path / "app", "", gxnor_digits=artifact)
    config = kconfiglib.Kconfig(folder / "gxnor_digits" / "zephyr" / "Kconfig")
    config.syms["GXNOR_DIGITS"].set_value(chosen)
    config.write_config(folder / ".config")
    values = [line.split("=") for line in (folder / ".config").read_text().splitlines() if line[:1] == "C"]
    assert values == ([["CONFIG_GXNOR_DIGITS", "y"]] if chosen == "y" else [])
    settings = "".join(f"set({name} {value})\n" for name, value in values)
    (folder / "CMakeLists.txt").write_text(HEAD + ZEPHYR_PROJECT.replace("import_kconfig()\n", settings))
    if chosen == "y":
        build(folder)
        assert printed(folder / "build" / "app").startswith("digits: self-test passed, class ")
        assert len(list((folder / "build" / "gxnor_digits").glob("libgxnor_digits.a"))) == 1
    else:
        with pytest.raises(AssertionError, match=r"digits\.h"):
            build(folder)


@pytest.mark.parametrize("sample", ["cnn_small", "dense_only", "two_inputs_joined", "two_outputs"])
def test_the_arduino_example(sample, tmp_path):
    artifact = made(sample=sample)
    artifact.write(tmp_path)
    assert sketch(tmp_path).startswith("digits: self-test passed, class ")
    assert sketch(tmp_path).endswith(" after microseconds 7\n")
    if sample == "cnn_small":
        damaged(artifact).write(tmp_path, force=True)
        assert sketch(tmp_path) == "digits: self-test failed at 1\n"


def sketch(folder):
    """What the example prints, compiled as Arduino does: Arduino.h comes first, the library is C."""
    (folder / "Arduino.h").write_text(ARDUINO)
    (folder / "board.cc").write_text(BOARD)
    text = (folder / "examples" / "digits_demo" / "digits_demo.ino").read_text()
    (folder / "sketch.cc").write_text(f"#include <Arduino.h>\n{text}")
    flags = [*WARNINGS.replace("-Wstrict-prototypes ", "").split(), "-I.", "-Isrc", "-fno-exceptions"]
    cxx = [*ZIG, "c++", "-std=c++11", "-fno-rtti", *flags, "-c"]
    for command in (
        [*cxx, "sketch.cc"],
        [*cxx, "board.cc"],
        [*ZIG, "cc", *flags, "-c", "src/digits.c"],
        [*ZIG, "cc", "sketch.o", "board.o", "digits.o", "-o", "program"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    return printed(folder / "program")


@pytest.mark.slow
def test_hostile_names_compile_and_never_meet(tmp_path, build):
    """One program of a library for every name: all symbols have its prefix, every self-test is sound."""
    artifacts = {artifact.name: artifact for artifact in map(hostile, HOSTILE)}
    assert len(artifacts) >= 40
    folder = project(tmp_path / "all", "", **artifacts)
    names = sorted(artifacts)
    lines = [f"add_subdirectory({name})" for name in names]
    libraries = " ".join(f"gxnor::{name}" for name in names)
    lines += ["add_executable(all_of_them main.c)", f"target_link_libraries(all_of_them {libraries})\n"]
    (folder / "CMakeLists.txt").write_text(HEAD + "project(hostile C)\n" + "\n".join(lines))
    sizes = max(artifact.sizes["scratch"] for artifact in artifacts.values())
    code = "".join(f'#include "{name}.h"\n' for name in names)
    code += f"static uint32_t scratch[{sizes // 4}];\nint main(void)\n{{\n    return "
    (folder / "main.c").write_text(code + " || ".join(f"{n}_selftest(scratch)" for n in names) + ";\n}\n")
    build(folder)
    printed(folder / "build" / "all_of_them")
    objects = [path for path in (folder / "build").rglob("*.o") if path.name != "main.c.o"]
    assert len(objects) == len(names)
    for path in objects:
        assert exported(path) == {f"{path.name[:-4]}_{what}" for what in ("run", "argmax", "selftest")}
    shutil.rmtree(folder)


def exported(path):
    table = elffile.ELFFile(io.BytesIO(path.read_bytes())).get_section_by_name(".symtab")
    kept = [s for s in table.iter_symbols() if s["st_info"]["bind"] == "STB_GLOBAL"]
    return {s.name for s in kept if s["st_shndx"] != "SHN_UNDEF"}
