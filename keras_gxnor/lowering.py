"""The only bridge from Keras to `Graph`: layers become integer operations.

A hidden block is kernel -> (bias, max pooling, batch normalization) -> activation. Its
kernel makes integer sums; everything up to the activation is folded into integer
thresholds on them (`thresholds.py`). Batch normalization before the logits stays
float32, in the very order of operations that Keras uses.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor import chain, thresholds
from keras_gxnor import graph as g
from keras_gxnor.errors import InvalidArgumentError, UnsupportedLayerError
from keras_gxnor.layers import DiscreteActivation, GXNORConv2D, GXNORDense
from keras_gxnor.quantizers import MultiStep

_L = keras.layers


def from_keras(model, input_spec=None, name=None) -> g.Graph:
    """Lowers a trained Keras model to the integer graph that it computes.

    Supported: Sequential and Functional chains of GXNORDense, GXNORConv2D, MaxPooling2D,
    BatchNormalization, DiscreteActivation (or a quantizer as `activation=`), Flatten, a
    leading Rescaling, Dropout and other layers that do nothing at inference, ending in
    logits with or without batch normalization. An untrained model lowers as well: try it
    before a long training.

    Args:
        model: A built Keras model in float32.
        input_spec: The `InputSpec` of what the device feeds (None: uint8 / 255).
        name: Name of the graph (None: the model's).

    Returns:
        A checked `Graph`. `reference.run(graph, q)` equals the model on
        scale * (q - zero_point) bit for bit if the input scale is a power of two.

    Raises:
        UnsupportedLayerError: naming the layer, why, and the nearest supported form.
        GraphError: if an accumulator could reach 2^24.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    >>> [type(node.op).__name__ for node in from_keras(model, InputSpec(scale=1 / 128)).nodes]
    ['Input', 'Dense', 'Affine']
    """
    spec = g.InputSpec() if input_spec is None else input_spec
    if not isinstance(spec, g.InputSpec):
        raise InvalidArgumentError(f"`input_spec` must be an InputSpec. Received: {spec!r}")
    layers = chain.layers(model)
    shape = chain.input_shape(model)
    spec, layers = fold_rescaling(spec, layers)
    lowering = _Lowering(shape, spec)
    for layer in layers:
        lowering.add(layer)
    return lowering.finish(name or model.name)


def fold_rescaling(spec: g.InputSpec, layers):
    """Folds leading Rescaling layers into the input spec.

    Returns:
        (spec, the other layers, without those that do nothing at inference).

    Raises:
        UnsupportedLayerError: if the zero point would not be an integer in range.
    """
    layers = [layer for layer in layers if type(layer) not in _NOTHING]
    while layers and type(layers[0]) is _L.Rescaling:
        layer = layers.pop(0)
        factor, offset = layer.scale, layer.offset
        if np.ndim(factor) or np.ndim(offset) or not factor > 0:
            raise UnsupportedLayerError(
                f"Layer `{layer.name}` (Rescaling) must have a positive scalar scale and a scalar "
                f"offset. Received: scale={factor}, offset={offset}"
            )
        zero_point = spec.zero_point - offset / (factor * spec.scale)
        nearest = round(zero_point)
        if abs(zero_point - nearest) > 1e-9 * max(1, abs(nearest)):
            raise UnsupportedLayerError(
                f"Layer `{layer.name}` (Rescaling) puts zero at the input code {zero_point:g}, which "
                "is no integer. Nearest supported form for images: Rescaling(1 / 128, offset=-1), "
                "whose zero is 128."
            )
        try:
            spec = g.InputSpec(spec.dtype, spec.scale * factor, nearest)
        except InvalidArgumentError as error:
            raise UnsupportedLayerError(f"Layer `{layer.name}` (Rescaling): {error}") from error
    return spec, layers


class _Lowering:
    """Walks the chain; holds the nodes so far and what awaits an activation."""

    def __init__(self, shape, spec):
        self.nodes = []
        self.code_scale = spec.scale  # Keras value of one code
        self.unit = None  # Keras value of one accumulator unit, while sums are pending
        self.stages = []  # biases and batch normalizations on the pending sums, in order
        self.late = []  # pools and Flattens to emit after the activation
        self.feature_stages = []  # batch normalizations after a Flatten across pixels
        self.type = None
        self.emit("input", g.Input(shape, spec))

    @property
    def pending(self):
        return self.unit is not None

    def emit(self, name, op):
        taken = {node.name for node in self.nodes}
        unique, count = name, 1
        while unique in taken:
            unique, count = f"{name}_{count}", count + 1
        sources = [len(self.nodes) - 1] if self.nodes else []
        node = g.Node(unique, op, tuple(sources))
        self.type = g.infer(node, *([self.type] if sources else []))
        self.nodes.append(node)

    def add(self, layer):
        handler = _HANDLERS.get(type(layer))
        if handler is None:
            _unsupported(layer, "it has no exact integer form", _nearest(layer))
        if layer.compute_dtype != "float32":
            _unsupported(
                layer,
                f"it computes in {layer.compute_dtype}, whose sums are not exact",
                "the same model built in float32, with set_weights(model.get_weights())",
            )
        handler(self, layer)

    def start_sums(self, unit):
        self.unit, self.stages, self.late, self.feature_stages = unit, [], [], []

    def end_sums(self, code_scale):
        for layer in self.late:
            self.emit(layer.name, _OP_OF[type(layer)](layer))
        self.start_sums(None)
        self.code_scale = code_scale

    def finish(self, name):
        pooled = [layer for layer in self.late if isinstance(layer, _L.MaxPooling2D)]
        if not self.pending or pooled:
            last = f"`{pooled[0].name}` pools the logits" if pooled else "it ends in codes"
            raise UnsupportedLayerError(
                f"Model `{name}` must end in logits, but {last}. End it with GXNORDense(classes), "
                "with or without BatchNormalization after it."
            )
        if self.stages or not self.feature_stages:
            self.settle(self.stages)
        for layer in self.late:
            self.emit(layer.name, g.Flatten())
        self.settle(self.feature_stages)
        graph = g.Graph(tuple(self.nodes), (len(self.nodes) - 1,), name)
        graph.check()
        return graph

    def settle(self, stages):
        """Turns stages into float Affine nodes (the way to the logits)."""
        channels = self.type.shape[-1]
        pairs = [_affine(stage, channels) for stage in stages]
        unit = np.float32(self.unit)
        if pairs and g.is_power_of_two(unit):  # commutes with every rounding
            pairs[0] = (pairs[0][0] * unit, pairs[0][1])
        elif self.type.kind == "accumulator":
            pairs.insert(0, (np.full(channels, unit), np.zeros(channels, np.float32)))
        for scale, offset in pairs:
            self.emit("logits", g.Affine(scale, offset))
        self.unit = 1.0


def _kernel(low, layer):
    if low.pending:
        _unsupported(
            layer,
            "it reads sums, not codes, from the layer before",
            "a DiscreteActivation between the two",
        )
    _exact_space(layer, layer.kernel_space.readout)
    codes = layer.kernel_codes()
    if isinstance(layer, GXNORConv2D):
        _channels_last(layer)
        op = g.Conv2D(codes, layer.strides, layer.padding, layer.dilation_rate, layer.groups)
    elif len(low.type.shape) == 3:
        op = g.Conv2D(codes[None, None])
    elif len(low.type.shape) == 1:
        op = g.Dense(codes)
    else:
        _unsupported(layer, f"its input has shape {low.type.shape}", "Flatten before it")
    low.emit(layer.name, op)
    low.start_sums(low.code_scale * layer.kernel_space.readout.scale)
    if layer.bias is not None:
        low.stages.append(np.asarray(layer.bias.numpy()))
    _activate(low, layer, layer.activation)


def _activate(low, layer, activation):
    if activation is None or activation is keras.activations.linear:
        return
    if not isinstance(activation, MultiStep):
        _unsupported(
            layer,
            f"its activation is {getattr(activation, '__name__', activation)!r}",
            "a DiscreteActivation; for a softmax at the end, logits and from_logits=True in the loss",
        )
    if not low.pending:
        _unsupported(layer, "no kernel precedes it", "GXNORDense or GXNORConv2D before it")
    if low.feature_stages:
        _unsupported(layer, "it normalizes after a Flatten across pixels", "Flatten after it")
    space = activation.space
    _exact_space(layer, space)
    channels, unit = low.type.shape[-1], np.float32(low.unit)

    def codes_at(sums):
        x = tf.constant(sums.astype(np.float32) * unit)
        for stage in low.stages:
            x = _apply(stage, x, channels)
            thresholds.check_finite(x.numpy(), getattr(stage, "name", layer.name))
        return np.rint(activation(x).numpy() / space.scale).reshape(-1, channels).astype(np.int64)

    found, flipped = thresholds.search(codes_at, low.type.low, low.type.high, space.codes())
    separate = isinstance(layer, (DiscreteActivation, _L.Activation))
    low.emit(layer.name if separate else f"{layer.name}.step", g.Threshold(found, flipped, space))
    low.end_sums(space.scale)


def _apply(stage, x, channels):
    """What Keras computes on sums x, of shape (rows, channels) or broadcastable to it."""
    if isinstance(stage, np.ndarray):
        return x + stage
    ones = [1] * (stage.input_spec.ndim - 2)
    return stage(tf.reshape(x, [-1, *ones, channels]), training=False)


def _batch_normalization(low, layer):
    if not low.pending:
        _unsupported(
            layer,
            "it follows an activation or the input",
            "BatchNormalization between the kernel and its activation",
        )
    if any(isinstance(late, _L.MaxPooling2D) for late in low.late):
        _unsupported(
            layer, "it is the second one around a pooling", "one BatchNormalization, after the pooling"
        )
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
    if axis not in (-1, layer.input_spec.ndim - 1):
        _unsupported(layer, f"it normalizes axis {axis}", "axis=-1")
    across = low.late and low.type.shape[:-1] not in ((), (1, 1))
    (low.feature_stages if across else low.stages).append(layer)


def _max_pooling(low, layer):
    _channels_last(layer)
    if low.pending and any(not isinstance(stage, np.ndarray) for stage in low.stages):
        low.late.append(layer)  # commutes with the activation to come, which is rising
    else:  # a bias only shifts: pooling before it is the same
        low.emit(layer.name, _pool_op(layer))


def _flatten(low, layer):
    _channels_last(layer)
    if low.pending:
        low.late.append(layer)  # commutes with everything that works channel by channel
    else:
        low.emit(layer.name, g.Flatten())


def _pool_op(layer):
    return g.MaxPool2D(tuple(layer.pool_size), tuple(layer.strides), layer.padding)


def _exact_space(layer, space):
    if not g.is_power_of_two(space.scale):
        _unsupported(
            layer,
            f"half_range={space.half_range} is no power of two, so Keras' own sums carry rounding",
            "half_range=1",
        )


def _affine(stage, channels):
    """(scale, offset) of a bias or BatchNormalization, with Keras' own order of operations."""
    if isinstance(stage, np.ndarray):
        return np.ones(channels, np.float32), stage.astype(np.float32)
    scale = tf.math.rsqrt(tf.convert_to_tensor(stage.moving_variance) + stage.epsilon)
    if stage.scale:
        scale = scale * tf.convert_to_tensor(stage.gamma)
    shift = -tf.convert_to_tensor(stage.moving_mean) * scale
    if stage.center:
        shift = tf.convert_to_tensor(stage.beta) + shift
    thresholds.check_finite(scale.numpy(), stage.name)
    thresholds.check_finite(shift.numpy(), stage.name)
    return scale.numpy(), shift.numpy()


def _channels_last(layer):
    if layer.data_format != "channels_last":
        _unsupported(layer, f"its data_format is {layer.data_format!r}", "channels_last")


def _unsupported(layer, why, nearest):
    raise UnsupportedLayerError(
        f"Layer `{layer.name}` ({type(layer).__name__}) cannot be lowered: {why}. "
        f"Nearest supported form: {nearest}."
    )


def _nearest(layer):
    for known, advice in _ADVICE.items():
        if isinstance(layer, known):
            return advice
    return (
        "a chain of GXNORDense, GXNORConv2D, MaxPooling2D, BatchNormalization, "
        "DiscreteActivation and Flatten"
    )


_ADVICE = {
    _L.Conv2D: "GXNORConv2D, trained with DSTOptimizer",
    _L.Dense: "GXNORDense, trained with DSTOptimizer",
    (_L.ReLU, _L.LeakyReLU, _L.ELU, _L.PReLU): "DiscreteActivation",
    _L.Softmax: "logits as the output and from_logits=True in the loss",
    _L.AveragePooling2D: "MaxPooling2D",
    (_L.GlobalAveragePooling2D, _L.GlobalMaxPooling2D): "MaxPooling2D over the whole map, then Flatten",
    _L.Reshape: "keras.Input of the final shape (at the start), or Flatten",
    _L.Rescaling: "Rescaling as the first layer only",
    _L.Normalization: "Rescaling as the first layer",
    _L.LayerNormalization: "BatchNormalization",
    _L.ZeroPadding2D: 'padding="same" in the convolution',
}
_NOTHING = {
    _L.Dropout,
    _L.SpatialDropout2D,
    _L.GaussianDropout,
    _L.GaussianNoise,
    _L.AlphaDropout,
    _L.ActivityRegularization,
    _L.Identity,
    _L.RandomBrightness,
    _L.RandomContrast,
    _L.RandomFlip,
    _L.RandomRotation,
    _L.RandomTranslation,
    _L.RandomZoom,
}
_OP_OF = {_L.MaxPooling2D: _pool_op, _L.Flatten: lambda layer: g.Flatten()}
_HANDLERS = {
    GXNORDense: _kernel,
    GXNORConv2D: _kernel,
    _L.BatchNormalization: _batch_normalization,
    _L.MaxPooling2D: _max_pooling,
    _L.Flatten: _flatten,
    DiscreteActivation: lambda low, layer: _activate(low, layer, layer.quantizer),
    _L.Activation: lambda low, layer: _activate(low, layer, layer.activation),
}
