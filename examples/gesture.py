"""A ternary 1-D convolution net on a 3-axis accelerometer: train, export, verify, print.

    python examples/gesture.py                              # synthetic movements, nothing to download
    python examples/gesture.py --data recordings

A float net with ReLUs is trained first; `keras_gxnor.discretize` makes the ternary net of it, which is
trained as long again. `--scratch` starts it at random, to compare.

The default movements are synthetic: NumPy makes windows of 2 s at 64 Hz of what a sensor on a wrist or a
machine might see, each with another speed, strength, tilt, start and noise. They show that all of it
works, and are no measure for real gestures.

--data takes a folder with one sub-folder a class of `.csv` files: 128 lines each of three numbers, the
acceleration along x, y and z in g, without a heading. A fifth of each class is held out. The device
feeds int8 codes of 1/32 g, which is what most sensors of +-4 g give in their low-resolution mode.
"""

import pathlib
import sys

import click
import keras
import numpy as np

import keras_gxnor
from keras_gxnor.errors import InvalidArgumentError

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from common import block, discretized, given, kind, options, quicker, save, show, train_and_ship

STEPS, RATE, AXES = 128, 64, 3
# A power of two, so that Keras' own float sums are exact; -4 g to 3.97 g.
SPEC = keras_gxnor.InputSpec(dtype="int8", scale=1 / 32, zero_point=0)
CLASSES = "rest circle circle_back swipe swipe_back shake tap_twice motor worn_motor".split()


def _movement(name, t, rng) -> np.ndarray:
    """Acceleration (steps, 3) in g without gravity, of a movement that begins at t = 0 and takes 1."""
    during = ((t > 0) & (t < 1)) * np.sin(np.pi * np.clip(t, 0, 1))
    turn, none = 2 * np.pi * t, np.zeros_like(t)
    if name.startswith("circle"):
        side = np.sin(2 * turn) * (-1 if name.endswith("back") else 1)
        return np.stack([during * np.cos(2 * turn), during * side, none], 1)
    if name.startswith("swipe"):
        push = during * np.sin(turn) * (-1 if name.endswith("back") else 1)
        return np.stack([push, 0.2 * push, 0.3 * during], 1)
    if name == "shake":
        return np.stack([1.2 * during * np.sin(7 * turn), 0.3 * during * np.cos(7 * turn), none], 1)
    if name == "tap_twice":
        later = rng.uniform(0.25, 0.4)
        taps = [np.exp(-60 * (t - s)) * (t > s) * np.cos(60 * (t - s)) for s in (0, later)]
        return np.stack([none, none, 1.5 * sum(taps)], 1)
    if name.endswith("motor"):  # runs all the time; a worn one shakes at half its speed too
        speed, phase = rng.uniform(14, 20), rng.uniform(0, 2 * np.pi, 2)
        hum = 0.4 * np.sin(speed * turn + phase[0])
        worn = 0.25 * np.sin(speed / 2 * turn + phase[1]) if name == "worn_motor" else none
        return np.stack([hum + worn, 0.7 * hum, 0.5 * worn], 1)
    return np.zeros((len(t), AXES))


