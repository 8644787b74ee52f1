"""The C++ around the .tflite compiles and runs, against a stand-in for TFLM's headers (tflm_stub)."""

import dataclasses
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor.converters import arena, interpreters, tflite_ends, tflm
from tests.conformance.samples import SAMPLES
from tests.unit.test_tflm import ENDS, NETS, made, used

STUB = pathlib.Path(__file__).resolve().parent / "tflm_stub"
ZIG = [sys.executable, "-m", "ziglang"]
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Werror"
CXX = [*ZIG, "c++", "-std=c++17", *WARNINGS.split()]
FLAGS = ["-fno-exceptions", "-fno-rtti", "-isystem", STUB, "-I."]
FLAGS += ["-O1", "-fsanitize=undefined", "-fsanitize-trap=undefined"]


def build(folder, artifact, link=True):
    """Compiles an artifact; the stand-in gives the outputs of the wheel's interpreter."""
    artifact.write(folder, force=True)
    (folder / "case.h").write_text(case(artifact))
    sources = [f"{artifact.name}_main.cc", f"{artifact.name}_model.cc"]
    for path in sources:
        command([*CXX, *FLAGS, "-c", path], folder)
    if link:  # as C: nothing of a C++ library is needed
        objects = [path.replace(".cc", ".o") for path in sources]
        command([*ZIG, "cc", *objects, "-o", "program"], folder)


def rebuild(folder, artifact):
    """Compiles its main program again, with the model of before."""
    artifact.write(folder, force=True)
    command([*CXX, *FLAGS, "-c", f"{artifact.name}_main.cc"], folder)
    objects = [f"{artifact.name}_{which}.o" for which in ("main", "model")]
    command([*ZIG, "cc", *objects, "-o", "program"], folder)


def command(words, folder):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def case(artifact):
    """What the stand-in plays: the arena, the operators, and the real interpreter's outputs."""
    codes, logits = tflm._vectors(artifact.graph)
    x, y = tflite_ends.fed(artifact.graph, codes, artifact.inputs), logits
    if artifact.sizes["arena_measured"] != 1600:  # else the file is only compiled
        y = interpreters.run(artifact.main, x, "tflite_micro")
        y = y if isinstance(y, tuple) else (y,)
    methods = ",".join(f'"{tflm._METHODS[name]}"' for name in used(artifact.main))
    kinds = {np.uint8: "UInt8", np.int8: "Int8", np.int16: "Int16", np.int32: "Int32", np.float32: "Float32"}
    tensors = lambda parts: ",".join(f"{{kTfLite{kinds[p.dtype.type]}, {p[0].nbytes}}}" for p in parts)
    row = lambda parts, i: "{" + ",".join(str(b) for p in parts for b in p[i].tobytes()) + "}"
    rows = lambda parts: ",".join(row(parts, i) for i in range(3))
    total = lambda parts: sum(p[0].nbytes for p in parts)
    return f"""
#pragma once
#include "tensorflow/lite/c/common.h"
namespace stub {{
struct Tensor {{ TfLiteType type; size_t bytes; }};
constexpr size_t kArena = {artifact.sizes["arena_measured"]};
constexpr Tensor kInputs[] = {{{tensors(x)}}};
constexpr Tensor kOutputs[] = {{{tensors(y)}}};
constexpr unsigned char kFed[3][{total(x)}] = {{{rows(x)}}};
constexpr unsigned char kMade[3][{total(y)}] = {{{rows(y)}}};
constexpr const char* kMethods[] = {{{methods}}};
}}
"""


