"""Training data whose order is a pure function of the epoch, so that it can be resumed."""

import hashlib
import math

import keras
import numpy as np
import tensorflow as tf

from keras_gxnor.callbacks.arguments import arrays, integer, to_floatx
from keras_gxnor.errors import InvalidArgumentError

_SAMPLE = 64  # examples whose content a checkpoint remembers


def shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of range(count), int64: a pure function of its arguments.

    It sorts the raw output of a Philox generator, which NumPy promises never to change
    (`Generator.permutation` may change between its versions).

    Example:

    >>> from keras_gxnor.callbacks.batches import shuffled
    >>> shuffled(6, seed=0, epoch=1).tolist() == shuffled(6, seed=0, epoch=1).tolist()
    True
    """
    key = np.array([seed % 2**64, epoch], np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(count), kind="stable")


class ArrayBatches:
    """Batches of arrays in an order given by (seed, epoch).

    Args:
        x, y, sample_weight: As for `Model.fit`: arrays, or tuples, lists or dicts of them,
            all with the examples along the first axis.
        batch_size: Positive integer; the last batch may be smaller.
        seed: Integer.
        shuffle: Whether to shuffle; False keeps the order of the arrays.

    Raises:
        InvalidArgumentError: if the arrays do not fit together.
    """

    def __init__(self, x, y, sample_weight, batch_size, seed, shuffle):
        data = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        self._data, self.count = arrays(data)
        self.batch_size = integer("batch_size", batch_size, 1)
        self.seed = integer("seed", seed)
        self.shuffle = bool(shuffle)
        self.steps = math.ceil(self.count / self.batch_size)

    @property
    def spec(self):
        """tf.TensorSpec structure of one batch."""
        return keras.tree.map_structure(
            lambda a: tf.TensorSpec((None, *a.shape[1:]), to_floatx(a[:0]).dtype), self._data
        )

    def describe(self) -> dict:
        """What must be the same for a run to be resumed."""
        return {
            "examples": self.count,
            "batch_size": self.batch_size,
            "seed": self.seed if self.shuffle else None,
            "shuffle": self.shuffle,
            "sample": self._sample(),
        }

    def _sample(self) -> str:
        """A checksum of some examples, in hexadecimal: tells other data of the same shape."""
        rows = np.unique(np.linspace(0, self.count - 1, _SAMPLE).astype(np.int64))
        digest = hashlib.sha256()
        for array in keras.tree.flatten(self._data):
            digest.update(repr((array.dtype.str, array.shape[1:])).encode())
            digest.update(np.ascontiguousarray(array[rows]).tobytes())
        return digest.hexdigest()[:16]

    def iterate(self, epoch: int, start: int):
        """Yields the batches of `epoch` from number `start` on."""
        order = shuffled(self.count, self.seed, epoch) if self.shuffle else np.arange(self.count)
        for batch in range(start, self.steps):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield keras.tree.map_structure(lambda a, rows=rows: to_floatx(a[rows]), self._data)


class EpochBatches:
    """Batches of a `tf.data.Dataset` that is made anew for every epoch.

    Args:
        make: Callable epoch (int) -> finite `tf.data.Dataset` of batches, the same one
            whenever it is called with the same epoch.

    Raises:
        InvalidArgumentError: if it returns something else.
    """

    def __init__(self, make):
        self._make = make
        first = self._dataset(0)
        self.spec, self.steps = first.element_spec, int(first.cardinality())
        if self.steps <= 0:
            raise InvalidArgumentError(
                "The number of batches of an epoch must be known and positive. Add "
                ".apply(tf.data.experimental.assert_cardinality(batches)) to the dataset. "
                f"Received: cardinality={self.steps}"
            )

    def _dataset(self, epoch):
        dataset = self._make(epoch)
        if not isinstance(dataset, tf.data.Dataset):
            raise InvalidArgumentError(
                "A function epoch -> tf.data.Dataset was expected. It returned: "
                f"{type(dataset).__name__}"
            )
        return dataset

    def describe(self) -> dict:
        """What must be the same for a run to be resumed."""
        return {"batches": self.steps}

    def iterate(self, epoch: int, start: int):
        """Yields the batches of `epoch` from number `start` on."""
        dataset = self._dataset(epoch)
        if int(dataset.cardinality()) != self.steps:
            raise InvalidArgumentError(
                f"Every epoch must have the same number of batches, {self.steps} in epoch 0. "
                f"Received: {int(dataset.cardinality())} in epoch {epoch}"
            )
        # One batch ahead: an iterator that was emptied but has not met its end waits for the
        # autotuning thread of tf.data when it is deleted, up to a minute.
        batches = dataset.skip(start).as_numpy_iterator()
        following = next(batches, None)
        while following is not None:
            batch, following = following, next(batches, None)
            yield batch
