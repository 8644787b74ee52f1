"""GXNOREmbedding: `keras.layers.Embedding` with a discrete table."""

import keras
import numpy as np

from keras_gxnor import kernels
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.layers.base import DiscreteKernel


@keras.saving.register_keras_serializable(package="keras_gxnor")
class GXNOREmbedding(DiscreteKernel, keras.layers.Embedding):
    """Turns token indexes into ternary vectors, stored as int8 codes.

    As `keras.layers.Embedding`, with every entry in {-1, 0, 1} (or another discrete space): the
    output is discrete, and the next layer can read it without an activation between. The table
    is one int8 trainable variable, without a float copy between steps, and must be trained with
    `keras_gxnor.DSTOptimizer`. In a step the whole table is read as floats and its gradient is
    as large, however few of its rows the batch uses. Rows that it does not use have a gradient
    of zero; a rule with momentum may still move them.

    Args:
        input_dim: Positive integer, size of the vocabulary.
        output_dim: Positive integer, length of a vector.
        embeddings_initializer: Any Keras initializer; its draw is turned into codes
            (`keras_gxnor.kernels.initial_codes`).
        embeddings_regularizer: Regularizer of the float read of the table.
        embeddings_constraint: Refused: the space is the constraint.
        mask_zero: Whether index 0 is padding: later layers that know masks leave it out.
        weights: Initial table (input_dim, output_dim) of floats, or a list with it, turned into
            codes like an initializer's draw.
        kernel_space: `"ternary"`, `"binary"`, `"z2"`..`"z7"`, `"graded"` or a space, as of
            `GXNORDense`.
        kernel_storage: `"int8"` or `"packed"`, as of `GXNORDense`.
        **kwargs: As for `keras.layers.Layer`.

    Input shape:
        (batch, ...) of integers in 0..input_dim - 1; floats are cut to integers.

    Output shape:
        (batch, ..., output_dim).

    Exports to: TFLite, TFLite Micro and C, as the first layer, for ternary and binary tables of
    at most 256 rows, on uint8 token indexes. A mask is not exported.

    Example:

    >>> layer = GXNOREmbedding(100, 8)
    >>> layer(np.array([[4, 20, 4]])).shape
    TensorShape([1, 3, 8])
    >>> layer.embeddings.dtype
    'int8'
    """

    KERNELS = {"embeddings": "embeddings"}

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        weights=None,
        kernel_space="ternary",
        kernel_storage="int8",
        **kwargs,
    ):
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            kernel_space=kernel_space,
            kernel_storage=kernel_storage,
            **kwargs,
        )
        if weights is not None:
            self.build()
            self.embeddings.assign(kernels.nearest_codes(self._table(weights), self.kernel_space))

    def _table(self, weights):
        table = np.asarray(weights[0] if isinstance(weights, list) and len(weights) == 1 else weights)
        if table.shape != (self.input_dim, self.output_dim):
            raise InvalidArgumentError(
                f"Layer `{self.name}`: `weights` must be a table of shape (input_dim, output_dim) = "
                f"{(self.input_dim, self.output_dim)}. Received: shape {table.shape}"
            )
        return table

    def build(self, input_shape=None):
        """Creates the table (input_dim, output_dim)."""
        if not self.built:
            self.make_kernel((self.input_dim, self.output_dim), "embeddings")
            self.built = True

    @property
    def embeddings(self):
        """The variable (input_dim, output_dim) of int8 codes."""
        return self.kernel_variable("embeddings")

    def linear(self, inputs, embeddings):
        """The rows of `embeddings`, in place of the layer's own."""
        if keras.backend.standardize_dtype(inputs.dtype) not in ("int32", "int64"):
            inputs = keras.ops.cast(inputs, "int32")
        return keras.ops.take(embeddings, inputs, axis=0)

    def finish(self, x):
        """Nothing follows the look-up."""
        return x
