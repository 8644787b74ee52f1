"""A ternary CNN on scikit-learn's bundled digits: train, export, verify, print.

    python examples/digits.py --out build/demo

Trains on 1,437 images of 8x8 pixels (and their shifts by one pixel), tests on the other 360.
"""

import pathlib
import sys

import click
import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_gxnor

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from common import accuracy, block, console, float_weight_bytes, save, ship, show, train

# Pixels are 0..16. A scale of 2^-3 keeps Keras' own float sums exact: x = (q - 8) / 8.
SPEC = keras_gxnor.InputSpec(dtype="uint8", scale=1 / 8, zero_point=8)
HELD_OUT = 360


def data():
    """(train codes, test codes, train labels, test labels); codes are uint8 (n, 8, 8, 1)."""
    digits = load_digits()
    codes = digits.images.astype(np.uint8)[..., None]
    return train_test_split(
        codes, digits.target, test_size=HELD_OUT, random_state=0, stratify=digits.target
    )


def with_shifts(codes, labels):
    """The images and their shifts by one pixel up, down, left and right."""
    padded = np.pad(codes, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    shifted = [padded[:, y : y + 8, x : x + 8] for y, x in places]
    return np.concatenate(shifted), np.tile(labels, len(places))


def build(discrete=True):
    """The ternary net, or the same net in float32 with ReLU."""
    conv = keras_gxnor.GXNORConv2D if discrete else keras.layers.Conv2D
    dense = keras_gxnor.GXNORDense if discrete else keras.layers.Dense
    same = {"padding": "same", "use_bias": False}
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            *block(conv(32, 3, **same), discrete=discrete),
            *block(conv(64, 3, **same), pool=True, discrete=discrete),
            *block(conv(64, 3, **same), pool=True, discrete=discrete),
            keras.layers.Flatten(),
            *block(dense(128, use_bias=False), discrete=discrete),
            dense(10, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
        ],
        name="digits",
    )


@click.command()
@click.option("--epochs", default=20, show_default=True, help="Passes over the shifted images.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default="build/demo", show_default=True, help="Folder of the results.")
def main(epochs, seed, out):
    """Trains, exports and verifies a ternary CNN on the bundled digits."""
    train_codes, test_codes, train_labels, test_labels = data()
    train_codes, train_labels = with_shifts(train_codes, train_labels)

    def scaled(codes):
        return (codes.astype(np.float32) - SPEC.zero_point) * SPEC.scale

    models = {}
    for discrete in (True, False):
        console.rule("ternary, DSTOptimizer" if discrete else "the same net in float32, Adam")
        keras.utils.set_random_seed(seed)
        models[discrete] = build(discrete)
        train(models[discrete], scaled(train_codes), train_labels, epochs, 64, discrete, seed)
    console.rule("export and verify")
    report = {
        "accuracy": accuracy(models[True], scaled(test_codes), test_labels),
        "float_accuracy": accuracy(models[False], scaled(test_codes), test_labels),
        "images": len(test_codes),
        "float_weight_bytes": float_weight_bytes(models[True]),
        **ship(models[True], "digits", test_codes, SPEC, out),
    }
    show("digits, 360 held-out images", report)
    save(report, pathlib.Path(out) / "report.json")


if __name__ == "__main__":
    main()
