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
from common import block, layer_types, save, show, train_and_ship

# Pixels are 0..16. A scale of 2^-3 keeps Keras' own float sums exact: x = (q - 8) / 8.
SPEC = keras_gxnor.InputSpec(dtype="uint8", scale=1 / 8, zero_point=8)
HELD_OUT = 360


def data(seed=0):
    """(train codes, test codes, train labels, test labels) of a split; codes are uint8 (n, 8, 8, 1)."""
    digits = load_digits()
    codes = digits.images.astype(np.uint8)[..., None]
    return train_test_split(
        codes, digits.target, test_size=HELD_OUT, random_state=seed, stratify=digits.target
    )


def with_shifts(codes, labels):
    """The images and their shifts by one pixel up, down, left and right."""
    padded = np.pad(codes, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    shifted = [padded[:, y : y + 8, x : x + 8] for y, x in places]
    return np.concatenate(shifted), np.tile(labels, len(places))


def build(discrete=True):
    """The ternary net, or the same net in float32 with ReLU."""
    conv, dense = layer_types(discrete)
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
@click.option("--epochs", default=20, type=click.IntRange(1), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default="build/demo", show_default=True, help="Folder of the results.")
def main(epochs, seed, out):
    """Trains, exports and verifies a ternary CNN on the bundled digits."""
    train_codes, test_codes, train_labels, test_labels = data()
    train_set = with_shifts(train_codes, train_labels)
    test_set = test_codes, test_labels
    report = train_and_ship(build, train_set, test_set, SPEC, epochs, 64, 0.1, seed, out)
    show("digits, 360 held-out images", report)
    save(report, pathlib.Path(out) / "report.json")


if __name__ == "__main__":
    main()
