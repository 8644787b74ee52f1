"""Discrete kernels: int8 variables that the gradient tape can see.

TensorFlow differentiates float tensors only, so a kernel is read through a
custom gradient that takes the variable's resource handle: the forward pass
casts the codes, the backward pass hands the float gradient through. It then
arrives at the optimizer for the int8 variable itself; no float copy of the
kernel lives between steps. (`keras_gxnor.storage` has the same variable in a
quarter of the bytes.)
"""

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.spaces import DiscreteSpace, GradedSpace, IntegerSpace


class DiscreteVariable(keras.Variable):
    """An int8 Keras variable that holds codes of a discrete space, and nothing else.

    `value` is TensorFlow's variable. Here it holds the codes as they are; a subclass may
    store them otherwise, by its own `encode`, `decode` and `to_values`.

    Args:
        space: The `DiscreteSpace`, `GradedSpace` or `IntegerSpace` of the codes.
        initializer: Callable (shape, dtype) -> int8 codes.
        shape: Shape tuple.
        name: Name of the variable.
    """

    stored_dtype = "int8"

    def __init__(self, space: DiscreteSpace, initializer, shape, name="kernel"):
        self.space = space
        self._adopted = False
        super().__init__(
            initializer=initializer,
            shape=shape,
            dtype=self.stored_dtype,
            autocast=False,
            name=name,
        )
        # Keras applies constraints to what its own optimizers have updated. SGD would cast
        # its rate to the integer 0 and silently train nothing; this stops it.
        self.constraint = _refuse_optimizer

    def adopt(self):
        """Called by an optimizer that can train this variable (`DSTOptimizer.build`).

        It then updates the TensorFlow variable itself, which has no constraint.
        """
        self._adopted = True

    @property
    def overwrite_with_gradient(self):
        """False; refused to optimizers that make their slots without `adopt` before.

        Keras' optimizers ask this of each variable they make slots for. Without an answer
        here, Adam would fail deep inside TensorFlow with an error about types.
        """
        if not self._adopted:
            _refuse_optimizer(self)
        return False

    def assign(self, value):
        """Assigns codes.

        Keras would cast anything else to int8 by truncation (0.7 becomes 0, 300 wraps
        to 44), which is never what was meant.

        Raises:
            InvalidArgumentError: if a value is not a code of the space, or a symbolic
                tensor (whose values cannot be seen here) is not int8.
        """
        return super().assign(self.checked(value))

    def checked(self, value):
        """`value` as int8 codes, an array or a symbolic tensor; raises as `assign` does."""
        what = f"`{self.path}`"
        if not tf.is_tensor(value) or hasattr(value, "numpy"):
            return self.space.check_codes(value, what)
        if value.dtype != tf.int8:
            raise InvalidArgumentError(f"{what} holds int8 codes. Received: a {value.dtype.name} tensor")
        return value

    def encode(self, codes):
        """What `value` holds for int8 codes of the kernel's shape; a tensor of either."""
        return codes

    def decode(self, stored):
        """The codes for what `value` holds; inverse of `encode`."""
        return stored

    def to_values(self, stored, dtype):
        """The values the network computes with, for what `value` holds: see `read`."""
        space = self.space
        if isinstance(space, GradedSpace):
            above, below = stored > space.threshold, stored < -space.threshold
            return tf.cast(above, dtype) - tf.cast(below, dtype)
        cast = tf.cast(stored, dtype)
        return cast if space.scale == 1.0 else cast * tf.cast(space.scale, dtype)


def _refuse_optimizer(variable):
    raise InvalidArgumentError(
        f"`{variable.path}` is a discrete int8 kernel, which an ordinary optimizer cannot train. "
        "Compile the model with optimizer=keras_gxnor.DSTOptimizer(); it trains the float "
        "variables with any Keras optimizer: DSTOptimizer(optimizer=keras.optimizers.SGD())."
    )


def read(variable: DiscreteVariable, dtype="float32"):
    """Reads a discrete kernel as values, with a gradient.

    Args:
        variable: A `DiscreteVariable` of any shape.
        dtype: Floating dtype of the result.

    Returns:
        Tensor of the variable's shape: code * space.scale, and for a `GradedSpace` the
        ternary readout. The gradient with respect to the variable is the upstream gradient
        (per value, not per code) as float32; it passes straight through the readout.

    Example:

    >>> v = DiscreteVariable(DiscreteSpace(1), lambda shape, dtype: tf.ones(shape, dtype), (2,))
    >>> with tf.GradientTape() as tape:
    ...     y = tf.reduce_sum(read(v) * [3.0, 4.0])
    >>> tape.gradient(y, v.value).numpy()
    array([3., 4.], dtype=float32)
    """
    dtype = tf.as_dtype(dtype)
    value = variable.value

    @tf.custom_gradient
    def through_handle(handle):
        stored = tf.raw_ops.ReadVariableOp(resource=handle, dtype=value.dtype)
        return variable.to_values(stored, dtype), lambda upstream: tf.cast(upstream, tf.float32)

    mirrored = isinstance(value, tf.distribute.DistributedValues)
    if (mirrored and tf.distribute.in_cross_replica_context()) or not hasattr(value, "handle"):
        # No single handle, or a plain tensor: nothing to differentiate.
        return variable.to_values(tf.convert_to_tensor(value), dtype)
    value.value()  # marks the variable as accessed; without it the tape never watches it
    return through_handle(value.handle)


def initial_codes(initializer, space: DiscreteSpace):
    """Turns a Keras initializer into one that draws codes.

    If every value drawn already is a value of the space (`"ones"`, a constant, an
    array of trits), it is taken as it is. Otherwise the draw is cut into levels
    `4 mean|w| / (2K + 1)` apart, with K = 2^(N-1): for a uniform draw all states come
    out equally likely (for ternary: thirds), for other draws the shape of the
    distribution is kept and its scale is not, since codes have none. In an `IntegerSpace` the
    largest |w| drawn becomes the largest code.

    Args:
        initializer: Callable (shape, dtype) -> float array.
        space: The space.

    Returns:
        Callable (shape, dtype) -> int8 tensor of codes.
    """

    def draw(shape, dtype=None):
        drawn = tf.convert_to_tensor(initializer(shape, dtype="float32"))
        codes = tf.numpy_function(lambda w: nearest_codes(w, space), [drawn], tf.int8)
        return tf.ensure_shape(codes, shape)  # in a traced build it has no shape of its own

    return draw


def nearest_codes(values: np.ndarray, space: DiscreteSpace) -> np.ndarray:
    """Codes (int8) for float `values` of any shape, by the rule of `initial_codes`.

    Raises:
        InvalidArgumentError: if a value is not finite.
    """
    values = np.asarray(values, np.float32)
    if not np.isfinite(values).all():
        raise InvalidArgumentError("A kernel initializer must draw finite numbers. Received: NaN/inf")
    scaled = values / np.float32(space.scale)
    if space.contains(scaled):
        return scaled.astype(np.int8)
    if space.code_step == 2:  # binary
        return np.where(values >= 0, 1, -1).astype(np.int8)
    size = np.abs(values)
    if isinstance(space, IntegerSpace):
        level = size.max().astype(np.float64) / space.max_code
    else:
        level = 4 * size.mean(dtype=np.float64) / (2 * space.max_code + 1)
    return np.clip(np.rint(values / level), -space.max_code, space.max_code).astype(np.int8)