def run(folder):
    done = subprocess.run([folder / "program"], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", NETS)
def test_the_example_runs_and_finds_all_equal(name, tmp_path):
    build(tmp_path, made(name))
    code, printed = run(tmp_path)
    assert code == 0 and f"{name}: 3 of 3 tests equal in every bit" in printed


def edited(artifact, ending, change):
    path = next(path for path in artifact.files if path.endswith(ending))
    text = artifact.files[path].decode("ascii")
    assert change(text) != text
    return dataclasses.replace(artifact, files={**artifact.files, path: change(text).encode()})


def one_bit(text):
    start = text.index("kTestOutputs")
    first = re.compile(r"0x([0-9a-f]{8})u").search(text, start)
    return f"{text[: first.start()]}0x{int(first[1], 16) ^ 1:08x}u{text[first.end() :]}"


@pytest.mark.parametrize(
    "ending, change, words",
    [
        ("_vectors.h", one_bit, "2 of 3 tests equal"),
        ("_settings.h", lambda t: re.sub(r"kArenaSize = \d+", "kArenaSize = 160", t), "arena: 160 bytes"),
        ("_settings.h", lambda t: re.sub(r"kOperators = \d+", "kOperators = 3", t), "resolver is too small"),
        ("_settings.h", lambda t: re.sub(r".*AddMul.*\n", "", t), "AllocateTensors failed"),
        ("_settings.h", lambda t: t.replace("= kTfLiteUInt8", "= kTfLiteInt8"), "not what cnn_small_set"),
        ("_vectors.h", lambda t: re.sub(r"\{\n +(\d+),", "{\n 7,", t, count=1), "test 0: Invoke failed"),
    ],
)
def test_the_example_notices(tmp_path, ending, change, words):
    """One wrong bit, too little memory, a missing operator, another type: a non-zero exit code."""
    build(tmp_path, edited(made("cnn_small"), ending, change))
    code, printed = run(tmp_path)
    assert code == 1 and words in printed, printed


def last_bit(text):
    """Turns the lowest bit of the last number of the last output."""
    *_, last = re.finditer(r"(-?\w+),\n    \},\n", text)
    number = last[1]
    turned = f"0x{int(number[:-1], 16) ^ 1:08x}u" if number.endswith("u") else int(number) ^ 1
    return f"{text[: last.start(1)]}{turned}{text[last.end(1) :]}"


def another_type(kind):
    """Another type of the last input or output."""
    return lambda text: re.sub(rf"(k{kind}1?Type = kTfLite)\w+", r"\1Bool", text)


def another_number(end):
    """Another first number of the test inputs of input `end`."""
    first = re.compile(rf"(kTestInputs{end}\[.*?\{{\s+\{{\s+)(-?\d+)", re.DOTALL)
    return lambda text: first.sub(lambda match: f"{match[1]}{int(match[2]) ^ 1}", text, count=1)


@pytest.mark.parametrize("name", ENDS)
def test_every_kind_of_input_and_output(name, tmp_path):
    """Runs and finds all equal; one wrong bit in the last output, or another type, is noticed."""
    artifact = made(name)
    build(tmp_path, artifact)
    code, printed = run(tmp_path)
    assert code == 0 and printed.endswith(f"\n{name}: 3 of 3 tests equal in every bit\n")
    assert len(printed.splitlines()) == 2
    for ending, change, words in (
        ("_vectors.h", last_bit, "2 of 3 tests equal"),
        ("_settings.h", another_type("Output"), "input or output is not what"),
        ("_settings.h", another_type("Input"), "input or output is not what"),
    ):
        rebuild(tmp_path, edited(artifact, ending, change))
        code, printed = run(tmp_path)
        assert code == 1 and words in printed, printed


@pytest.mark.parametrize(
    "name, change, words",
    [
        ("two_inputs", another_number(0), "test 0: Invoke failed"),  # the stand-in knows no such input
        ("two_inputs", another_number(1), "test 0: Invoke failed"),
        ("two_outputs", one_bit, "test 0, output 0, number 0: bits 0x"),
        ("two_outputs", last_bit, "test 2, output 1, number 74: bits 0x"),
    ],
)
def test_every_input_is_fed_and_every_output_compared(name, change, words, tmp_path):
    build(tmp_path, edited(made(name), "_vectors.h", change))
    code, printed = run(tmp_path)
    assert code == 1 and words in printed and "2 of 3 tests equal" in printed, printed


def test_two_networks_in_one_folder(tmp_path):
    """No file of one replaces a file of the other, and one program can hold both."""
    both = [made("two_sums"), made("label")]
    for artifact in both:
        artifact.write(tmp_path)  # without force: it would refuse to replace a file
    assert len(list(tmp_path.iterdir())) == sum(len(artifact.files) for artifact in both)
    endings = ("model.h", "settings.h", "vectors.h")
    headers = [f'#include "{artifact.name}_{ending}"\n' for artifact in both for ending in endings]
    body = " && ".join(f"{a.name}_tflm::kModel[{a.name}_tflm::kModelSize - 1] == {a.main[-1]}" for a in both)
    (tmp_path / "case.h").write_text(case(both[0]))
    (tmp_path / "program.cc").write_text("".join(headers) + f"int main() {{ return {body} ? 0 : 1; }}\n")
    sources = ["program.cc", *(f"{artifact.name}_model.cc" for artifact in both)]
    command([*CXX, *FLAGS, *sources, "-o", "program"], tmp_path)
    assert run(tmp_path) == (0, "")


def test_hostile_names_compile(tmp_path, monkeypatch):
    monkeypatch.setattr(arena, "measure", lambda *args: 1600)
    for text in ("tflite", "std", "*/ int x; /*", '"', "a\\", "??/"):
        graph = SAMPLES["dense_only"]()
        artifact = tflm.emit(g.Graph(graph.nodes, graph.outputs, text), text)
        assert len({path.lower() for path in artifact.files}) == 7, text
        build(tmp_path / artifact.name, artifact, link=False)  # fails on any warning
