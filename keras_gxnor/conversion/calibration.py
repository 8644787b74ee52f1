"""What the float model computes on examples, and the step that comes nearest to an activation."""

import dataclasses

import keras
import numpy as np

from keras_gxnor.conversion.planning import Role
from keras_gxnor.conversion.registry import ACTIVATIONS, activation_of
from keras_gxnor.quantizers import MultiStep

_EXAMPLES = 256
_SAMPLE = 4096
_OFFSETS = np.linspace(-1.5, 2.0, 15)  # of a step's center from the mean, in standard deviations
_WIDTHS = np.geomspace(0.25, 2.5, 12)  # of a step, in standard deviations


@dataclasses.dataclass(frozen=True)
class Measured:
    """What reaches an activation in the float model.

    Attributes:
        sample: float32 values of all channels, at most 4,096.
        mean, variance: Of each channel, (channels,).
    """

    sample: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def measure(found, changes, data, settled) -> dict:
    """{id of a layer: `Measured`} for the layers that get a step or a normalization.

    Args:
        found: The `Topology` of the float model.
        changes: Its changes, as a `Planner` found them.
        data: One array an input, as the model reads them.
        settled: Whether to trust the moving statistics of batch normalization; if not, those of
            `data` are taken, which make every layer see what it saw in training.
    """
    rng = np.random.default_rng(0)
    values, seen = dict(enumerate(data)), {}
    for call in found.calls:
        change, read = changes[id(call.layer)], [values[t] for t in call.inputs]
        if (change.left and len(read) > 1) or any(x is None for x in read):
            values[call.output] = None
            continue
        given = read if len(read) > 1 else read[0]
        linear = values[call.output] = _run(call.layer, given, settled)
        if change.space and activation_of(call.layer):
            values[call.output] = call.layer.activation(linear)
        if change.role is Role.STEP or change.norm or change.step:
            ahead = change.role is Role.STEP and isinstance(call.layer, ACTIVATIONS)
            seen.setdefault(id(call.layer), []).append(np.asarray(given if ahead else linear))
    return {key: _measured(arrays, rng) for key, arrays in seen.items()}


def examples(found, data):
    """(one array an input, whether they are real): a few examples, or noise if there are none."""
    rng = np.random.default_rng(0)
    if data is not None:
        flat = [np.asarray(x) for x in keras.tree.flatten(data)]
        rows = rng.permutation(len(flat[0]))[:_EXAMPLES]
        return [x[rows] for x in flat], True
    made = []
    for tensor, shape in enumerate(found.inputs):
        readers = [call.layer for call in found.consumers(tensor)]
        tables = [layer.input_dim for layer in readers if isinstance(layer, keras.layers.Embedding)]
        size = (_EXAMPLES, *shape)
        made.append(rng.integers(0, min(tables), size) if tables else rng.uniform(-1, 1, size))
    return [x.astype("int32" if x.dtype.kind == "i" else "float32") for x in made], False


def _run(layer, given, settled):
    """What a layer computes, its own activation left out."""
    if isinstance(layer, keras.layers.BatchNormalization) and not settled:
        kept = [v.numpy() for v in layer.non_trainable_variables]
        try:
            return layer(given, training=True)
        finally:
            for variable, value in zip(layer.non_trainable_variables, kept):
                variable.assign(value)
    if activation_of(layer) is None or isinstance(layer, ACTIVATIONS):
        return layer(given, training=False)
    linear = type(layer).from_config({**layer.get_config(), "activation": None})
    linear.build(np.shape(given))
    linear.set_weights(layer.get_weights())
    return linear(given, training=False)


def _measured(arrays, rng):
    flat = np.concatenate([x.ravel() for x in arrays])
    sample = flat if flat.size <= _SAMPLE else rng.choice(flat, _SAMPLE)
    rows = [x.reshape(-1, x.shape[-1]) for x in arrays if x.shape[-1] == arrays[0].shape[-1]]
    rows = np.concatenate(rows)
    return Measured(sample.astype(np.float32), rows.mean(0), rows.var(0))


@dataclasses.dataclass(frozen=True)
class Fit:
    """A step in the place of an activation f: f(y) is about value * step((y - offset) / width) + zero.

    Attributes:
        offset, width: What the normalization before the step takes away and divides by.
        value, zero: What an output of 1 and of 0 stand for in the float model.
        range: Of an unsigned quantizer; None of a `MultiStep`.
    """

    offset: float = 0.0
    width: float = 1.0
    value: float = 1.0
    zero: float = 0.0
    range: float | None = None


def fit(sample, function, quantizer) -> Fit:
    """The step with the least squared error on a sample.

    Args:
        sample: float32 values before the activation.
        function: The float activation, or None for none.
        quantizer: Callable that makes the values of the new activation space.
    """
    y = np.asarray(sample, np.float32)
    wanted = y if function is None else np.asarray(function(y[None]))[0]
    spread = float(y.std()) or 1.0
    if not isinstance(quantizer, MultiStep):
        return _unsigned(y, wanted, spread, quantizer)
    best, least = Fit(), np.inf
    for width in spread * (_WIDTHS if quantizer.space.code_step == 1 else np.ones(1)):
        for offset in y.mean() + spread * _OFFSETS:
            made = np.asarray(quantizer((y - np.float32(offset)) / np.float32(width)))
            value, zero = _line(made, wanted)
            error = np.mean((value * made + zero - wanted) ** 2)
            if value > 0 and error < least:
                best, least = Fit(float(offset), float(width), value, zero), error
    return best


def _line(x, y):
    """(slope, offset) of the least squares line."""
    variance = x.var()
    slope = float(((x - x.mean()) * (y - y.mean())).mean() / variance) if variance > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def _unsigned(y, wanted, spread, quantizer):
    """A ReLU in steps: in place if that is what the activation is, shifted for one with negative values."""
    top = np.ceil(np.log2(max(np.abs(y).max(), 1e-3)))
    best, least = Fit(range=4.0), np.inf
    for offset in (0.0, *np.quantile(y, (0.001, 0.01)), *(y.mean() + spread * _OFFSETS)):
        for reach in 2.0 ** np.arange(top - 3, top + 2):
            made = np.asarray(type(quantizer)(quantizer.space, float(reach))(y - np.float32(offset)))
            zero = float(np.mean(wanted - made)) if offset else 0.0
            error = np.mean((made + zero - wanted) ** 2)
            if error < least * 0.98:
                best, least = Fit(float(offset), 1.0, 1.0, zero, float(reach)), error
    return best
