"""Training on several machines, on TensorFlow's own MultiWorkerMirroredStrategy.

Every worker runs the same program. Gradients are all-reduced in float32 by TensorFlow;
the transitions are a pure function of (seed, kernel, step), so each worker moves its own
int8 kernels and they stay equal byte for byte: codes and slots are never sent.

Three things are missing in TensorFlow 2.21 and Keras 3.15 for that, and are made up for
here with public means. TensorFlow cannot broadcast the initial value of an int8 variable:
`scope`. Keras lets the moving statistics of batch normalization drift apart, and its `fit`
fails on every model under this strategy: `train_step` and `fit`.
"""

import contextlib

import keras
import tensorflow as tf

from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.workers import Checkpoints, check_equal, worker

__all__ = ["check_equal", "fit", "scope", "train_step", "worker"]

# CollectiveBcastSend knows bool, half, float, double, int32 and int64 only. These hold
# every value of the others, so going there and back changes nothing.
_CARRIERS = {
    tf.int8: tf.int32,
    tf.uint8: tf.int32,
    tf.int16: tf.int32,
    tf.uint16: tf.int32,
    tf.uint32: tf.int64,
    tf.bfloat16: tf.float32,
}


@contextlib.contextmanager
def scope(strategy):
    """`strategy.scope()` in which discrete kernels and their optimizer can be made.

    Under `MultiWorkerMirroredStrategy`, variables of a dtype that TensorFlow cannot
    broadcast (int8 kernels and momentum, bfloat16, the uint32 state of Keras' random layers)
    travel in a wider dtype when they are made; they are stored in their own. Every worker
    starts from the chief's initial values. Other strategies get their plain scope.

    Args:
        strategy: A `tf.distribute.Strategy`. Make a `MultiWorkerMirroredStrategy` first of
            all in the program, before any TensorFlow operation.

    Yields:
        The strategy.

    Raises:
        InvalidArgumentError: if `strategy` is no tf.distribute.Strategy.

    Example:

    >>> from keras_gxnor import distribute
    >>> with distribute.scope(tf.distribute.get_strategy()):
    ...     model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    ...     model.compile(DSTOptimizer(seed=1), "mse")
    """
    if not isinstance(strategy, tf.distribute.Strategy):
        raise InvalidArgumentError(
            f"`strategy` must be a tf.distribute.Strategy. Received: {type(strategy).__name__}"
        )
    with contextlib.ExitStack() as stack:
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if several:  # outside of the strategy's scope: sees the variables after the broadcast
            stack.enter_context(tf.variable_creator_scope(_narrow))
        stack.enter_context(strategy.scope())
        if several:
            stack.enter_context(tf.variable_creator_scope(_widen))
        yield strategy


def _widen(next_creator, **kwargs):
    """What the program asks for -> what the strategy is asked for."""
    dtype, initial = kwargs.get("dtype"), kwargs.get("initial_value")
    if dtype is None and not callable(initial):
        dtype = tf.convert_to_tensor(initial).dtype
    dtype = None if dtype is None else tf.as_dtype(dtype)
    if dtype not in _CARRIERS:
        return next_creator(**kwargs)
    return next_creator(**_recast(kwargs, _CARRIERS[dtype]), gxnor_dtype=dtype)


def _narrow(next_creator, **kwargs):
    """What the strategy asks for, one variable a device -> what is really made."""
    dtype = kwargs.pop("gxnor_dtype", None)
    return next_creator(**(kwargs if dtype is None else _recast(kwargs, dtype)))


def _recast(kwargs, dtype):
    initial = kwargs["initial_value"]

    def value():
        return tf.cast(initial() if callable(initial) else initial, dtype)

    return {**kwargs, "initial_value": value, "dtype": dtype}


