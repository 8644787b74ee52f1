import dataclasses
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_gxnor import reference
from keras_gxnor.converters import c_source, host
from keras_gxnor.errors import InvalidArgumentError, MissingExtraError, ToolError, VerificationError
from tests.conformance.samples import SAMPLES, inputs, same

ZIG = [sys.executable, "-m", "ziglang", "cc"]
BUILDS = {
    "zig -O2": (ZIG, ("-O2",)),
    "zig -Os": (ZIG, ("-Os",)),
    "gcc -O0": ("gcc", ("-O0",)),
    "gcc -O2": ("gcc", ("-O2",)),
    "gcc fast": ("gcc", ("-O3", "-march=native", "-ffp-contract=fast")),
}
SLOW = ("zig -Os", "gcc -O0", "gcc -O2", "gcc fast")


@pytest.fixture(scope="module")
def artifacts():
    return {name: c_source.emit(build(), name) for name, build in SAMPLES.items()}


@pytest.fixture(scope="module")
def small():
    return c_source.emit(SAMPLES["cnn_small"](), "small")


@pytest.mark.parametrize("build", [pytest.param(b, marks=[pytest.mark.slow] * (b in SLOW)) for b in BUILDS])
def test_every_sample_equals_the_reference(artifacts, build):
    compiler, flags = BUILDS[build]
    if compiler == "gcc" and not shutil.which("gcc"):
        pytest.skip("no gcc on this machine")
    library = host.Library(artifacts.values(), compiler, flags)
    for name, artifact in artifacts.items():
        x = inputs(artifact.graph, batch=16)
        assert same(library.run(artifact, x), artifact.graph, x), name
        assert library.selftest(artifact) == 0, name


def corrupted(artifact, suffix):
    """The artifact with one digit changed in the table whose name ends in `suffix`."""
    text = artifact.main.decode()
    table = re.search(rf"{suffix}\[\d+\] = {{(.*?)}}", text, re.DOTALL)
    number = re.search(r"0x[0-9a-f]+|-?\d[\d.]*", table[1])
    # The last digit of an integer; of a float the first decimal, which surely counts.
    digit = number[0].index(".") + 1 if "." in number[0] else len(number[0]) - 1
    place = table.start(1) + number.start() + digit
    other = "1" if text[place] != "1" else "2"
    text = text[:place] + other + text[place + 1 :]
    return dataclasses.replace(artifact, files={f"{artifact.name}.h": text.encode()})


@pytest.mark.parametrize(
    ("suffix", "layer"),
    [
        ("conv1_weights", 1),
        ("conv1_thresholds", 1),
        ("conv3_weights", 3),
        ("conv3_thresholds", 3),
        ("dense4_weights", 4),
        ("affine6_offset", 7),
    ],
)
def test_a_corrupted_table_is_seen(small, suffix, layer):
    bad = corrupted(small, suffix)
    assert bad.main != small.main
    assert host.selftest(bad) == layer


@pytest.mark.parametrize("suffix", ["conv1_weights", "dense4_weights", "affine6_offset"])
def test_comparing_logits_sees_a_corrupted_table(small, suffix):
    bad, x = corrupted(small, suffix), inputs(small.graph, batch=64)
    assert not np.array_equal(host.run(bad, x), reference.run(small.graph, x))


def test_a_fused_multiply_add_would_be_seen(artifacts):
    compiler, flags = BUILDS["gcc fast"]
    if not shutil.which(compiler):
        pytest.skip("no gcc on this machine")
    artifact = artifacts["cnn_spatial_logits"]
    files = {"unguarded.h": artifact.main.replace(b"volatile float", b"float")}
    library = host.Library([dataclasses.replace(artifact, files=files)], compiler, flags)
    macros = subprocess.run(
        [compiler, *flags, "-dM", "-E", "-x", "c", os.devnull], capture_output=True, text=True
    ).stdout
    if "__FMA__" not in macros and "__ARM_FEATURE_FMA" not in macros:
        pytest.skip("this processor has no fused multiply-add")
    x = inputs(artifact.graph, batch=64)
    assert not np.array_equal(library.run(artifact, x), reference.run(artifact.graph, x))


@pytest.mark.parametrize("name", ["cnn_small", "cnn_same", "dense_100", "cnn_spatial_logits"])
def test_one_word_of_scratch_less_is_an_overrun(artifacts, name):
    artifact = artifacts[name]
    sizes = {**artifact.sizes, "scratch": artifact.sizes["scratch"] - 4}
    tight = dataclasses.replace(artifact, sizes=sizes)
    with pytest.raises(VerificationError, match="beyond its scratch"):
        host.run(tight, inputs(artifact.graph))


def test_progress_ends_with_all_images(small):
    seen = []
    x = inputs(small.graph, batch=600)
    logits = host.run(small, x, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(256, 600), (512, 600), (600, 600)]
    np.testing.assert_array_equal(logits, reference.run(small.graph, x))


def test_a_batch_of_none(small):
    assert host.run(small, inputs(small.graph, 2)[:0]).shape == (0, 10)


def test_floats_are_refused(small):
    with pytest.raises(InvalidArgumentError, match="integer codes"):
        host.run(small, np.zeros((1, 12, 12, 1), np.float32))


def test_a_failing_compiler_is_quoted(small):
    with pytest.raises(ToolError, match="nonsense"):
        host.Library([small], ZIG, ("-nonsense",))
    with pytest.raises(ToolError, match="no_such_compiler"):
        host.run(small, inputs(small.graph), compiler="no_such_compiler")


def test_find_compiler_takes_the_path_first_and_zig_last(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda command: command == "gcc")
    assert host.find_compiler() == ["gcc"]
    monkeypatch.setattr(shutil, "which", lambda command: None)
    assert host.find_compiler() == ZIG
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(MissingExtraError, match=r"keras_gxnor\[mcu\]"):
        host.find_compiler()


def test_the_program_in_the_header_works(small, tmp_path):
    (tmp_path / "small.h").write_bytes(small.main)
    (tmp_path / "other.c").write_text('#include "small.h"\nint classes(void) { return SMALL_OUTPUT_SIZE; }\n')
    (tmp_path / "main.c").write_text(
        """
        #define SMALL_IMPLEMENTATION
        #include "small.h"
        static uint32_t scratch[SMALL_SCRATCH_BYTES / 4];
        int main(void)
        {
            float logits[SMALL_OUTPUT_SIZE];
            uint8_t *input = (uint8_t *)(scratch + SMALL_INPUT_WORD);
            int i;
            if (small_selftest(scratch) != 0) {
                return 99;
            }
            for (i = 0; i < SMALL_INPUT_SIZE; i++) {
                input[i] = (uint8_t)(7 * i);
            }
            small_run(input, logits, scratch);
            return small_argmax(logits);
        }
        """
    )
    host.compile_c([*host.find_compiler(), "main.c", "other.c", "-o", "program"], tmp_path)
    code = (7 * np.arange(144)).astype(np.uint8).reshape(1, 12, 12, 1)
    done = subprocess.run([tmp_path / "program"], timeout=60)
    assert done.returncode == reference.run(small.graph, code)[0].argmax()
