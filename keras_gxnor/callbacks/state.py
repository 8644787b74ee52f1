"""The whole state of a compiled model: its variables, described, compared and set."""

import re

import keras
import tensorflow as tf

from keras_gxnor import spaces
from keras_gxnor.errors import CheckpointError
from keras_gxnor.kernels import DiscreteVariable
from keras_gxnor.optimizers import discrete_inside, inside

_SHOWN = 5  # differences in an error message


def variables(model, metrics: bool) -> dict:
    """{"model": [...], "optimizer": [...], "metrics": [...]}: all variables, each once.

    Metrics only on one replica: they are made while a step is traced, where TensorFlow
    cannot make mirrored variables.
    """
    metrics = metrics and model.distribute_strategy.num_replicas_in_sync == 1
    groups = {
        "model": list(model.variables),  # with the states of seed generators
        "optimizer": list(model.optimizer.variables),
        "metrics": list(model.metrics_variables) if metrics else [],
    }
    seen = set()
    return {
        name: [v for v in group if not (id(v) in seen or seen.add(id(v)))]
        for name, group in groups.items()
    }


def describe(model, groups) -> dict:
    """A JSON-able description of the state, without its values."""
    return {
        "optimizers": [type(optimizer).__name__ for optimizer in inside(model.optimizer)],
        "seeds": [optimizer.seed for optimizer in discrete_inside(model.optimizer)],
        "variables": {
            name: [[_unnumbered(v.path), v.dtype, list(v.shape), _space(v)] for v in group]
            for name, group in groups.items()
        },
    }


def _space(variable):
    return spaces.serialize(variable.space) if isinstance(variable, DiscreteVariable) else None


def build(model, spec, metrics: bool):
    """Makes the variables that the first training step would make.

    Args:
        model: A compiled model.
        spec: tf.TensorSpec structure of a batch; None if it is not known.
        metrics: Whether those of the metrics are wanted too; only `spec` makes them.

    Raises:
        CheckpointError: if the layers have no variables yet and `spec` is None.
    """
    strategy = model.distribute_strategy
    with strategy.scope():
        if spec is not None and (metrics or not model.built):
            # Traced, not run: variables are made, and none changes. The test step makes the
            # same ones but those of the optimizer, in half the time.
            stock = type(model).train_step is keras.Model.train_step
            step = model.test_step if stock else model.train_step
            run = tf.function(lambda data: strategy.run(step, args=(data,)), autograph=False)
            run.get_concrete_function(spec)
        if not model.built:
            raise CheckpointError(
                f"Model `{model.name}` has no variables yet. Give it a keras.Input, or make the "
                "data by `checkpoint.batches` before `checkpoint.restore`."
            )
        model.optimizer.build(model.trainable_variables)


def restore(model, spec, saved: dict, arrays, what: str):
    """Sets all variables; none is changed if something does not fit.

    Args:
        model: The compiled model.
        spec: As for `build`.
        saved: What `describe` returned when it was saved.
        arrays: The values, in the order of `saved["variables"]`.
        what: Names the checkpoint in errors.

    Returns:
        [(variable, array)] of all that was saved, without the metrics if those are others now.

    Raises:
        CheckpointError: if the model or its optimizer is another one.
    """
    seeds = _exchange_seeds(model, saved["seeds"])
    try:
        groups, wanted = variables(model, metrics=True), saved["variables"]
        if any(len(groups[name]) < len(wanted[name]) for name in wanted):
            build(model, spec, metrics=bool(wanted["metrics"]))
            groups = variables(model, metrics=True)
        current = describe(model, groups)
        differences = _differences(saved, current)
        if differences:
            raise CheckpointError(_mismatch(model, what, differences))
        targets = groups["model"] + groups["optimizer"]
        # A run may go on with other metrics; they then count from where it goes on.
        if wanted["metrics"] == current["variables"]["metrics"]:
            targets += groups["metrics"]
        pairs = list(zip(targets, arrays))
        for variable, array in pairs:
            if isinstance(variable, DiscreteVariable):
                variable.space.check_codes(array, f"{what}: `{variable.path}`")
    except Exception:
        _exchange_seeds(model, seeds)
        raise
    for variable, array in pairs:
        variable.assign(array)
    return pairs


def _exchange_seeds(model, seeds):
    """Sets the seeds of the DSTOptimizers that are not built yet; returns the old ones.

    A seed is state: without one given, every process draws another.
    """
    found = discrete_inside(model.optimizer)
    old = [optimizer.seed for optimizer in found]
    for optimizer, seed in zip(found, seeds):
        if not optimizer.built:
            optimizer.seed = seed
    return old


def _mismatch(model, what, differences):
    more = len(differences) - _SHOWN
    return (
        f"{what} was saved from another model or optimizer than `{model.name}`:\n  "
        + "\n  ".join(differences[:_SHOWN])
        + (f"\n  and {more} more" if more > 0 else "")
        + "\nNo variable was changed. Build and compile the model as it was, or train the new one "
        "with an empty checkpoint folder."
    )


def _differences(saved, current):
    if saved["optimizers"] != current["optimizers"]:
        return [f"optimizer: {saved['optimizers']} saved, {current['optimizers']} here"]
    found = []
    if saved["seeds"] != current["seeds"]:
        found.append(f"seed of DSTOptimizer: {saved['seeds']} saved, {current['seeds']} here")
    for group in ("model", "optimizer"):
        old, new = saved["variables"][group], current["variables"][group]
        if len(old) != len(new):
            found.append(f"{group}: {len(old)} variables saved, {len(new)} here")
        for before, after in zip(old, new):
            if before != after:
                found.append(f"{group}: {_words(before)} saved, {_words(after)} here")
    return found


def _unnumbered(path):
    """Keras numbers the layers of a process: dense_3 of one may be dense of the next."""
    return re.sub(r"_\d+(?=/|_|$)", "", path)


def _words(entry):
    path, dtype, shape, space = entry
    kind = f"{space} kernel" if space else dtype
    return f"`{path}` {kind}{tuple(shape)}"