def train_step(model):
    """One synchronous training step over all workers, for a loop of your own.

    It is Keras' `model.train_step` on every replica, so the loss, metrics, regularization
    and optimizer of `compile` all apply. Then the moving statistics are averaged over the
    replicas, which Keras leaves out. The optimizer is built here, in the scope.

    Args:
        model: A built and compiled model, made within `scope`.

    Returns:
        `tf.function`: batch of a distributed dataset -> {name: float32 scalar}, the loss
        and metrics since `model.reset_metrics()`, averaged over the replicas: equal
        on all workers.

    Raises:
        InvalidArgumentError: if the model is not built, not compiled or not made in `scope`.

    Example:

    >>> from keras_gxnor import distribute
    >>> with distribute.scope(tf.distribute.get_strategy()):
    ...     model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    ...     model.compile(DSTOptimizer(seed=1), "mse")
    >>> step = distribute.train_step(model)
    >>> logs = step((tf.ones((8, 4)), tf.zeros((8, 2))))
    >>> list(logs)
    ['loss']
    """
    strategy = _strategy(model)
    with scope(strategy):
        model.optimizer.build(model.trainable_variables)

    statistics = [v.value for v in {id(v): v for v in _statistics(model)}.values()]

    def on_replica(batch):
        if strategy.num_replicas_in_sync == 1:
            return model.train_step(batch)
        before = [tf.identity(v) for v in statistics]
        logs = model.train_step(batch)
        # Changes are averaged, not values: what did not change stays the same to the bit.
        changes = [v - old for v, old in zip(statistics, before)]
        logs, changes = _average(logs, changes)
        for variable, old, change in zip(statistics, before, changes):
            variable.assign(old + change)
        return logs

    @tf.function(reduce_retracing=True)
    def step(batch):
        logs = strategy.run(on_replica, args=(batch,))
        return {name: strategy.experimental_local_results(v)[0] for name, v in logs.items()}

    return step


def _statistics(layer):
    """The untrained float variables of layers that are not frozen, such as moving means."""
    if not layer.trainable:
        return []
    if isinstance(layer, keras.Model):
        return [v for inner in layer.layers for v in _statistics(inner)]
    return [v for v in layer.non_trainable_weights if tf.as_dtype(v.dtype).is_floating]


def _average(logs, changes):
    """The means over all replicas; one message for all, since each message has its price."""
    parts = [*logs.values(), *changes]
    flat = tf.concat([tf.reshape(tf.cast(part, tf.float32), [-1]) for part in parts], 0)
    flat = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, flat)
    sizes = [tf.size(part) for part in parts]
    means = [
        tf.cast(tf.reshape(mean, tf.shape(part)), part.dtype)
        for mean, part in zip(tf.split(flat, sizes, num=len(parts)), parts)
    ]
    return dict(zip(logs, means)), means[len(logs) :]


