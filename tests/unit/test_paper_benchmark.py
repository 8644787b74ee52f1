"""benchmarks/paper.py: its counts against brute force, and its studies in quick mode."""

import collections
import itertools
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_gxnor

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import paper  # noqa: E402
import plots  # noqa: E402

Conv, Dense = keras_gxnor.GXNORConv2D, keras_gxnor.GXNORDense
LAYERS = {
    "dense": (lambda: Dense(5, use_bias=False), (3, 7)),
    "dense_z3": (lambda: Dense(4, use_bias=False, kernel_space="z3"), (2, 6)),
    "dense_binary": (lambda: Dense(4, use_bias=False, kernel_space="binary"), (2, 6)),
    "dense_graded": (lambda: Dense(4, use_bias=False, kernel_space="graded"), (2, 6)),
    "valid": (lambda: Conv(3, 3, use_bias=False), (2, 5, 6, 2)),
    "same": (lambda: Conv(3, 3, padding="same", use_bias=False), (2, 5, 4, 2)),
    "strided": (lambda: Conv(2, (3, 2), strides=2, padding="same", use_bias=False), (2, 6, 5, 1)),
    "dilated": (lambda: Conv(2, 2, dilation_rate=2, padding="same", use_bias=False), (2, 5, 5, 2)),
    "grouped": (lambda: Conv(4, 3, groups=2, padding="same", use_bias=False), (2, 4, 4, 4)),
}


def _case(name):
    make, shape = LAYERS[name]
    layer = make()
    rng = np.random.default_rng(len(name))
    x = rng.choice([-1, 0, 0, 1], shape).astype(np.float32)
    x[-1] = 0  # so that some outputs are silent
    layer.build(x.shape)
    return layer, x


