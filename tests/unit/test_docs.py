"""The README's code runs, and says what it says."""

import os
import pathlib
import re
import subprocess
import sys

from keras_gxnor.converters import host

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_readme_s_python_and_c(tmp_path):
    (code,) = _blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "equal to Keras in every logit" in done.stdout
    assert done.stdout.count("357              0               0") == 7, done.stdout
    (source,) = _blocks("c")
    (tmp_path / "main.c").write_text(source + "\nint main(void) { return digits_selftest(scratch); }\n")
    subprocess.run(
        [*host.find_compiler(), "-std=c99", "-Wall", "-Werror", "-Ibuild/digits", "main.c", "-o", "main"],
        cwd=tmp_path, check=True,
    )
    subprocess.run([tmp_path / "main"], check=True)


def test_the_readme_names_what_exists():
    for path in re.findall(r"`((?:examples|converters|tests)/[\w/.]*)`", README):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"python (examples/\w+\.py)", README):
        assert (ROOT / name).exists(), name
