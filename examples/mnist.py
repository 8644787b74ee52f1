"""The paper's MNIST CNN, 32C5-MP2-64C5-MP2-512FC-10 (Deng et al. 2018): train, export, verify.

    python examples/mnist.py --data mnist.npz --epochs 10 --width 0.5

Without --data it loads keras.datasets.mnist (which downloads). Not the paper's schedule: 10
epochs of batch 128 with momentum increments instead of 4,000 of batch 10,000.
"""

import pathlib
import sys

import click
import keras
import numpy as np

import keras_gxnor

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from common import block, layer_types, save, show, train_and_ship

# x = (q - 128) / 128: a power of two, so that Keras' own float sums are exact.
SPEC = keras_gxnor.InputSpec(dtype="uint8", scale=1 / 128, zero_point=128)


def data(path):
    """(train codes, train labels, test codes, test labels); codes are uint8 (n, 28, 28, 1)."""
    if path is None:
        (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    else:
        with np.load(path) as file:
            x, y, x_test, y_test = (file[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    return x[..., None], y.astype(int), x_test[..., None], y_test.astype(int)


def build(width=1.0, discrete=True):
    """The paper's net with `width` times its channels, or the same in float32 with ReLU."""
    conv, dense = layer_types(discrete)
    sizes = [max(1, round(width * n)) for n in (32, 64, 512)]
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *block(conv(sizes[0], 5, use_bias=False), pool=True, discrete=discrete),
            *block(conv(sizes[1], 5, use_bias=False), pool=True, discrete=discrete),
            keras.layers.Flatten(),
            *block(dense(sizes[2], use_bias=False), discrete=discrete),
            dense(10, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
        ],
        name="mnist",
    )


@click.command()
@click.option("--data", "path", type=click.Path(exists=True), envvar="GXNOR_DATA",
              help="mnist.npz with x_train, y_train, x_test, y_test; default: keras.datasets.")
@click.option("--epochs", default=10, type=click.IntRange(1), show_default=True)
@click.option("--width", default=1.0, show_default=True, help="Times the paper's channels.")
@click.option("--seed", default=0, show_default=True)
@click.option("--emulate", default=200, show_default=True,
              help="Images for the slow judges: tflite-micro and the emulated Cortex-M4.")
@click.option("--out", default="build/mnist", show_default=True, help="Folder of the results.")
@click.option("--json", "json_path", default=None, help="Where to write the report.")
def main(path, epochs, width, seed, emulate, out, json_path):
    """Trains, exports and verifies the paper's MNIST CNN."""
    if path is not None and pathlib.Path(path).is_dir():
        path = pathlib.Path(path) / "mnist.npz"
    codes, labels, test_codes, test_labels = data(path)
    report = train_and_ship(
        lambda discrete: build(width, discrete),
        (codes, labels),
        (test_codes, test_labels),
        SPEC,
        epochs,
        128,
        0.2,
        seed,
        out,
        {"tflite_micro": emulate, "c_cortex_m4": emulate},
    )
    show(f"MNIST, width {width:g}, {epochs} epochs, last epoch", report)
    save(report, json_path or pathlib.Path(out) / "report.json")


if __name__ == "__main__":
    main()
