"""What the workers of one job know of each other: their number, equality, and checkpoints."""

import pathlib
import zlib

import numpy as np
import tensorflow as tf

from keras_gxnor.errors import VerificationError
from keras_gxnor.optimizers import discrete_inside

_KEPT = 2  # checkpoints a worker: one may be killed after the others have saved the next


def worker(strategy) -> int:
    """Number of this worker.

    Args:
        strategy: A `tf.distribute.Strategy`.

    Returns:
        0 for the chief and wherever there is only one worker.

    Example:

    >>> from keras_gxnor import distribute
    >>> distribute.worker(tf.distribute.get_strategy())
    0
    """
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type or resolver.task_type == "chief":
        return 0
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_id + has_chief


def check_equal(model):
    """Proves that all workers hold the same model; run it on all of them at the same time.

    Compares a checksum of every variable of the model and its optimizer, and the seeds.

    Args:
        model: A model made within `scope`.

    Raises:
        VerificationError: if two workers differ; the message names the variables.

    Example:

    >>> from keras_gxnor import distribute
    >>> distribute.check_equal(keras.Sequential([keras.Input((4,)), GXNORDense(2)]))
    """
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer else [])]
    named = [(v.path, np.asarray(v.numpy()).tobytes()) for v in variables]
    seeds = [found.seed for found in discrete_inside(optimizer)] if optimizer else []
    named.append(("the seed of the optimizer", repr(seeds).encode()))
    sums = gather(model.distribute_strategy, [zlib.crc32(data) for _, data in named])
    wrong = [name for (name, _), column in zip(named, sums.T) if len(set(column)) > 1]
    if wrong:
        raise VerificationError(
            f"The workers differ in {', '.join(wrong[:5])}{' and more' if wrong[5:] else ''}. "
            "Make the model and its optimizer within keras_gxnor.distribute.scope(strategy), "
            "give the optimizer a `seed`, and start all workers with the same program and "
            f"checkpoints. Received: {len(wrong)} of {len(named)} different"
        )


def gather(strategy, numbers):
    """Integers below 2^32 of every replica -> int64 array (replicas, numbers)."""
    row = tf.constant([numbers], tf.int64)

    def rows():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_gather(row, axis=0))

    everyone = tf.function(rows).get_concrete_function()()  # once: no advice about retracing
    return np.asarray(strategy.experimental_local_results(everyone)[0])


class Checkpoints:
    """Checkpoints: each worker has its own, and all go back to the newest that all have.

    Args:
        model: A compiled model with a built optimizer.
        strategy: Its strategy.
        folder: Folder of `worker-0`, `worker-1`..., or None for no checkpoints.
    """

    def __init__(self, model, strategy, folder):
        self.strategy, self.manager = strategy, None
        if folder is not None:
            self.manager = tf.train.CheckpointManager(
                tf.train.Checkpoint(model=model, optimizer=model.optimizer),
                pathlib.Path(folder) / f"worker-{worker(strategy)}",
                max_to_keep=_KEPT,
            )

    def restore(self) -> int:
        """Number of epochs done."""
        if self.manager is None:
            return 0
        paths = {int(path.rpartition("-")[2]): path for path in self.manager.checkpoints}
        mine = [*paths, *[0] * _KEPT][:_KEPT]
        epoch = max(set.intersection(*map(set, gather(self.strategy, mine))), default=0)
        if epoch:
            self.manager.checkpoint.restore(paths[epoch]).assert_existing_objects_matched()
        return epoch

    def save(self, epoch):
        """Saves the state after `epoch` epochs."""
        if self.manager is not None:
            self.manager.save(checkpoint_number=epoch)
