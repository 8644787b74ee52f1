"""Steps in the place of activations, with the least squared error on what a float model computes."""

import dataclasses

import keras
import numpy as np

from keras_gxnor.conversion.planning import Role
from keras_gxnor.conversion.registry import ACTIVATIONS, activation_of
from keras_gxnor.quantizers import MultiStep

_OFFSETS = np.linspace(-1.5, 2.0, 15)  # of a step's center from the mean, in standard deviations
_WIDTHS = np.geomspace(0.25, 2.5, 12)  # of a step, in standard deviations
_VALUES = 25  # that are tried for steps whose codes are added


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


def fit(found, changes, measured, quantizer) -> dict:
    """{id of a layer: `Fit`} for all layers that get a step.

    Codes that are added count alike: their steps get one value.

    Args:
        found: The `Topology` of the float model.
        changes: {id of a layer: `Change`}.
        measured: {id of a layer: `calibration.Measured`}, of as many as are known.
        quantizer: Callable that makes the values of the new activation space.
    """
    steps = [key for key, change in changes.items() if change.step or change.role is Role.STEP]
    fits = dict.fromkeys(steps, Fit())
    known = {key: (measured[key].sample, _function(changes[key])) for key in steps if key in measured}
    if not isinstance(quantizer, MultiStep):
        return {**fits, **{key: _unsigned(*what, quantizer) for key, what in known.items()}}
    tried = {key: _Tries(*what, quantizer) for key, what in known.items()}
    fits |= {key: tries.best() for key, tries in tried.items()}
    for group in _added(found, changes, tried):
        values = [fits[key].value for key in group]
        values = np.geomspace(min(values) / 2, max(values), _VALUES)
        value = min(values, key=lambda v: sum(tried[key].errors(v).min() for key in group))
        fits |= {key: tried[key].best(value) for key in group}
    return fits


class _Tries:
    """A step at all offsets and widths on a sample, with the line that goes through what it makes.

    Args:
        sample: float32 values before the activation.
        function: The float activation, or None for none.
        quantizer: The `MultiStep`.
    """

    def __init__(self, sample, function, quantizer):
        y = np.asarray(sample, np.float32)
        wanted = y if function is None else np.asarray(function(y[None]))[0]
        spread = float(y.std()) or 1.0
        widths = spread * (_WIDTHS if quantizer.space.code_step == 1 else np.ones(1))
        self._steps = [(float(o), float(w)) for w in widths for o in y.mean() + spread * _OFFSETS]
        made = [np.asarray(quantizer((y - np.float32(o)) / np.float32(w))) for o, w in self._steps]
        self._means, self._mean = np.array([x.mean() for x in made]), wanted.mean()
        self._variances, self._variance = np.array([x.var() for x in made]), wanted.var()
        self._products = np.array([((x - x.mean()) * (wanted - self._mean)).mean() for x in made])

    def errors(self, value):
        """Squared error of each step whose output of 1 stands for `value`."""
        return self._variance - 2 * value * self._products + value**2 * self._variances

    def best(self, value=None) -> Fit:
        """The best step, of this value or of the best one."""
        if value is not None:
            return self._fit(self.errors(value).argmin(), value)
        sound = (self._variances > 0) & (self._products > 0)
        if not sound.any():
            return Fit()
        values = np.where(sound, self._products / np.where(sound, self._variances, 1), 1)
        best = np.where(sound, self.errors(values), np.inf).argmin()
        return self._fit(best, values[best])

    def _fit(self, index, value):
        return Fit(*self._steps[index], float(value), float(self._mean - value * self._means[index]))


def _added(found, changes, tried) -> list:
    """Sets of layers whose steps make codes that are added."""
    makers, groups = {call.output: call for call in found.calls}, []

    def steps_of(tensor):
        call = makers.get(tensor)
        if call is None:
            return set()
        change = changes[id(call.layer)]
        if change.step or change.role is Role.STEP:
            return {id(call.layer)} & set(tried)
        passes = not (change.space or change.left or change.norm or call.layer.weights)
        return set().union(*map(steps_of, call.inputs)) if passes else set()

    for call in found.calls:
        sums = len(call.inputs) > 1 and not isinstance(call.layer, keras.layers.Concatenate)
        group = set().union(*map(steps_of, call.inputs)) if sums else set()
        if len(group) > 1:
            alike = [other for other in groups if other & group]
            groups = [other for other in groups if other not in alike] + [group.union(*alike)]
    return groups


def _function(change):
    """The float activation that a step takes the place of; None for one that was inserted."""
    layer = change.layer
    if change.role is not Role.STEP:
        return None
    if not isinstance(layer, ACTIVATIONS):
        return activation_of(layer)
    if isinstance(layer, keras.layers.PReLU):
        slope = float(keras.ops.mean(layer.alpha))
        return lambda y: keras.ops.leaky_relu(y, slope)
    return layer


def _unsigned(sample, function, quantizer):
    """A ReLU in steps: in place if that is what the activation is, shifted for one with negative values."""
    y = np.asarray(sample, np.float32)
    wanted = y if function is None else np.asarray(function(y[None]))[0]
    spread = float(y.std()) or 1.0
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
