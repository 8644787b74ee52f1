"""What the float model computes on examples, and the step that comes nearest to an activation."""

import collections.abc
import dataclasses
import math

import keras
import numpy as np

from keras_gxnor.conversion.planning import Role
from keras_gxnor.conversion.registry import ACTIVATIONS, activation_of
from keras_gxnor.conversion.windows import windows
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.graph import in_order
from keras_gxnor.quantizers import MultiStep
from keras_gxnor.topology import configuration

_EXAMPLES = (256, 1024)  # fewest and most that are looked at
_NUMBERS = 2**26  # that all layers together may compute, for more than the fewest
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


def measure(found, changes, data, settled, compensate=False) -> tuple[dict, dict]:
    """What layers compute, and what kernels read.

    Args:
        found: The `Topology` of the float model.
        changes: Its changes, as a `Planner` found them.
        data: One array an input, as the model reads them.
        settled: Whether to trust the moving statistics of batch normalization; if not, those of
            `data` are taken, which make every layer see what it saw in training.
        compensate: Whether to look at what kernels read.

    Returns:
        ({id of a layer: `Measured`} for the layers that get a step or a normalization, {id of a
        layer: {name of a kernel: `Windows`}} for those that get a discrete kernel).

    Raises:
        InvalidArgumentError: if a layer has weights that are not finite, or computes such values.
    """
    for change in changes.values():
        _refuse_not_finite(change.layer, "has weights", *change.layer.get_weights())
    rng = np.random.default_rng(0)
    values, seen, reads = dict(enumerate(data)), {}, {}
    for call in found.calls:
        change, read = changes[id(call.layer)], [values[t] for t in call.inputs]
        if (change.left and len(read) > 1) or any(x is None for x in read):
            values[call.output] = None
            continue
        given = read if len(read) > 1 else read[0]
        if change.space and compensate:
            reads.setdefault(id(call.layer), []).append(np.asarray(given, "float32"))
        apart = change.space and activation_of(call.layer)
        layer = _linear(call.layer, given) if apart else call.layer
        linear = values[call.output] = _run(layer, given, settled)
        if apart:
            values[call.output] = call.layer.activation(linear)
        if change.role is Role.STEP or change.norm or change.step:
            ahead = change.role is Role.STEP and isinstance(call.layer, ACTIVATIONS)
            seen.setdefault(id(call.layer), []).append(np.asarray(given if ahead else linear, "float32"))
    for key, arrays in seen.items():
        _refuse_not_finite(changes[key].layer, "reads or makes, of `calibration_data`, values", *arrays)
    measured = {key: _measured(arrays, rng) for key, arrays in seen.items()}
    for key, one in measured.items():
        what = "reads or makes, of `calibration_data`, values of a variance"
        _refuse_not_finite(changes[key].layer, what, one.variance)
    return measured, {key: windows(changes[key].layer, arrays) for key, arrays in reads.items()}


def _refuse_not_finite(layer, what, *arrays):
    if not all(np.isfinite(array).all() for array in arrays):
        raise InvalidArgumentError(
            f"Layer `{layer.name}` {what} that must be finite. Received: NaN or infinity. Take a model whose "
            "training did not diverge, and data as it was trained on."
        )


def examples(model, found, data):
    """(one array an input, whether they are real): a few examples, or noise if there are none.

    Args:
        model: The float model.
        found: Its `Topology`.
        data: `calibration_data` of `keras_gxnor.discretize`.

    Raises:
        InvalidArgumentError: if the data are not arrays of numbers in the shapes of the inputs.
    """
    rng = np.random.default_rng(0)
    if data is not None:
        flat = _arrays(found, data)
        rows = rng.permutation(len(flat[0]))[: _count(found)]
        return [x[rows].astype(tensor.dtype) for x, tensor in zip(flat, model.inputs, strict=True)], True
    made = []
    for tensor, shape in enumerate(found.inputs):
        readers = [call.layer for call in found.consumers(tensor)]
        tables = [layer.input_dim for layer in readers if isinstance(layer, keras.layers.Embedding)]
        size = (_EXAMPLES[0], *shape)
        made.append(rng.integers(0, min(tables), size) if tables else rng.uniform(-1, 1, size))
    return [x.astype("int32" if x.dtype.kind == "i" else "float32") for x in made], False


def _count(found) -> int:
    """How many examples to look at: fewer of a model that computes many numbers."""
    shapes = [call.layer.output.shape[1:] for call in found.calls]
    numbers = sum(math.prod(shape) for shape in shapes if None not in shape)
    return int(np.clip(_NUMBERS // max(numbers, 1), *_EXAMPLES))


def _arrays(found, data):
    """One array an input, in the order of `found.inputs`."""
    if hasattr(data, "element_spec") or isinstance(data, collections.abc.Iterator):
        raise InvalidArgumentError(
            "`calibration_data` must be arrays, not batches to iterate over: join some of their inputs, such "
            f"as np.concatenate([x for x, y in data.take(8)]) of a Dataset. Received: {type(data).__name__}"
        )
    flat = keras.tree.flatten(data)
    if isinstance(data, dict):
        flat = keras.tree.flatten(in_order(data, found.names, "`calibration_data`"))
    made = [np.asarray(x) for x in flat] if len(flat) == len(found.inputs) else []
    fit = [x.ndim and x.shape[1:] == shape and _is_number(x.dtype) for x, shape in zip(made, found.inputs)]
    if not made or not all(fit) or len({len(x) for x in made}) != 1 or not len(made[0]):
        named = [f" of `{name}`" * (len(found.names) > 1) for name in found.names]
        expected = ", ".join(f"{(None, *shape)}{name}" for shape, name in zip(found.inputs, named))
        received = ", ".join(f"{x.dtype} {x.shape}" for x in made) or f"{len(flat)} arrays"
        raise InvalidArgumentError(
            "`calibration_data` must be arrays of numbers, one an input, with equally many examples (at "
            f"least one), of shapes {expected}. "
            f"Received: {type(data).__name__}, {received}"
        )
    return made


def _is_number(dtype):
    return dtype.kind in "biuf" or dtype.name == "bfloat16"  # which NumPy does not know


def _run(layer, given, settled):
    """What a layer computes; a BatchNormalization, unless `settled`, with the moments of the batch."""
    if settled or not isinstance(layer, keras.layers.BatchNormalization):
        return layer(given, training=False)
    kept = [v.numpy() for v in layer.non_trainable_variables]
    try:
        return layer(given, training=True)
    finally:
        for variable, value in zip(layer.non_trainable_variables, kept):
            variable.assign(value)


def _linear(layer, given):
    """The same layer without its activation."""
    linear = type(layer).from_config({**configuration(layer), "activation": None})
    linear.build(np.shape(given))
    linear.set_weights(layer.get_weights())
    return linear


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
