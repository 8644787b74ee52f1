"""Small nets and data for the contract tests."""

import keras
import numpy as np

import keras_gxnor
from keras_gxnor.kernels import DiscreteVariable


def cnn(kernel_space="ternary", space="ternary", **conv):
    """A CNN with every kind of discrete layer; input (8, 8, 2), 3 logits."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras_gxnor.GXNORConv2D(8, 3, use_bias=False, kernel_space=kernel_space, **conv),
            keras.layers.MaxPooling2D(),
            keras.layers.BatchNormalization(),
            keras_gxnor.DiscreteActivation(space),
            keras.layers.Flatten(),
            keras_gxnor.GXNORDense(16, kernel_space=kernel_space),
            keras.layers.BatchNormalization(),
            keras_gxnor.DiscreteActivation(space),
            keras_gxnor.GXNORDense(3, kernel_space=kernel_space),
        ]
    )


def data(count=128, seed=0):
    """(float images that are codes / 128, labels): three fixed patterns under noise."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).normal(size=(3, 8, 8, 2))
    y = rng.integers(0, 3, count)
    codes = np.clip(np.rint(40 * (patterns[y] + rng.normal(size=(count, 8, 8, 2)))), -128, 127)
    return codes.astype(np.float32) / 128, y


def kernels(model):
    """The discrete kernels of a model."""
    return [v for v in model.trainable_variables if isinstance(v, DiscreteVariable)]


def compile_dst(model, learning_rate=0.1, jit_compile=False, seed=1, **kwargs):
    """Stock compile with a DSTOptimizer."""
    model.compile(
        keras_gxnor.DSTOptimizer(learning_rate, seed=seed, **kwargs),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def ids(value):
    """A test id: equal in every process, which str() of a Keras optimizer is not."""
    return type(value).__name__ if isinstance(value, keras.optimizers.Optimizer) else str(value)
