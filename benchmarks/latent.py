"""Latent-weight baseline: ternary kernels with a float32 master copy (straight-through).

What most libraries do, and what our kernels are compared with: the float kernel w is read
as sign(w) where |w| > 0.7 mean|w| (Li & Liu, Ternary Weight Networks, 2016; their scale is
left out, since batch normalization follows every layer), and the gradient passes straight
through to w.
"""

import keras
import tensorflow as tf


def ternarize(kernel):
    """{-1, 0, 1} with a straight-through gradient, for a float kernel of any shape."""

    @tf.custom_gradient
    def through(w):
        threshold = 0.7 * tf.reduce_mean(tf.abs(w))
        return tf.sign(w) * tf.cast(tf.abs(w) > threshold, w.dtype), lambda upstream: upstream

    return through(tf.convert_to_tensor(kernel))


class LatentDense(keras.layers.Dense):
    """`keras.layers.Dense` that computes with its ternarized kernel; no bias."""

    def call(self, inputs, training=None):
        """Returns inputs @ ternarize(kernel)."""
        return tf.matmul(inputs, ternarize(self.kernel))


class LatentConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` that computes with its ternarized kernel; no bias."""

    def call(self, inputs):
        """Returns the convolution with ternarize(kernel)."""
        return keras.ops.conv(
            inputs, ternarize(self.kernel), strides=list(self.strides), padding=self.padding
        )