def _places(size, taps, stride, dilation, padding):
    """For each output place along one axis, the input places of its taps; None in the padding."""
    reach = (taps - 1) * dilation + 1
    outputs = -(-size // stride) if padding == "same" else -(-(size - reach + 1) // stride)
    before = max((outputs - 1) * stride + reach - size, 0) // 2 if padding == "same" else 0
    all_taps = [[o * stride - before + t * dilation for t in range(taps)] for o in range(outputs)]
    return [[place if 0 <= place < size else None for place in taps] for taps in all_taps]


def _pairs(layer, x):
    """For each output, its list of (weight, input), one a product; input None in the padding."""
    kernel = layer.kernel_codes()
    if isinstance(layer, Dense):
        for image, unit in itertools.product(x, range(kernel.shape[1])):
            yield [(kernel[i, unit], image[i]) for i in range(kernel.shape[0])]
        return
    arguments = zip(x.shape[1:3], layer.kernel_size, layer.strides, layer.dilation_rate)
    rows, columns = (_places(*axis, layer.padding) for axis in arguments)
    channels, filters = kernel.shape[2:]
    for image, row, column, f in itertools.product(x, rows, columns, range(filters)):
        first = f // (filters // layer.groups) * channels
        yield [
            (kernel[i, j, c, f], None if None in (row[i], column[j]) else image[row[i], column[j], first + c])
            for i, j, c in itertools.product(range(len(row)), range(len(column)), range(channels))
        ]


def _brute_force(layer, x):
    """`paper.count_products` one product after the other."""
    count = collections.Counter(inputs=x.size, zero_inputs=int((x == 0).sum()))
    for pairs in _pairs(layer, x):
        real = [(w, v) for w, v in pairs if v is not None]
        resting = sum(1 for w, v in real if w == 0 or v == 0)
        count.update(
            products=len(real), resting=resting, padded=len(pairs) - len(real),
            outputs=1, silent=int(resting == len(real)),
        )  # fmt: skip
    return count


def _check(counter, names=LAYERS):
    """Fails unless `counter` counts as brute force does, on every layer."""
    for name in names:
        layer, x = _case(name)
        found, expected = counter(layer, x), _brute_force(layer, x)
        assert {k: found[k] for k in expected} == dict(expected), name


@pytest.mark.parametrize("name", LAYERS)
def test_counts_are_those_of_brute_force(name):
    _check(paper.count_products, [name])
    layer, x = _case(name)
    count = paper.count_products(layer, x)
    assert 0 < count["silent"] < count["outputs"] and 0 < count["resting"] < count["products"]
    assert (count["padded"] > 0) == (name in ("same", "strided", "dilated", "grouped"))


def _as_if(change):
    """A wrong counter: the right one, and then a change to its counts."""

    def count(layer, x):
        right = paper.count_products(layer, x)
        return {**right, **change(right, layer, x)}

    return count


WRONG = {
    "padding rests": lambda n, layer, x: {
        "products": n["products"] + n["padded"], "resting": n["resting"] + n["padded"], "padded": 0
    },
    "inputs alone": lambda n, layer, x: {"resting": round(n["products"] * (x == 0).mean())},
    "weights alone": lambda n, layer, x: {
        "resting": round(n["products"] * (layer.kernel_codes() == 0).mean())
    },
    "as if independent": lambda n, layer, x: {
        "resting": round(n["products"] * (1 - (x != 0).mean() * (layer.kernel_codes() != 0).mean()))
    },
    "one too many": lambda n, layer, x: {"resting": n["resting"] + 1},
    "zero sums are silent": lambda n, layer, x: {
        "silent": int((layer(x).numpy() == 0).sum())
    },
    "states for weights": lambda n, layer, x: {
        "resting": n["resting"] - int((layer.kernel_codes() == 0).sum() - (layer.kernel.numpy() == 0).sum())
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_count_would_be_seen(name):
    with pytest.raises(AssertionError):
        _check(_as_if(WRONG[name]))


def test_observe_sees_what_each_layer_sees():
    """Counts over batches of unequal size, zeros and accuracy, against the layers one by one."""
    budget = paper.Budget(None, None, 1, 0.2, "momentum")
    model, (_, (x, labels)) = paper.build(paper.Point(0.1), budget), paper.data(budget)
    x, labels = x[:20], labels[:20]
    seen = paper.observe(model, x, labels, batch=7)
    assert seen["accuracy"] == (model.predict(x, verbose=0).argmax(1) == labels).mean()
    layers = [layer for layer in model.layers if hasattr(layer, "kernel_codes")]
    assert [part["discrete_input"] for part in seen["layers"]] == [False, True, True]
    for part, layer in zip(seen["layers"], layers):
        values = keras.Model(model.inputs, layer.input).predict(x, verbose=0)
        expected = _brute_force(layer, values)
        assert {k: part[k] for k in ("products", "resting", "padded", "outputs", "silent")} == {
            k: expected[k] for k in ("products", "resting", "padded", "outputs", "silent")
        }
        assert part["zero_inputs"] == (values == 0).mean()
        assert part["zero_weights"] == (layer.kernel_codes() == 0).mean()
    activations = [layer for layer in model.layers if isinstance(layer, keras_gxnor.DiscreteActivation)]
    for share, layer in zip(seen["zeros"], activations):
        assert share == (keras.Model(model.inputs, layer.output).predict(x, verbose=0) == 0).mean()


@pytest.mark.slow
def test_a_quick_study_prints_one_json_object_and_draws(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/paper.py", "m", "--quick", "--json", "--threads", "1"]
    done = subprocess.run(
        [*command, "--out", tmp_path], cwd=tmp_path, capture_output=True, text=True, timeout=900,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "m.json").read_text())
    assert report["study"] == "m" and report["seeds"] == [0] and report["settings"]["data"] == "digits"
    assert [(run["m"], run["rate"]) for run in report["runs"]] == [(3, 0.1), (None, 0.1), (None, 0.3)]
    for run in report["runs"]:
        assert 0.3 < run["accuracy"] <= 1 and 0 < run["transition_rate"] < 0.5
    steep, plain, faster = (run["transition_rate"] for run in report["runs"])
    assert steep > 1.5 * plain and faster > 1.5 * plain  # m = 3 moves more than slope 1 at one rate
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"
    assert plots.tables(report).count("unbiased") == 2


def test_points_are_the_papers_and_each_once():
    for study in plots.STUDIES:
        chosen = paper.points(study, 0.1, quick=False)
        assert len(set(chosen)) == len(chosen)
        assert paper.Point(0.1) in chosen
    assert {(p.n1, p.n2) for p in paper.points("spaces", 0.1, False)} >= {(0, 0), (1, 1), (6, 4)}


DOC = ROOT / "docs" / "paper.md"


@pytest.mark.parametrize("study", plots.STUDIES)
def test_the_document_shows_the_stored_reports(study):
    """Each line of a study's tables stands in docs/paper.md as its stored runs give it."""
    report = json.loads((ROOT / "docs" / "paper" / f"{study}.json").read_text())
    text = DOC.read_text(encoding="utf-8")
    for line in plots.tables(report).splitlines():
        assert line in text, line
    assert f"paper/{study}.png" in text and (ROOT / "docs" / "paper" / f"{study}.png").exists()
