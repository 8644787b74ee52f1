"""What Keras itself computes on the integer codes that a device would feed.

Evaluated eagerly, on the CPU kernels TensorFlow has: that is the meaning of a model.
(XLA or a GPU may contract the float32 batch normalization of the logits.)
"""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor import graph as g
from keras_gxnor import topology
from keras_gxnor.layers.base import DiscreteKernel
from keras_gxnor.lowering import fold_rescaling, input_specs
from keras_gxnor.lowering.advice import NOTHING
from keras_gxnor.lowering.merges import MERGES
from keras_gxnor.lowering.pooling import AVERAGES, MAXIMA
from keras_gxnor.lowering.shapes import SHAPES

_L = keras.layers


def plain(model, spec, q):
    """The model on scale * (q - zero_point), as Keras computes it.

    Args:
        model: Keras model.
        spec: The `InputSpec` of what the device feeds, before any Rescaling layer, or a
            tuple of them, one an input.
        q: Integer array (batch, *input shape), or a tuple of them.

    Returns:
        float32 logits (batch, ..., classes); a tuple of them if the model has several outputs.
    """
    fed = [_scaled(s, codes) for s, codes in zip(*_paired(model, spec, q))]
    sequential = isinstance(model, keras.Sequential)
    given = fed[0] if sequential else keras.tree.pack_sequence_as(model.input, fed)
    made = model(given, training=False)
    return _outputs([np.asarray(y) for y in keras.tree.flatten(made)])


def is_exact(model, spec) -> bool:
    """Whether Keras' own float32 sums are exact: all that kernels read are codes times 2^k."""
    return not _Walk(model, spec, [np.zeros((1, *shape)) for shape in topology.read(model).inputs]).inexact


def exact_first(model, spec, q):
    """As `plain`, but with exact sums in kernels whose inputs Keras has rounded.

    Keras scales the inputs first and sums then; unless the scale is a power of two, each
    product and sum is rounded. So it is behind an average over a number of pixels that is no
    power of two. Here the same Keras operation sums the integers, which is exact in float32,
    and the sum is scaled. Everything after is Keras as it is.
    """
    walk = _Walk(model, spec, _paired(model, spec, q)[1])
    return _outputs([np.asarray(value.floats) for value in walk.outputs])


def rounding_explains(model, spec, q) -> bool:
    """Whether rounding in such kernels is all that tells Keras from `exact_first`.

    Walked call by call with Keras' own sums, the model must give what it gives as a whole, to
    the bit; and its own sums must lie within float32 rounding of the exact ones. The bound is
    the textbook one for a sum of n products, (n + 4) 2^-24 times the sum of the absolute
    products (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), with the
    largest input added to each input for the rounding of its scaling.
    """
    codes = _paired(model, spec, q)[1]
    whole, own = plain(model, spec, q), _Walk(model, spec, codes, exact=False).outputs
    whole = whole if isinstance(whole, tuple) else (whole,)
    if not all(np.array_equal(y, np.asarray(value.floats)) for y, value in zip(whole, own, strict=True)):
        return False
    return all(_explained(*kernel) for kernel in _Walk(model, spec, codes).inexact)


@dataclasses.dataclass(frozen=True, eq=False)
class _Value:
    """A tensor: Keras' floats, and the integers they were rounded from, if they were.

    floats = integers * unit but for rounding.
    """

    floats: tf.Tensor
    integers: tf.Tensor | None = None
    unit: float = 1.0


