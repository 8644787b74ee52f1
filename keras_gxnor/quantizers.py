"""The multi-step activation: real numbers to a discrete space, with pulse gradients.

Deng et al. 2018, section 2.2. With K = 2^(N-1) thresholds t_w = r + (w - 1)(H - r) / K,
w = 1..K, the output is sign(x) times the number of thresholds that |x| exceeds, times
H / K. The derivative, zero almost everywhere, is replaced by a pulse around every
threshold +-t, of area equal to the jump H / K it stands for; pulses that overlap add.
"""

import functools
import math

import keras
import tensorflow as tf

from keras_gxnor import compilation, relu, spaces
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.relu import QuantizedReLU

_FUSED_ELEMENTS = 512  # a sample, from which on XLA fuses the activation in training


def _rectangular(distance, width):
    """1 / (2a) where |distance| <= a."""
    return tf.cast(tf.abs(distance) <= width, distance.dtype) / (2 * width)


def _triangular(distance, width):
    """max(0, a - |distance|) / a^2."""
    return tf.maximum(width - tf.abs(distance), 0) / width**2


_PULSES = {"rectangular": _rectangular, "triangular": _triangular}


@keras.saving.register_keras_serializable(package="keras_gxnor")
class MultiStep:
    """Multi-step activation function onto a discrete space.

    Ternary: +1 if x > r, -1 if x < -r, else 0 (a value exactly at r gives 0). Binary:
    the sign of x, with sign(0) = +1.

    Args:
        space: Activation space: `"ternary"`, `"binary"`, `"z2"`..`"z7"` or a `DiscreteSpace`.
        window: Zero window r, 0 <= r < H. Unused for binary.
        pulse: Shape of the derivative, `"rectangular"` or `"triangular"`.
        pulse_width: Half width a > 0 of a pulse.

    Raises:
        InvalidArgumentError: if an argument is out of range.

    Example:

    >>> MultiStep("ternary")(tf.constant([-2.0, 0.5, 0.6])).numpy()
    array([-1.,  0.,  1.], dtype=float32)
    """

    def __init__(self, space="ternary", window=0.5, pulse="rectangular", pulse_width=0.5):
        self.space = spaces.get(space)
        if not isinstance(self.space, spaces.DiscreteSpace):
            raise InvalidArgumentError(
                "Activations take a space Z_N or \"uint8\"; the graded space is for kernels, as is \"int8\". "
                f"Received: space={space!r}"
            )
        if not 0 <= window < self.space.half_range:
            raise InvalidArgumentError(
                f"`window` must be in [0, {self.space.half_range}). Received: window={window!r}"
            )
        if pulse not in _PULSES:
            raise InvalidArgumentError(
                f"`pulse` must be one of {sorted(_PULSES)}. Received: pulse={pulse!r}"
            )
        if not 0 < pulse_width < float("inf"):
            raise InvalidArgumentError(
                f"`pulse_width` must be positive. Received: pulse_width={pulse_width!r}"
            )
        self.window = float(window)
        self.pulse = pulse
        self.pulse_width = float(pulse_width)

    def thresholds(self) -> list[float]:
        """The positive thresholds t_1 < ... < t_K ([0.0] for binary)."""
        if self.space.order == 0:
            return [0.0]
        count = self.space.max_code
        width = (self.space.half_range - self.window) / count
        return [self.window + w * width for w in range(count)]

    def __call__(self, x, training=False):
        """Values of the space, in the shape and dtype of the float tensor `x`.

        While training, XLA fuses the passes over a large x into one (benchmarks/training.py);
        the values are the same. Elsewhere it is left out, so that an exported
        model needs no XLA.
        """
        x = tf.convert_to_tensor(x)
        fused = training is True and _large(x) and compilation.xla_works()
        forward, backward = self._fused if fused else (self._forward, self._backward)

        @tf.custom_gradient
        def step(x):
            return forward(x), lambda upstream: backward(x, upstream)

        return step(x)

    @functools.cached_property
    def _fused(self):
        return compilation.jit(self._forward), compilation.jit(self._backward)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_fused"}

    def _backward(self, x, upstream):
        return upstream * self.derivative(x)

    def _forward(self, x):
        scale = tf.cast(self.space.scale, x.dtype)
        if self.space.order == 0:
            return tf.where(x >= 0, scale, -scale)
        size = tf.abs(x)
        reached = tf.add_n([tf.cast(size > t, x.dtype) for t in self.thresholds()])
        return tf.sign(x) * reached * scale

    def derivative(self, x):
        """The pulse derivative at `x`, in its shape and dtype. Its integral is 2 H."""
        pulse, size = _PULSES[self.pulse], tf.abs(x)
        jump = tf.cast(self.space.step, x.dtype)
        if self.space.order == 0:
            return jump * pulse(x, self.pulse_width)
        total = tf.zeros_like(x)
        for t in self.thresholds():
            total += pulse(size - t, self.pulse_width)
            if self.pulse_width > t:  # the pulse around -t reaches across zero
                across = size + t
                inside = tf.cast(across < self.pulse_width, x.dtype)
                total += pulse(across, self.pulse_width) * inside
        return jump * total

    def saturated(self, x):
        """Where the inputs x, a NumPy array, lie beyond the last pulse: a bool array."""
        return abs(x) > self.thresholds()[-1] + self.pulse_width

    def get_config(self):
        """Arguments that rebuild this quantizer."""
        return {
            "space": spaces.serialize(self.space),
            "window": self.window,
            "pulse": self.pulse,
            "pulse_width": self.pulse_width,
        }

    @classmethod
    def from_config(cls, config):
        """Inverse of `get_config`."""
        return cls(**config)

    def __eq__(self, other):
        return isinstance(other, MultiStep) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash(repr(self.get_config()))

    def __repr__(self):
        return (
            f"MultiStep({spaces.serialize(self.space)!r}, window={self.window}, "
            f"pulse={self.pulse!r}, pulse_width={self.pulse_width})"
        )


