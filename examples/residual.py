"""A small ternary residual network for images: train, export, verify, print.

    python examples/residual.py                                  # scikit-learn's digits, nothing to download
    python examples/residual.py --data mnist.npz --epochs 5
    python examples/residual.py --data cifar10_jpeg.npz --width 2

A float net with ReLUs is trained first; `keras_gxnor.discretize` makes the ternary net of it, which is
trained as long again. `--scratch` starts it at random, to compare.

A block adds what it computes to what came in. Ternary codes add up to small integers, -2..2, so the
sum is an integer sum on the device as well, and the batch normalization behind it a pair of integer
thresholds a channel: nothing between the pixels and the logits is rounded.

--data takes an .npz with `x_train`, `y_train`, `x_test`, `y_test` (uint8 images of at least 8x8, gray
or RGB; integer labels 0, 1, 2 ...), or with JPEG files end to end as `train_jpeg`, `train_offsets`,
`train_label` and the same for `test`, where image i is bytes offsets[i] to offsets[i + 1].
"""

import pathlib
import sys
import zipfile
import zlib

import click
import keras
import numpy as np
import tensorflow as tf

import keras_gxnor
from keras_gxnor.errors import InvalidArgumentError

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import digits
from common import discretized, given, kind, options, quicker, save, show, train_and_ship

# A scale of 2^-k keeps Keras' own float sums exact.
IMAGES = keras_gxnor.InputSpec(dtype="uint8", scale=1 / 128, zero_point=128)
_BROKEN = (zipfile.BadZipFile, zlib.error, tf.errors.OpError)  # what damaged files raise


def data(path, seed):
    """(input spec, (train codes, labels), (test codes, labels)); codes are uint8 (n, h, w, channels).

    Raises:
        InvalidArgumentError: if the file does not hold what the docstring says.
    """
    if path is None:
        x, x_test, y, y_test = digits.data(seed)
        return digits.SPEC, (x, y), (x_test, y_test)
    try:
        with np.load(path) as file:
            sets = _sets(file)
    except (LookupError, TypeError, ValueError, EOFError, *_BROKEN) as error:
        raise InvalidArgumentError(
            f"{path} is no .npz of images; expected what the top of {pathlib.Path(__file__).name} lists. "
            f"Received: {error}"
        ) from error
    return IMAGES, *_checked(path, *sets)


def _sets(file):
    """[(images, labels) to train with, (images, labels) to test with], as they are in the file."""
    if "train_jpeg" not in file:
        return [(file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")]
    return [
        (_decoded(file[f"{part}_jpeg"], file[f"{part}_offsets"]), file[f"{part}_label"])
        for part in ("train", "test")
    ]


def _checked(path, train_set, test_set):
    """Both sets as (codes (n, h, w, channels), labels (n,)), if they are images and their classes."""
    made = []
    for part, (x, y) in (("train", train_set), ("test", test_set)):
        what = f"{path}, {part}: "
        x = x if x.ndim == 4 else x[..., None]
        form = x.dtype == np.uint8 and x.ndim == 4 and len(x)
        if not form or min(x.shape[1:3]) < 8 or x.shape[3] not in (1, 3):
            raise InvalidArgumentError(
                f"{what}expected uint8 images (n, height, width) or (n, height, width, 1 or 3), of 8 x 8 "
                f"or more. Received: {x.dtype} of shape {x.shape}"
            )
        if y.shape not in ((len(x),), (len(x), 1)) or y.dtype.kind not in "iu" or y.min() < 0:
            raise InvalidArgumentError(
                f"{what}expected {len(x)} labels, integers from 0 (one-hot ones: use argmax). "
                f"Received: {y.dtype} of shape {y.shape}, {np.ravel(y)[:5]}"
            )
        made.append((x, y.ravel().astype(int)))
    (x, y), (x_test, y_test) = made
    if x.shape[1:] != x_test.shape[1:] or y.max() < y_test.max() or y.max() < 1:
        raise InvalidArgumentError(
            f"{path}: expected images of one shape, of two classes or more, and to test only with classes "
            f"to train with. Received: {x.shape[1:]} and {x_test.shape[1:]}, labels up to {y.max()} and "
            f"{y_test.max()}"
        )
    return made


def _decoded(stream, offsets):
    stream = stream.tobytes()
    return np.stack([tf.io.decode_jpeg(stream[a:b]).numpy() for a, b in zip(offsets[:-1], offsets[1:])])


def build(shape, classes, width=1, discrete=True):
    """The ternary net, or the same net in float32 with ReLU.

    Args:
        shape: Of an image.
        classes: Number of logits.
        width: Times the channels.
        discrete: Which of the two.
    """
    conv = kind(discrete, keras_gxnor.GXNORConv2D, keras.layers.Conv2D)
    dense = kind(discrete, keras_gxnor.GXNORDense, keras.layers.Dense)
    activation = keras_gxnor.DiscreteActivation if discrete else keras.layers.ReLU

    def step(x):
        return activation()(keras.layers.BatchNormalization(momentum=0.9)(x))

    def block(x, filters, strides):
        same = {"padding": "same", "use_bias": False}
        y = step(conv(filters, 3, strides=strides, **same)(x))
        y = step(conv(filters, 3, **same)(y))
        if strides > 1:
            x = step(conv(filters, 1, strides=strides, **same)(x))
        return step(keras.layers.Add()([x, y]))

    image = x = keras.Input(shape)
    x = step(conv(16 * width, 3, padding="same", use_bias=False)(x))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        x = block(x, filters * width, strides)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(dense(classes, use_bias=False)(x))
    return keras.Model(image, x, name="residual")


@click.command()
@click.option("--data", "path", type=click.Path(exists=True, dir_okay=False), help="An .npz; see above.")
@click.option("--width", default=1, type=click.IntRange(1), show_default=True, help="Times the channels.")
@options(epochs=20, out="build/residual")
def main(path, width, epochs, seed, out, scratch, quick):
    """Trains, exports and verifies a ternary residual network."""
    with given("--data"):
        spec, train_set, test_set = data(path, seed)
    shape, classes = train_set[0].shape[1:], int(train_set[1].max()) + 1
    epochs, train_set, test_set, limits = quicker(quick, epochs, train_set, test_set)
    report = train_and_ship(
        lambda discrete: build(shape, classes, width, discrete),
        *(train_set, test_set, spec, epochs, 64, 0.1, seed, out, limits, None if scratch else discretized),
    )
    what = pathlib.Path(path).name if path else "digits"
    show(f"residual network, {what}, {report['images']:,} held-out images", report)
    save(report, pathlib.Path(out) / "report.json")


if __name__ == "__main__":
    main()
