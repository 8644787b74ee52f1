"""Every layer with discrete kernels, in one table and in one model."""

import keras
import numpy as np

import keras_gxnor
from tests.contract.nets import compile_dst

TOKENS = 11  # vocabulary of the embedding
_SEQUENCE, _IMAGE = (2, 12, 4), (2, 8, 9, 4)  # with the batch


class Case:
    """One layer as it is tested: what makes it, what it reads, the plain Keras layer."""

    def __init__(self, kind, shape, *args, **kwargs):
        self.shape, self.base = shape, getattr(keras.layers, kind)
        self.kind, self._args, self._kwargs = getattr(keras_gxnor, f"GXNOR{kind}"), args, kwargs
        self.looks_up = kind == "Embedding"
        self.has_channels = not self.looks_up and kind != "Dense"

    def make(self, **kwargs):
        """The layer, with further arguments."""
        return self.kind(*self._args, **{**self._kwargs, **kwargs})

    def data(self):
        """Integers as the layer reads them: floats, or token indexes."""
        rng = np.random.default_rng(0)
        if self.looks_up:
            return rng.integers(0, TOKENS, self.shape)
        return rng.integers(-9, 9, self.shape).astype(np.float32)

    def arguments(self, suffix, value):
        """{"kernel_<suffix>": value}, under this layer's names for its kernels."""
        return {f"{prefix}_{suffix}": value for prefix in self.kind.KERNELS.values()}

    def ends(self, **kwargs):
        """`kwargs` for bias and activation, none if the layer has neither."""
        return {} if self.looks_up else kwargs


LAYERS = {
    "dense": Case("Dense", (4, 7), 5),
    "conv1d": Case("Conv1D", _SEQUENCE, 6, 3, strides=2),
    "conv1d_causal": Case("Conv1D", _SEQUENCE, 6, 3, padding="causal", dilation_rate=2, groups=2),
    "conv2d": Case("Conv2D", _IMAGE, 6, 3),
    "conv2d_all": Case("Conv2D", _IMAGE, 6, (3, 2), padding="same", dilation_rate=2, groups=2),
    "depthwise1d": Case("DepthwiseConv1D", _SEQUENCE, 3, padding="same", depth_multiplier=2),
    "depthwise2d": Case("DepthwiseConv2D", _IMAGE, (3, 2), strides=2),
    "depthwise2d_all": Case("DepthwiseConv2D", _IMAGE, 3, 1, "same", 2, dilation_rate=2),
    "separable1d": Case("SeparableConv1D", _SEQUENCE, 6, 3, padding="same", dilation_rate=2),
    "separable2d": Case("SeparableConv2D", _IMAGE, 6, (2, 3), strides=2, depth_multiplier=2),
    "transpose": Case("Conv2DTranspose", _IMAGE, 6, 3, strides=2),
    "transpose_all": Case("Conv2DTranspose", _IMAGE, 6, (3, 2), strides=2, padding="same", output_padding=1),
    "embedding": Case("Embedding", (3, 6), TOKENS, 5),
}
ONE_OF_A_KIND = {case.kind: name for name, case in LAYERS.items()}.values()  # the last of each
_POOLS = {
    1: keras.layers.GlobalAveragePooling1D,
    2: keras.layers.GlobalAveragePooling2D,
}


def everything(**kwargs):
    """One model with `ONE_OF_A_KIND` side by side; inputs (images, tokens), 3 logits."""
    images, tokens = keras.Input(_IMAGE[1:], name="images"), keras.Input((6,), name="tokens")
    rows = keras.layers.Reshape((-1, _IMAGE[-1]))(images)
    sources, made = {2: rows, 3: rows, 4: images}, []
    for name in ONE_OF_A_KIND:
        case = LAYERS[name]
        y = case.make(name=name, **kwargs)(tokens if case.looks_up else sources[len(case.shape)])
        made.append(_POOLS[len(y.shape) - 2]()(y))
    y = keras.layers.BatchNormalization()(keras.layers.Concatenate()(made))
    y = keras_gxnor.DiscreteActivation()(y)
    return keras.Model([images, tokens], keras_gxnor.GXNORDense(3, name="last", **kwargs)(y))


def compile_all(model, mode="eager"):
    """Compiles it for one quick step: `mode` is "eager", "graph" or "xla"."""
    compile_dst(model, 1.0, rule="none", jit_compile=mode == "xla")
    model.run_eagerly = mode == "eager"
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        model.optimizer.initial_scale = 2.0**8  # 2^15, Keras' own, may overflow: it skips such steps
    return model


def everything_data(count=32):
    """((images, tokens), labels) for `everything`."""
    rng = np.random.default_rng(0)
    images = rng.integers(-128, 128, (count, *_IMAGE[1:])).astype(np.float32) / 128
    return (images, rng.integers(0, TOKENS, (count, 6))), rng.integers(0, 3, count)
