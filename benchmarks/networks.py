"""The nets of the benchmarks, each in any kind of weight, and their data."""

import functools
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from latent import LatentConv2D, LatentDense

import keras_gxnor


def layers(kind):
    """(convolution, dense, activation) classes without biases for a kind of weight.

    Args:
        kind: `"float"` (float32 weights and ReLU), `"float_ternary"` (float32 weights, ternary
            activations), `"latent"` (straight-through), a `kernel_space` of keras_gxnor, or
            `"packed"` (ternary, four weights a byte).
    """
    bare = functools.partial
    if kind in ("float", "float_ternary"):
        activation = keras.layers.ReLU if kind == "float" else keras_gxnor.DiscreteActivation
        conv, dense = keras.layers.Conv2D, keras.layers.Dense
        return bare(conv, use_bias=False), bare(dense, use_bias=False), activation
    activation = keras_gxnor.DiscreteActivation
    if kind == "latent":
        return bare(LatentConv2D, use_bias=False), bare(LatentDense, use_bias=False), activation
    space = {"kernel_space": kind}
    if kind == "packed":
        space = {"kernel_space": "ternary", "kernel_storage": "packed"}
    conv = bare(keras_gxnor.GXNORConv2D, use_bias=False, **space)
    return conv, bare(keras_gxnor.GXNORDense, use_bias=False, **space), activation


def _norm():
    return keras.layers.BatchNormalization(momentum=0.9)


def mnist(kind, width=1.0, activation=None, pool_first=True):
    """The paper's 32C5-MP2-64C5-MP2-512FC-10, `width` times as wide; 581,408 weights.

    pool_first: whether pools come before normalization and activation, or after them: then
    converters of float nets can fold the normalization into the convolution.
    """
    conv, dense, usual = layers(kind)
    act = activation or usual
    a, b, c = (max(1, round(width * n)) for n in (32, 64, 512))
    stack = [keras.Input((28, 28, 1))]
    for filters in (a, b):
        pool, step = [keras.layers.MaxPooling2D()], [_norm(), act()]
        stack += [conv(filters, 5), *(pool + step if pool_first else step + pool)]
    stack += [keras.layers.Flatten(), dense(c), _norm(), act(), dense(10), _norm()]
    return keras.Sequential(stack)


def mlp(kind, width=1.0):
    """784-512-512-10, `width` times as wide; 668,672 weights."""
    _, dense, act = layers(kind)
    units = max(1, round(width * 512))
    stack = [keras.Input((28, 28, 1)), keras.layers.Flatten()]
    for _ in range(2):
        stack += [dense(units), _norm(), act()]
    return keras.Sequential([*stack, dense(10), _norm()])


def cifar(kind, width=1.0):
    """Strided net for CIFAR-10, 32C5/2-64C3/2-128C3/2-256-10: 621,408 weights, 3.5 million MACs."""
    conv, dense, act = layers(kind)
    stack = [keras.Input((32, 32, 3))]
    for filters, size, strides in ((32, 5, 2), (64, 3, 2), (128, 3, 2)):
        filters = max(1, round(width * filters))
        stack += [conv(filters, size, strides=strides, padding="same"), _norm(), act()]
    units = max(1, round(width * 256))
    stack += [keras.layers.Flatten(), dense(units), _norm(), act()]
    return keras.Sequential([*stack, dense(10), _norm()])


def separable(kind):
    """32C3/2, then 3x3 depthwise and 1x1 to 64, 128 (/2) and 128 (/2), mean of 4x4, 10; 30,208 weights."""
    conv, dense, act = layers(kind)
    stack = [keras.Input((28, 28, 1)), conv(32, 3, strides=2, padding="same"), _norm(), act()]
    channels = 32
    for filters, strides in ((64, 1), (128, 2), (128, 2)):
        window = {"strides": strides, "padding": "same"}
        if kind in ("float", "float_ternary"):
            depthwise = keras.layers.DepthwiseConv2D(3, use_bias=False, **window)
        else:
            depthwise = conv(channels, 3, groups=channels, **window)
        stack += [depthwise, _norm(), act(), conv(filters, 1), _norm(), act()]
        channels = filters
    return keras.Sequential([*stack, keras.layers.GlobalAveragePooling2D(), dense(10), _norm()])


def mnist_data(folder):
    """((x, y), (x_test, y_test)) of mnist.npz, x as float32 (q - 128) / 128."""
    path = pathlib.Path(folder) / "mnist.npz" if folder else None
    if path is None:
        (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    else:
        with np.load(path) as file:
            x, y, x_test, y_test = (file[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    return (_scaled(x[..., None]), y.astype(int)), (_scaled(x_test[..., None]), y_test.astype(int))


def cifar_data(folder):
    """((x, y), (x_test, y_test)) of cifar10_jpeg.npz, or of keras.datasets.cifar10.

    The two differ (JPEG is lossy): compare numbers only within one of them. The file holds,
    for train and test, `train_jpeg` (all JPEG files end to end, uint8), `train_offsets`
    (image i is bytes offsets[i] to offsets[i + 1]) and `train_label`.
    """
    if not folder:
        train, test = keras.datasets.cifar10.load_data()
        return tuple((_scaled(x), y.ravel().astype(int)) for x, y in (train, test))
    with np.load(pathlib.Path(folder) / "cifar10_jpeg.npz") as file:
        return tuple(
            (_scaled(_decode(file[f"{p}_jpeg"], file[f"{p}_offsets"])), file[f"{p}_label"].astype(int))
            for p in ("train", "test")
        )


def digits_data():
    """scikit-learn's 8x8 digits on a 28x28 field: what must run anywhere."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = np.kron(images.reshape(-1, 8, 8), np.ones((3, 3)))  # 24x24
    x = np.pad(_scaled(16 * x), ((0, 0), (2, 2), (2, 2)), constant_values=-1.0)[..., None]
    x = x.astype(np.float32)
    return (x[:1437], labels[:1437]), (x[1437:], labels[1437:])


def _decode(stream, offsets):
    data = stream.tobytes()
    return np.stack(
        [tf.io.decode_jpeg(data[a:b]).numpy() for a, b in zip(offsets[:-1], offsets[1:])]
    )


def _scaled(q):
    return (q.astype(np.float32) - 128) / 128
