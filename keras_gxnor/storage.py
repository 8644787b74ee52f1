"""How a kernel is stored while it is trained: a byte a weight, or four weights a byte.

The layout is that of `packing.pack_fields`: this module takes its tables, so that TensorFlow
and NumPy cannot disagree.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor import packing, spaces
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.kernels import DiscreteVariable


def pack(codes):
    """`packing.pack_fields` in TensorFlow: any int8 tensor of trits -> uint8 (ceil(size / 4),).

    Example:

    >>> pack(tf.constant([1, 0, 0, 0, -1], tf.int8)).numpy()
    array([86, 84], dtype=uint8)
    """
    fields = tf.reshape(tf.cast(codes + 1, tf.uint8), [-1])
    size = fields.shape[0]
    tail = packing.field_bytes(size) * packing.FIELDS_PER_BYTE - size
    if tail:
        fields = tf.pad(fields, [[0, tail]], constant_values=1)  # the field of a zero trit
    fields = tf.reshape(fields, (-1, packing.FIELDS_PER_BYTE))
    return tf.reduce_sum(fields * tf.constant(packing.FIELD_WEIGHTS), axis=1)


def unpack(packed, shape, table=packing.FIELD_CODES):
    """Inverse of `pack`, without its checks: what is no trit comes out as 2.

    One look-up a byte: without XLA it costs no more than casting int8 codes does, and can give
    any function of the codes at once (benchmarks/packed.py).

    Args:
        packed: uint8 tensor of shape (ceil(prod(shape) / 4),).
        shape: Shape of the result.
        table: (256, 4): what the four codes of every byte become.

    Returns:
        Tensor of `shape` and the dtype of `table`.

    Example:

    >>> unpack(tf.constant([86, 84], tf.uint8), (5,)).numpy()
    array([ 1,  0,  0,  0, -1], dtype=int8)
    """
    flat = tf.reshape(tf.gather(tf.convert_to_tensor(table), tf.cast(packed, tf.int32)), [-1])
    return tf.reshape(flat[: math.prod(shape)], shape)


class PackedVariable(DiscreteVariable):
    """A `DiscreteVariable` of trits whose `value` holds four of them a byte.

    To Keras it is the same variable: `shape`, `dtype`, `numpy`, `assign`, arithmetic, and so
    `get_weights`, `set_weights` and `count_params`, speak of int8 codes in the kernel's shape,
    which are made and checked on the way. Only `value`, TensorFlow's variable of uint8 bytes, is
    packed, and what goes past Keras sees bytes (`tf.train.Checkpoint`).

    Args:
        space: A `DiscreteSpace` of at most 3 states.
        initializer: Callable (shape, dtype) -> int8 codes.
        shape: Shape of the kernel.
        name: Name of the variable.
    """

    stored_dtype = "uint8"

    def __init__(self, space, initializer, shape, name="kernel"):
        self._kernel_shape = tuple(shape)
        size = None if None in shape else packing.field_bytes(math.prod(shape))  # None: Keras' error
        super().__init__(space, lambda *_, **__: pack(initializer(shape, "int8")), (size,), name)

    @property
    def shape(self):
        """Shape of the kernel."""
        return tf.TensorShape(self._kernel_shape)

    @property
    def ndim(self):
        """Number of dimensions of the kernel."""
        return len(self._kernel_shape)

    @property
    def dtype(self):
        """That of the codes, `"int8"`."""
        return "int8"

    def numpy(self):
        """The codes, int8.

        Raises:
            InvalidArgumentError: if the bytes are corrupt: a field of 3, or padding.
        """
        return packing.unpack_fields(self.value.numpy(), self._kernel_shape, f"Fields of `{self.path}`")

    def assign(self, value):
        """Assigns codes, as `DiscreteVariable.assign`.

        Raises:
            InvalidArgumentError: if a value is not a code of the space, or the shape differs.
        """
        codes = tf.convert_to_tensor(self.checked(value))
        if codes.shape != self.shape:
            raise InvalidArgumentError(
                f"`{self.path}` holds codes of shape {self._kernel_shape}. "
                f"Received: shape {tuple(codes.shape)}"
            )
        self.value.assign(pack(codes))
        return codes

    def encode(self, codes):
        """int8 codes of the kernel's shape -> the bytes in `value`."""
        return pack(codes)

    def decode(self, stored):
        """The bytes in `value` -> int8 codes of the kernel's shape."""
        return stored if stored.dtype == tf.int8 else unpack(stored, self._kernel_shape)

    def to_values(self, stored, dtype):
        """The values the network computes with, for the bytes in `value`."""
        if stored.dtype == tf.int8:  # a stateless call brings codes in place of `value`
            return super().to_values(stored, dtype)
        table = super().to_values(tf.constant(packing.FIELD_CODES), dtype)
        return unpack(stored, self._kernel_shape, table)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype, copy=copy)

    def __tf_tensor__(self, dtype=None, name=None):
        return tf.convert_to_tensor(self.decode(self.value), dtype=dtype, name=name)


def _on_codes(name):
    return lambda self, *others: getattr(tf.convert_to_tensor(self), name)(*others)


# Keras applies these to `value`: kernel == 0 would silently compare bytes.
for _name in tf.Tensor.OVERLOADABLE_OPERATORS & set(dir(keras.Variable)):
    setattr(PackedVariable, _name, _on_codes(_name))

_KINDS = {"int8": DiscreteVariable, "packed": PackedVariable}


def variable_class(storage, space, layer: str):
    """The class of variable for a kernel of `space`.

    Args:
        storage: `"int8"` or `"packed"`.
        space: A `DiscreteSpace` or `GradedSpace`.
        layer: Name of the layer, for errors.

    Raises:
        InvalidArgumentError: if there is no such storage, or the states do not fit into it.

    Example:

    >>> variable_class("packed", DiscreteSpace(1), "dense").__name__
    'PackedVariable'
    """
    if not isinstance(storage, str) or storage not in _KINDS:
        raise InvalidArgumentError(
            f"Layer `{layer}`: `kernel_storage` must be one of {list(_KINDS)}. "
            f"Received: kernel_storage={storage!r}"
        )
    if storage == "packed" and space.max_code > 1:
        raise InvalidArgumentError(
            f"Layer `{layer}`: packed storage has 2 bits a weight, for ternary and binary kernels; "
            f"the {space.num_states} states of {spaces.serialize(space)!r} need a byte. Use "
            f'kernel_storage="int8". Received: kernel_storage={storage!r}'
        )
    return _KINDS[storage]
