"""Weights of the new model from those of the old one.

Every tensor of the float model is about `value` times that of the new model plus `zero`, both
arrays in the shape of the tensor: kernels and normalizations take up what comes in, and
what goes out of a kernel is its scale a channel.
"""

import keras
import numpy as np

from keras_gxnor import spaces
from keras_gxnor.conversion.calibration import Fit
from keras_gxnor.conversion.initial import codes_of
from keras_gxnor.conversion.numbers import Normalization, fold_scale
from keras_gxnor.conversion.planning import Kind, Role
from keras_gxnor.conversion.registry import SWAPS, absorbs
from keras_gxnor.conversion.windows import Windows

_L = keras.layers


class Transfer:
    """Fills the new model.

    Args:
        plan: The `Planner`.
        built: {id of an old layer: `Built`}.
        fits: {id of a layer with a step: `Fit`}.
        measured: {id of a layer: `Measured`}.
        windows: {id of a layer: {name of a kernel: `Windows`}}, of as many as are known.
    """

    def __init__(self, plan, built, fits, measured, windows):
        self._plan, self._built, self._fits, self._measured = plan, built, fits, measured
        self._windows = windows
        self._done = set()

    def run(self):
        """Walks the model once; a layer called twice takes what its first call found."""
        found = self._plan.found
        scales = {tensor: _unit((1, *shape)) for tensor, shape in enumerate(found.inputs)}
        for call in found.calls:
            scales[call.output] = self._call(call, [scales[t] for t in call.inputs])

    def _call(self, call, read):
        layer, change = call.layer, self._plan.changes[id(call.layer)]
        made = self._made(call, change, read)
        if change.norm and self._plan.kinds[call.output] is not Kind.FLOAT:
            key = (id(layer), "norm")
            made = self._normalize(self._built[id(layer)].norm, key, made, self._identity(key[0], made))
        if change.step:
            made = self._stepped(id(layer), made)
        self._done.add(id(layer))
        return made

    def _made(self, call, change, read):
        """(value, zero) of what the layer makes, before what is inserted after it."""
        layer, built = call.layer, self._built[id(call.layer)]
        if change.space:
            return self._kernel(call, built.layer, change, read[0])
        if change.left:
            self._leave(layer, built.layer, read[0])
            return _unit(layer.output.shape)
        if isinstance(layer, _L.BatchNormalization):
            return self._normalize(built.layer, id(layer), read[0], _normalization(layer))
        if change.role is Role.STEP:
            if built.before is not None:
                key = (id(layer), "before")
                self._normalize(built.before, key, read[0], self._identity(key[0], read[0]))
            return self._stepped(id(layer), read[0])
        if isinstance(layer, _L.Rescaling) and self._plan.kinds[call.output] is not Kind.RAW:
            value, zero = read[0]
            return value, layer.scale * zero + layer.offset * (1 - value)
        if layer.weights and id(layer) not in self._done:
            built.layer.set_weights(layer.get_weights())
        if self._plan.kinds[call.output] is Kind.RAW or layer.weights:
            return _unit(_shape_after(layer, read))
        if len(read) > 1:
            return _merged(built.layer, read)
        return tuple(np.asarray(built.layer(x[None], training=False))[0] for x in read[0])

    def _kernel(self, call, new, change, given):
        """Codes for the kernel of what comes in; (scale, bias) of the sums."""
        layer, swap = call.layer, SWAPS[type(call.layer)]
        weights = {v.name: v.numpy().astype("float32") for v in layer.weights}
        bias = weights.pop("bias", np.float32(0))
        value, zero = map(_channels, given)
        for name, kernel in weights.items():
            usual, read = swap.usual(name, kernel), None
            if not swap.table:
                groups, taps = swap.groups(name, layer, len(value)), tuple(range(kernel.ndim - 1))
                read = _in_codes(self._windows.get(id(layer), {}).get(name), value, zero)
                zero = _spread(usual, zero, groups).sum(taps) / swap.overlap(layer)
                usual = _spread(usual, value, groups)
            codes, value = codes_of(usual, change.space, None if read is None else read.covariance)
            if read is not None:
                zero = zero + read.sums(usual - _values(codes, change.space) * value)
            if id(layer) not in self._done:
                new.kernel_variable(name).assign(swap.own(name, codes, kernel.shape))
        shape = layer.compute_output_shape((1, *given[0].shape))[1:]
        zero = bias if swap.table else zero + bias
        return np.broadcast_to(value, shape), np.broadcast_to(zero, shape)

    def _leave(self, layer, new, read):
        """Weights of a layer that stays float; a kernel takes up the scale of what comes in now."""
        if id(layer) in self._done:
            return
        if not absorbs(layer):
            new.set_weights(layer.get_weights())
            return
        swap, (value, zero) = SWAPS[type(layer)], map(_channels, read)
        bias = layer.bias.numpy() if layer.use_bias else 0
        for variable in layer.weights:
            next(v for v in new.weights if v.name == variable.name).assign(variable)
        for variable in [v for v in new.weights if v.name != "bias"]:
            usual = swap.usual(variable.name, variable.numpy())
            groups, taps = swap.groups(variable.name, layer, len(value)), tuple(range(usual.ndim - 1))
            zero = _spread(usual, zero, groups).sum(taps) / swap.overlap(layer)
            variable.assign(swap.own(variable.name, _spread(usual, value, groups), variable.shape))
            value = np.ones_like(zero)
        new.bias.assign(zero + bias)

    def _identity(self, key, read):
        """The normalization that changes nothing, with the moments of the float model."""
        seen, ones = self._measured.get(key), np.ones(read[0].shape[-1], np.float32)
        mean, variance = (seen.mean, seen.variance) if seen else (0 * ones, ones)
        return Normalization(np.sqrt(variance + _EPSILON), mean, mean, variance, _EPSILON)

    def _normalize(self, new, key, read, norm):
        """Sets a normalization of what comes in, for the step that reads it."""
        fit = self._fits.get(self._plan.steps.get(key), Fit())
        value, zero = map(_channels, read)
        if id(new) not in self._done:
            self._done.add(id(new))
            folded = fold_scale(norm, value, zero)
            beta = (folded.beta - fit.offset) / fit.width
            new.set_weights([folded.gamma / fit.width, beta, folded.mean, folded.variance])
        return np.full_like(read[0], fit.width), np.full_like(read[0], fit.offset)

    def _stepped(self, key, read):
        fit = self._fits[key]
        return np.full_like(read[0], fit.value), np.full_like(read[0], fit.zero)


