"""Dependencies point down only: import-linter on the installed layout, and proof that it bites."""

import ast
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def layout(tmp_path):
    """The package as installed: converters inside it."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "keras_gxnor", tmp_path / "keras_gxnor", ignore=ignore)
    shutil.copytree(ROOT / "converters", tmp_path / "keras_gxnor" / "converters", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _lint(folder):
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-P", "-c", program, "--no-cache"],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)},
    )


def test_layers_hold(layout):
    done = _lint(layout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "4 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    "module, line",
    [
        ("packing.py", "import tensorflow"),
        ("graph.py", "import keras"),
        ("reference.py", "from keras_gxnor import lowering"),
        ("spaces.py", "from keras_gxnor import graph"),
        ("layers/dense.py", "from keras_gxnor import lowering"),
        ("lowering/flow.py", "from keras_gxnor import converters"),
        ("converters/tflite.py", "import tensorflow"),
    ],
)
def test_a_wrong_import_breaks_them(layout, module, line):
    path = layout / "keras_gxnor" / module
    path.write_text(path.read_text() + f"\n{line}\n")
    done = _lint(layout)
    assert done.returncode != 0 and "broken" in done.stdout


def _modules():
    return [*(ROOT / "keras_gxnor").rglob("*.py"), *(ROOT / "converters").rglob("*.py")]


def test_rooms_are_small():
    sizes = sorted(len(path.read_text().splitlines()) for path in _modules())
    assert sizes[-1] <= 400 and sizes[len(sizes) // 2] <= 170
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = node.end_lineno - body[0].lineno + 1 if body else 0
                assert length <= 50, f"{path.name}: {node.name} has {length} lines"


def test_no_private_keras_and_every_public_name_is_documented():
    for path in _modules():
        text = path.read_text()
        assert not re.search(r"keras\.src|tf\.keras|(import|from) tf_keras", text), path
        for node in ast.parse(text).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"
