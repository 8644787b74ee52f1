"""XLA for the few places where it was measured to pay: is it here, and compile this."""

import functools

import tensorflow as tf


@functools.cache
def xla_works() -> bool:
    """Whether this TensorFlow can compile with XLA on this machine."""
    try:
        with tf.init_scope():  # run it, even if a graph is being traced just now
            tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1))
    except (tf.errors.OpError, ValueError, NotImplementedError):
        return False
    return True


def jit(function):
    """`function` compiled by XLA: all its element-wise operations in one pass over memory."""
    return tf.function(function, jit_compile=True, reduce_retracing=True)