def _large(x) -> bool:
    """Whether a sample of the batch x is large enough to be worth a compilation (0.1 s).

    Not so if more than the batch size varies: XLA compiles anew for every shape.
    """
    known = x.shape.rank is not None and x.shape[1:].is_fully_defined()
    return known and math.prod(x.shape[1:]) >= _FUSED_ELEMENTS


def get(identifier):
    """Returns the quantizer that `identifier` names.

    Args:
        identifier: A quantizer, the name of a space (`"ternary"`, `"binary"`, `"z3"`, or
            `"uint8"` for a `QuantizedReLU` of range 4), a serialized quantizer, a
            `DiscreteActivation` layer (its quantizer, with the range as it is now), or None.

    Returns:
        A `MultiStep` or `QuantizedReLU`, or None for None.

    Raises:
        InvalidArgumentError: if it names no quantizer.

    Example:

    >>> get("ternary")
    MultiStep('ternary', window=0.5, pulse='rectangular', pulse_width=0.5)
    """
    if identifier is None or is_quantizer(identifier):
        return identifier
    if is_quantizer(getattr(identifier, "quantizer", None)):
        return getattr(identifier, "resolved", lambda: identifier.quantizer)()
    if isinstance(identifier, str) and identifier in relu.names():
        return QuantizedReLU(identifier)
    if is_name(identifier) or isinstance(identifier, spaces.DiscreteSpace):
        return MultiStep(identifier)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    raise InvalidArgumentError(
        f"An activation space must be one of {[*sorted(spaces.names()), *relu.names()]}, a DiscreteSpace, a "
        "MultiStep, a QuantizedReLU or a serialized one (the graded space is for kernels, as are those "
        f"called int). Received: {identifier!r}"
    )


def is_quantizer(thing) -> bool:
    """Whether `thing` is a quantizer, not a name or a layer of one."""
    return isinstance(thing, (MultiStep, QuantizedReLU))


def is_name(identifier) -> bool:
    """Whether `identifier` is a string that `get` understands."""
    return isinstance(identifier, str) and identifier in (*spaces.names(), *relu.names())


def serialize(quantizer):
    """A JSON-able dict of a quantizer (None for None); inverse of `deserialize`."""
    return None if quantizer is None else keras.saving.serialize_keras_object(quantizer)


def deserialize(config):
    """The quantizer that `serialize` wrote.

    Raises:
        InvalidArgumentError: if `config` is something else.
    """
    if config is None:
        return None
    found = keras.saving.deserialize_keras_object(config)
    found = getattr(found, "quantizer", found)
    if not is_quantizer(found):
        raise InvalidArgumentError(f"Expected a serialized quantizer. Received: {config!r}")
    return found
