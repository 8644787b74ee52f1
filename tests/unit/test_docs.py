"""The README's code runs, and says what it says."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from keras_gxnor.converters import host

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
PRELUDE = """
import keras, numpy as np, tensorflow as tf
import keras_gxnor

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # must come first in a process

def build():
    layers = [keras_gxnor.GXNORDense(3, use_bias=False), keras.layers.BatchNormalization(),
              keras_gxnor.DiscreteActivation(), keras_gxnor.GXNORDense(2)]
    return keras.Sequential([keras.Input((4,)), *layers])

x, y = np.random.default_rng(0).normal(size=(256, 4)).astype("float32"), np.ones((256, 2), "float32")
model = build()
model.compile(keras_gxnor.DSTOptimizer(0.1, seed=0), "squared_hinge")
"""


def _blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def _run(code, folder):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_readme_s_python_and_c(tmp_path):
    (code,) = _blocks("python")
    printed = _run(code, tmp_path)
    assert "equal to Keras in every logit" in printed
    assert printed.count("357              0               0") == 7, printed
    (source,) = _blocks("c")
    (tmp_path / "main.c").write_text(source + "\nint main(void) { return digits_selftest(scratch); }\n")
    subprocess.run(
        [*host.find_compiler(), "-std=c99", "-Wall", "-Werror", "-Ibuild/digits", "main.c", "-o", "main"],
        cwd=tmp_path, check=True,
    )
    subprocess.run([tmp_path / "main"], check=True)


def test_the_code_of_the_training_guide(tmp_path):
    """Every block, one after the other, on a small model; what they leave behind is looked at."""
    blocks = _blocks("python", TRAINING)
    assert len(blocks) == 3
    check = """
model.fit(x, y, verbose=0, callbacks=callbacks)
print(sorted(model.history.history))
"""
    printed = _run(PRELUDE + "\n".join([*blocks[:2], check, *blocks[2:]]), tmp_path)
    assert "activation/density" in printed and "kernel/transition_rate" in printed
    assert len(list((tmp_path / "runs" / "mnist").glob("*.gxnor"))) == 2
    assert (tmp_path / "runs" / "cluster" / "worker-0" / "ckpt-10.index").exists()


def test_the_code_of_the_tflite_guide(tmp_path):
    blocks = _blocks("python", (ROOT / "docs" / "tflite.md").read_text(encoding="utf-8"))
    assert len(blocks) == 2
    net = PRELUDE[: PRELUDE.index("strategy")] + """
layers = [keras_gxnor.GXNORConv2D(4, 3), keras.layers.BatchNormalization(), keras_gxnor.DiscreteActivation(),
          keras.layers.GlobalAveragePooling2D(), keras_gxnor.GXNORDense(3)]
model = keras.Sequential([keras.Input((6, 6, 1)), *layers], name="net")
"""
    printed = _run(net + "\n".join(blocks), tmp_path)
    assert "no, yes, maybe" in printed and "uint8 (?, 6, 6, 1)" in printed
    assert (tmp_path / "build" / "net" / "net.tflite").exists()
    assert list((tmp_path / "build" / "micro").glob("*_settings.h"))


def test_the_readme_names_what_exists():
    for path in re.findall(r"`((?:examples|converters|tests)/[\w/.]*)`", README):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"python (examples/\w+\.py)", README):
        assert (ROOT / name).exists(), name


def test_the_results_are_those_of_the_log():
    """Each training in the log stands in docs/results.md as mean and range over its seeds."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    groups = {}
    for line in (ROOT / "docs" / "results" / "trainings.jsonl").read_text().splitlines():
        run = json.loads(line)
        groups.setdefault(run["key"].rpartition(" seed ")[0], []).append(run["last"])
    assert len(groups) >= 9
    for key, last in groups.items():
        assert f"{sum(last) / len(last):.2f} ({min(last):.2f}-{max(last):.2f})" in text.replace("*", ""), key

    for file in ("finetune.json", "finetune_mnist.json"):
        for key, runs in json.loads((ROOT / "docs" / "results" / file).read_text())["runs"].items():
            cells = [runs[name] for name in ("converted", "scratch", "finetuned")]
            found = [f"{sum(c) / len(c):.2f} ({min(c):.2f}-{max(c):.2f})" for c in cells]
            found[1] += f" at {runs['scratch_rate']:g}"
            found[2] += f" at {runs['finetuned_rate']:g}"
            assert f"| {key} | {' | '.join(found)} |" in text, key


def test_the_code_of_the_c_guide(tmp_path):
    text = (ROOT / "docs" / "c.md").read_text(encoding="utf-8")
    blocks = _blocks("python", text)
    assert len(blocks) >= 3
    net = PRELUDE[: PRELUDE.index("strategy")] + """
layers = [keras_gxnor.GXNORConv2D(4, 3), keras.layers.BatchNormalization(), keras_gxnor.DiscreteActivation(),
          keras.layers.Flatten(), keras_gxnor.GXNORDense(3)]
model = keras.Sequential([keras.Input((12, 12, 1)), *layers])
"""
    printed = _run(net + "\n".join(blocks), tmp_path)
    assert "cortex-m4, zig -O2" in printed and "conv1" in printed
    (source,) = _blocks("c", text)
    (tmp_path / "main.c").write_text(source + "\nint main(void) { return classify() < 0; }\n")
    flags = ["-std=c99", "-Wall", "-Werror", "-Ibuild/net", "main.c", "-o", "main"]
    subprocess.run([*host.find_compiler(), *flags], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


@pytest.mark.slow
def test_the_code_of_the_models_guide(tmp_path):
    """The roads of docs/models.md: discretize, mixed precision, tfmot; each ends in an equal network."""
    blocks = _blocks("python", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"))
    assert len(blocks) == 3
    data = """
import numpy as np
from sklearn.datasets import load_digits
from keras_gxnor import DiscreteActivation, GXNORDense, calibrate

images, y = load_digits(return_X_y=True)
images, y = images[:450], y[:450]
codes = (8 * images + 64).astype("uint8")
flat = (codes.astype("float32") - 128) / 128
x, squares = flat.reshape(-1, 8, 8, 1), codes.reshape(-1, 8, 8, 1)
"""
    check = """
assert converters.verify(ternary, header, squares[:32]).ok and header.target == "c"
assert ternary.history.history["accuracy"][-1] > 0.5
assert converters.verify(mixed, exact, codes[:32]).ok and exact.target == "tflite"
spec = InputSpec(scale=1 / 128, zero_point=128)
carried = converters.convert(ours, "tflite", spec)
assert converters.verify(ours, carried, codes[:32]).ok
print("discrete:", [layer.name for layer in ternary.layers if hasattr(layer, "kernel_space")])
"""
    printed = _run("\n".join([data, *blocks, check]), tmp_path)
    assert "discrete: ['stem', 'depthwise', 'pointwise', 'classes']" in printed
    assert "DiscreteActivation" in printed.split("discrete:")[0]  # the tables of decisions