class _Walk:
    """Runs a model call by call.

    Attributes:
        outputs: A `_Value` an output; with exact sums in kernels that read rounded floats, or
            (`exact=False`) with Keras' own.
        inexact: (layer, `_Value` it read) of those kernels.
    """

    def __init__(self, model, spec, q, exact=True):
        found, self._exact = topology.read(model), exact
        self.inexact, values, done = [], {}, set()
        for tensor, (given, codes) in enumerate(zip(input_specs(spec, found), q)):
            folded, made = fold_rescaling(given, found, tensor)
            ahead = [call.layer for call in found.calls if call.output in made]
            exact = folded.is_exact and all(map(_power_of_two, ahead))
            integers = None if exact else tf.constant(np.asarray(codes, np.float32) - folded.zero_point)
            values[tensor] = _Value(_scaled(given, codes), integers, folded.scale)
            done |= made
        for call in found.calls:
            read = [values[t] for t in call.inputs]
            if call.output in done:  # the integers are those behind it
                floats = call.layer(read[0].floats, training=False)
                values[call.output] = dataclasses.replace(read[0], floats=floats)
            else:
                values[call.output] = self._call(call.layer, read)
        self.outputs = [values[t] for t in found.outputs]

    def _call(self, layer, read):
        floats, integers, unit = (getattr(read[0], field.name) for field in dataclasses.fields(_Value))
        if isinstance(layer, DiscreteKernel) and integers is not None and self._exact:
            self.inexact.append((layer, read[0]))
            codes, scale = _codes(layer)
            return _Value(layer.finish(layer.linear(integers, *codes) * np.float32(unit * scale)))
        made = layer([v.floats for v in read] if len(read) > 1 else floats, training=False)
        if type(layer) is _L.Average:
            return _averaged(made, read)
        if type(layer) in AVERAGES:
            count = _window(layer, floats.shape)
            if integers is not None or not g.is_power_of_two(count):
                whole, unit = (integers, unit) if integers is not None else _grid(floats)
                if whole is not None:
                    return _Value(made, tf.round(layer(whole) * count), unit / count)
            return _Value(made)
        if integers is not None and type(layer) is _L.Rescaling and _only_a_unit(layer):
            return _Value(made, integers * np.sign(layer.scale), unit * abs(float(layer.scale)))
        if any(v.integers is None for v in read) or not _keeps_integers(layer):
            return _Value(made)
        unit = min(v.unit for v in read)
        whole = [v.integers * np.float32(v.unit / unit) for v in read]
        return _Value(made, layer(whole if len(read) > 1 else whole[0], training=False), unit)


def _averaged(made, read):
    """The value of an Average: the sum of the integers, where Keras rounds its division or did before."""
    if g.is_power_of_two(len(read)) and all(v.integers is None for v in read):
        return _Value(made)
    pairs = [_grid(v.floats) if v.integers is None else (v.integers, v.unit) for v in read]
    unit = min(unit for _, unit in pairs)
    total = tf.add_n([whole * np.float32(each / unit) for whole, each in pairs])
    return _Value(made, total, unit / len(read))


def _keeps_integers(layer) -> bool:
    """Whether a layer makes integers of integers, in the same unit."""
    if type(layer) is _L.Activation:
        return layer.activation is keras.activations.linear
    return type(layer) in {*NOTHING, *MERGES, *MAXIMA, *SHAPES}


def _only_a_unit(layer) -> bool:
    """Whether a Rescaling multiplies by one number and nothing else."""
    return not np.ndim(layer.scale) and layer.scale != 0 and not np.any(layer.offset)


def _grid(floats):
    """(integers, unit 2^-k) of floats that are codes of an activation; (None, 1) of NaN."""
    for unit in (2.0**-k for k in range(48)):
        if bool(tf.reduce_all(tf.round(floats / unit) * unit == floats)):
            return floats / unit, unit
    return None, 1.0


def _window(layer, shape) -> int:
    return math.prod(getattr(layer, "pool_size", shape[1:-1]))


def _explained(layer, read) -> bool:
    """Whether rounding explains how a kernel's own sums differ from the exact ones."""
    codes, scale = _codes(layer)
    kernels = [code * np.float32(layer.kernel_space.readout.scale) for code in codes]
    error = np.abs(
        np.asarray(layer.linear(read.floats, *kernels), np.float64)
        - np.asarray(layer.linear(read.integers, *codes), np.float64) * read.unit * scale
    )
    most = read.unit * float(tf.reduce_max(tf.abs(read.integers)))
    products = np.asarray(layer.linear(tf.abs(read.floats) + most, *map(tf.abs, kernels)), np.float64)
    counts = layer.linear(tf.ones_like(read.floats), *map(tf.ones_like, kernels))
    return bool((error <= (float(tf.reduce_max(counts)) + 4) * 2.0**-24 * products).all())


def _power_of_two(layer) -> bool:
    return not isinstance(layer, keras.layers.Rescaling) or g.is_power_of_two(float(layer.scale))


def _paired(model, spec, q):
    """(tuple of specs, list of code arrays), one an input each."""
    specs = input_specs(spec, topology.read(model))
    return specs, [q] if len(specs) == 1 and not isinstance(q, (tuple, list)) else list(q)


def _outputs(arrays):
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _scaled(spec, q):
    return tf.constant((np.asarray(q).astype(np.float32) - spec.zero_point) * np.float32(spec.scale))


def _codes(layer):
    """(the codes of a layer's kernels, what one product of them is worth)."""
    codes = [tf.constant(layer.codes(name), tf.float32) for name in layer.KERNELS]
    return codes, layer.kernel_space.readout.scale ** len(codes)
