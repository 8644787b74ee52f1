"""The package works from a checkout, a wheel and every kind of editable install."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("keras_gxnor", "converters", "setup.py", "pyproject.toml", "README.md", "LICENSE", "LICENSE-0BSD")
PROBE = """
import importlib.util
import numpy as np
import keras_gxnor
from keras_gxnor import converters, graph as g

node = g.Node("in", g.Input((40,), g.InputSpec("int8", 1.0, 0)))
dense = g.Node("dense", g.Dense(np.ones((40, 3), np.int8)), (0,))
one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
net = g.Graph((node, dense, g.Node("logits", g.Affine(one, zero), (1,))), (2,), "net")
header = converters.convert(net, "c", check=False)
assert b"net_run" in header.main and b"0BSD" in header.main
assert converters.estimate(net).instructions > 100
assert b"gxnor::net" in converters.convert(net, "library", check=False).files["CMakeLists.txt"]
assert converters.convert(net, "tflite").main[4:8] == b"TFL3"
assert b"net_tflm" in converters.convert(net, "tflm").files["net_main.cc"]
assert all(hasattr(keras_gxnor, name) for name in keras_gxnor.__all__)
print(importlib.util.find_spec("converters") is not None)
print(converters.__file__)
"""


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name in SOURCES:
        path = ROOT / name
        ignore = shutil.ignore_patterns("__pycache__")
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=ignore)
        else:
            shutil.copy(path, folder / name)
    return folder


def _environment(folder):
    """An empty environment that sees the dependencies of this one, but not this package."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()
    (pathlib.Path(purelib) / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


def _probe(python, cwd, **env):
    done = subprocess.run(
        [python, "-c", PROBE], cwd=cwd, capture_output=True, text=True, timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **env},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    top_level, found = done.stdout.strip().splitlines()[-2:]
    return pathlib.Path(found).resolve(), top_level == "True"


def _install(python, *arguments):
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_plain_checkout(source, tmp_path):
    python = _environment(tmp_path / "env")
    found, _ = _probe(python, tmp_path, PYTHONPATH=str(source))
    assert found == source / "converters" / "__init__.py"


def test_wheel(source, tmp_path):
    python = _environment(tmp_path / "env")
    _install(python, source)
    shutil.rmtree(source)
    found, top_level = _probe(python, tmp_path)
    assert found.parts[-3:] == ("keras_gxnor", "converters", "__init__.py")
    assert not top_level  # no module called `converters` is installed


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=pytest.mark.slow) for mode in ("lenient", "strict", "compat")]
)
def test_editable(source, tmp_path, mode):
    python = _environment(tmp_path / "env")
    _install(python, "-e", source, "--config-settings", f"editable_mode={mode}")
    found, top_level = _probe(python, tmp_path)
    assert top_level == (mode == "compat")  # compat puts the whole checkout on the path
    assert found == source / "converters" / "__init__.py"


def test_importing_the_package_imports_no_extra():
    extras = "ai_edge_litert flatbuffers jinja2 click rich tflite_micro ziglang unicorn elftools sklearn"
    code = f"""
import sys
import tensorflow, keras
before = set(sys.modules)
import keras_gxnor
assert keras_gxnor.converters.convert and keras_gxnor.lowering.from_keras and keras_gxnor.reference.run
new = {{name.split(".")[0] for name in set(sys.modules) - before}}
assert not new & set({extras!r}.split()), new
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_public_names_are_one_explicit_list():
    import keras_gxnor

    assert sorted(keras_gxnor.__all__) == keras_gxnor.__all__
    assert all(hasattr(keras_gxnor, name) for name in keras_gxnor.__all__)