_EPSILON = 1e-3


def _normalization(layer):
    ones = np.ones(layer.moving_mean.shape, np.float32)
    gamma = layer.gamma.numpy() if layer.scale else ones
    beta = layer.beta.numpy() if layer.center else 0 * ones
    return Normalization(gamma, beta, layer.moving_mean.numpy(), layer.moving_variance.numpy(), layer.epsilon)


def _channels(array):
    """The channel vector of an array (..., channels): that of its middle, where padding is not."""
    return np.asarray(array)[tuple(n // 2 for n in array.shape[:-1])]


def _unit(shape):
    return np.ones(shape[1:], np.float32), np.zeros(shape[1:], np.float32)


def _shape_after(layer, read):
    shapes = [(1, *value.shape) for value, _ in read]
    return layer.compute_output_shape(shapes if len(read) > 1 else shapes[0])


def _spread(kernel, channels, groups):
    """A kernel (..., inputs / groups, outputs) times a number an input channel."""
    each = np.repeat(channels.reshape(groups, -1), kernel.shape[-1] // groups, axis=0)
    return kernel * each.T


def _in_codes(read, value, zero):
    """`Windows` of float tensors as those of codes: value times a code plus zero, channel by channel."""
    if read is None:
        return None
    value, zero = (np.tile(x.reshape(len(read.mean), -1), read.mean.size // x.size) for x in (value, zero))
    covariance = read.covariance / (value[:, :, None] * value[:, None])
    return Windows((read.mean - zero) / value, covariance, read.count)


def _values(codes, space):
    """What a kernel of these codes computes with."""
    space = spaces.get(space)
    return space.read(codes) * np.float32(space.readout.scale)


def _merged(layer, read):
    """Of a concatenation the parts; of sums the mean scale and the sum of the zeros."""
    if isinstance(layer, _L.Concatenate):
        return tuple(np.asarray(layer([pair[i][None] for pair in read]))[0] for i in (0, 1))
    value = np.mean([value for value, _ in read], axis=0)
    return value, np.asarray(layer([zero[None] for _, zero in read]))[0]