def fit(
    model, dataset, epochs=1, steps_per_epoch=None, callbacks=None, checkpoints=None, verbose="auto"
):
    """What `model.fit` does, under a strategy of several workers. Run it on all of them.

    With `checkpoints` a job that was killed continues where its last whole epoch ended.
    If one worker dies, TensorFlow stops the others with an error: start all of them again.
    The result is byte for byte that of a run without a break if `dataset` is a callable,
    the optimizer has a seed, the callbacks keep no state of their own, and the gradients
    are deterministic (`tf.config.experimental.enable_op_determinism()`; the same number
    of workers and threads).

    Args:
        model: A built and compiled model, made within `scope`.
        dataset: `tf.data.Dataset` of batches for all workers together, or a callable
            epoch -> such a dataset, which can so shuffle by the epoch alone. The batch
            size must be static and a multiple of the number of replicas.
        epochs: Number of the last epoch, as in Keras.
        steps_per_epoch: Batches an epoch; None: those of the dataset.
        callbacks: Keras callbacks. They run on every worker with equal logs; let only the
            chief write files.
        checkpoints: Folder, on a disk of each machine or shared by them, or None. Each
            worker writes its own `worker-0`, `worker-1`... in it after every epoch.
        verbose: As in Keras, on the chief; other workers print nothing.

    Returns:
        keras.callbacks.History: exact loss and metrics of every epoch over all workers.

    Raises:
        InvalidArgumentError: if the model is not ready, or batches cannot be split evenly.
        VerificationError: if the workers start or end with different variables or seeds.

    Example:

    >>> from keras_gxnor import distribute
    >>> with distribute.scope(tf.distribute.get_strategy()):
    ...     model = keras.Sequential([keras.Input((4,)), GXNORDense(2)])
    ...     model.compile(DSTOptimizer(seed=1), "mse")
    >>> data = tf.data.Dataset.from_tensor_slices((tf.ones((8, 4)), tf.zeros((8, 2))))
    >>> history = distribute.fit(model, data.batch(4, drop_remainder=True), epochs=2, verbose=0)
    >>> len(history.history["loss"])
    2
    """
    strategy, step = _strategy(model), train_step(model)
    state = Checkpoints(model, strategy, checkpoints)
    first = state.restore()
    check_equal(model)
    batches = _Batches(dataset, strategy, first, steps_per_epoch)
    callbacks = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=verbose != 0 and worker(strategy) == 0,
        model=model,
        verbose=1 if verbose == "auto" else verbose,
        epochs=epochs,
        steps=batches.steps,
    )
    model.stop_training = False
    callbacks.on_train_begin()
    logs = {}
    for epoch in range(first, epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        for index, batch in enumerate(batches.epoch(epoch)):
            callbacks.on_train_batch_begin(index)
            callbacks.on_train_batch_end(index, step(batch))
            if model.stop_training:
                break
        with strategy.scope():  # here a metric is the sum over all workers
            logs = {name: float(v) for name, v in model.get_metrics_result().items()}
        callbacks.on_epoch_end(epoch, logs)
        state.save(epoch + 1)
        if model.stop_training:
            break
    with scope(strategy):
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)
    check_equal(model)
    return model.history


def _strategy(model):
    """The strategy of a model that can be trained."""
    if not model.built or getattr(model, "optimizer", None) is None:
        raise InvalidArgumentError(
            f"Model `{model.name}` must be built (give it a keras.Input) and compiled with an "
            f"optimizer. Received: built={model.built}, "
            f"optimizer={getattr(model, 'optimizer', None)}"
        )
    strategy = model.distribute_strategy
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    workers = sum(cluster.num_tasks(job) for job in cluster.jobs if job in ("chief", "worker"))
    if workers > 1 and strategy.num_replicas_in_sync == 1:  # each would train alone
        raise InvalidArgumentError(
            f"Model `{model.name}` was made outside of keras_gxnor.distribute.scope(strategy). "
            f"Make and compile it there. Received: TF_CONFIG with {workers} workers"
        )
    return strategy


class _Batches:
    """Distributed batches, from a dataset without end, so that no worker runs out alone."""

    def __init__(self, dataset, strategy, first, steps):
        self.dataset, self.strategy = dataset, strategy
        sample = dataset(first) if callable(dataset) else dataset
        count, replicas = int(sample.cardinality()), strategy.num_replicas_in_sync
        self.steps = count if steps is None else steps
        if self.steps < 1:
            raise InvalidArgumentError(
                "The number of batches in `dataset` is unknown, infinite or 0: give "
                f"`steps_per_epoch`. Received: cardinality {count}, steps_per_epoch={steps}"
            )
        for spec in tf.nest.flatten(sample.element_spec):
            size = spec.shape[:1].as_list() if spec.shape.rank else [None]
            if size[0] is None or size[0] % replicas:
                raise InvalidArgumentError(
                    f"Every batch must split evenly over {replicas} replicas: use "
                    f"dataset.batch(size, drop_remainder=True) with a multiple of {replicas}. "
                    f"Received: {spec}"
                )
        self.iterator = None if callable(dataset) else self._iterator(dataset)

    def _iterator(self, dataset):
        return iter(self.strategy.experimental_distribute_dataset(dataset.repeat()))

    def epoch(self, epoch):
        """The batches of one epoch."""
        iterator = self.iterator or self._iterator(self.dataset(epoch))
        for _ in range(self.steps):
            yield next(iterator)