def synthetic(windows, seed):
    """Windows of made-up movements, as many of each.

    Args:
        windows: How many.
        seed: Of the random numbers.

    Returns:
        (int8 codes of shape (windows, STEPS, AXES), labels), in random order.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(windows) % len(CLASSES))
    made = []
    for label in labels:
        takes, now = rng.uniform(0.7, 1.6), np.arange(STEPS) / RATE
        t = (now - rng.uniform(0.05, 1.9 - takes)) / takes
        move = rng.uniform(0.35, 1.2) * _movement(CLASSES[label], t, rng) + [0, 0, 1]
        drift = np.cumsum(rng.normal(0, 0.02, (STEPS, AXES)), axis=0)  # the hand is never still
        noise = rng.normal(0, rng.uniform(0.03, 0.25), (STEPS, AXES))
        made.append((move + drift) @ _tilt(rng.normal(0, 0.25, 3)) + noise)
    return _codes(np.stack(made)), labels


def _tilt(angles) -> np.ndarray:
    """Rotation by three angles, one after the other."""
    result = np.eye(AXES)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % AXES, (axis + 2) % AXES
        turn = np.eye(AXES)
        turn[[i, j], [i, j]], turn[i, j], turn[j, i] = np.cos(angle), -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def _codes(g) -> np.ndarray:
    """int8 codes of accelerations in g."""
    return np.clip(np.rint(g * 32), -128, 127).astype(np.int8)


def read(folder):
    """(names, (train codes, labels), (test codes, labels)) of a folder as the docstring says.

    Sub-folders without a `.csv` file, and those whose names start with `.`, are no classes.

    Raises:
        InvalidArgumentError: if there are not two classes, one has not five files, or a file is not
            as said.
    """
    classes = {
        place.name: [path for path in sorted(place.glob("*.csv")) if path.is_file()]
        for place in sorted(pathlib.Path(folder).iterdir())
        if place.is_dir() and not place.name.startswith(".")
    }
    classes = {name: paths for name, paths in classes.items() if paths}
    if len(classes) < 2 or min(map(len, classes.values())) < 5:
        counts = {name: len(paths) for name, paths in classes.items()}
        raise InvalidArgumentError(
            "Expected a folder with two sub-folders or more, each of five `.csv` files or more. "
            f"Received: {folder} with {counts}"
        )
    codes = _codes(np.stack([_window(path) for paths in classes.values() for path in paths]))
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes.values()])
    order = np.random.default_rng(0).permutation(len(labels))
    held_out = np.zeros(len(labels), bool)
    for label in range(len(classes)):
        held_out[np.flatnonzero(labels[order] == label)[4::5]] = True
    sets = [(codes[part], labels[part]) for part in (order[~held_out], order[held_out])]
    return list(classes), *sets


def _window(path) -> np.ndarray:
    """Accelerations (STEPS, AXES) in g."""
    try:
        window = np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError as error:
        raise InvalidArgumentError(f"{path} must hold numbers with commas: {error}") from error
    if window.shape != (STEPS, AXES):
        raise InvalidArgumentError(f"{path} must hold {STEPS} x {AXES} numbers. Received: {window.shape}")
    if not np.isfinite(window).all():
        row, axis = np.argwhere(~np.isfinite(window))[0]
        raise InvalidArgumentError(
            f"{path} must hold finite numbers. Received: {window[row, axis]} in line {row + 1}"
        )
    return window


def build(classes, discrete=True):
    """The ternary net, or the same net in float32 with ReLU."""
    conv = kind(discrete, keras_gxnor.GXNORConv1D, keras.layers.Conv1D)
    dense = kind(discrete, keras_gxnor.GXNORDense, keras.layers.Dense)
    same = {"padding": "same", "use_bias": False}
    return keras.Sequential(
        [
            keras.Input((STEPS, AXES)),
            *block(conv(32, 7, strides=2, **same), discrete=discrete),
            *block(conv(64, 5, strides=2, **same), discrete=discrete),
            *block(conv(64, 5, strides=2, **same), discrete=discrete),
            *block(conv(64, 3, **same), discrete=discrete),
            keras.layers.GlobalAveragePooling1D(),
            dense(classes, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
        ],
        name="gesture",
    )


@click.command()
@click.option("--data", "folder", type=click.Path(exists=True, file_okay=False), help="Folder of recordings.")
@options(epochs=10, out="build/gesture")
def main(folder, epochs, seed, out, scratch, quick):
    """Trains, exports and verifies a ternary 1-D net on accelerations."""
    if folder:
        with given("--data"):
            names, *sets = read(folder)
    else:
        names, sets = CLASSES, (synthetic(6000, seed + 1), synthetic(1000, seed + 2))
    epochs, train_set, test_set, limits = quicker(quick, epochs, *sets)
    report = train_and_ship(
        lambda discrete: build(len(names), discrete),
        *(train_set, test_set, SPEC, epochs, 64, 0.1, seed, out, limits, None if scratch else discretized),
    )
    what = "recordings" if folder else "synthetic movements"
    show(f"{what} of {len(names)} classes, {report['images']:,} held-out windows", report)
    save({"classes": names, **report}, pathlib.Path(out) / "report.json")


if __name__ == "__main__":
    main()
