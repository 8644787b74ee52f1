"""The ways to train a net that the benchmarks compare, and one training run of each."""

import dataclasses
import math
import pathlib
import sys
import time

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import networks

import keras_gxnor


@dataclasses.dataclass(frozen=True)
class Method:
    """How a net is trained.

    Args:
        kind: Kind of weights, see `networks.layers`.
        rule: Increment rule of the discrete kernels; None for Adam on float weights.
        rates: {net: (rate of the kernels, rate of all other variables)} at the start of the
            cosine; a single one is that of everything. Chosen on the validation split, see
            docs/results.md. A net that is not in it is only timed, at the rates of "mnist".
        m: Nonlinear factor of the transition.
        note: One line for people.
    """

    kind: str
    rule: object
    rates: dict
    m: float | None = 3.0
    note: str = ""


METHODS = {
    "float_adam": Method(
        "float", None, {"mnist": (3e-3,), "cifar": (1e-2,)}, note="float32 weights, ReLU, Adam"
    ),
    "float_ternary_activations": Method(
        "float_ternary", None, {"mnist": (3e-3,), "cifar": (3e-3,)},
        note="float32 weights, ternary activations, Adam",
    ),
    "latent": Method(
        "latent", None, {"mnist": (1e-2,), "cifar": (3e-2,)},
        note="float32 latent weights read as ternary (straight-through), Adam",
    ),
    "ternary_adam": Method(
        "ternary", "adam", {"mnist": (1e-2, 1e-2), "cifar": (1e-2, 1e-2)},
        note="strict, the paper's rule",
    ),
    "ternary_momentum_int8": Method(
        "ternary", "momentum", {"mnist": (0.2, 2e-2), "cifar": (0.1, 1e-2)},
        note="strict, int8 momentum",
    ),
    "ternary_fire": Method(
        "ternary", "fire", {"mnist": (0.2, 1e-2), "cifar": (0.2, 1e-2)},
        note="strict, int8 integrate-and-fire accumulator",
    ),
    "graded": Method(
        "graded", "none", {"mnist": (0.1, 1e-2), "cifar": (0.1, 1e-2)},
        note="8-bit hidden state, no slots",
    ),
}


def optimizer(method: Method, net: str, steps: int, seed: int = 0):
    """The Keras optimizer of a method, its rates falling to 0 over `steps` by a cosine."""
    rates = method.rates.get(net, method.rates["mnist"])
    schedules = [keras.optimizers.schedules.CosineDecay(r, steps) for r in rates]
    if method.rule is not None:
        others = keras.optimizers.Adam(schedules[1])
        return keras_gxnor.DSTOptimizer(
            schedules[0], rule=method.rule, m=method.m, optimizer=others, seed=seed
        )
    adams = [keras.optimizers.Adam(schedule) for schedule in schedules]
    if len(adams) == 1:
        return adams[0]
    return keras.optimizers.MultiOptimizer(lambda v: adams[0 if v.name == "kernel" else 1])


def compiled(method: Method, net: str):
    """A model of the net with its optimizer and all slots, for counting and timing."""
    model = getattr(networks, net)(method.kind)
    model.compile(optimizer(method, net, 1_000_000), "squared_hinge")
    model.optimizer.build(model.trainable_variables)
    return model


def step(model, batch: int):
    """One training step as `fit` runs it, on a fixed batch, as a function without arguments."""
    x = tf.random.stateless_uniform((batch, *model.input_shape[1:]), (1, 2), -1.0, 1.0)
    y = 2.0 * tf.one_hot(tf.range(batch) % 10, 10) - 1.0
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((x, y)).repeat())
    return lambda: model.train_function(batches)


def bytes_per_weight(model) -> float:
    """Bytes of the kernels and their optimizer slots, as they are stored, a kernel weight."""
    rows = keras_gxnor.training_memory(model).rows
    kernels = {v.path: math.prod(v.shape) for v in model.trainable_variables if v.name == "kernel"}
    stored = sum(row.persistent for row in rows if {row.path, row.serves} & set(kernels))
    return stored / sum(kernels.values())


def train(name: str, net: str, data, width: float, epochs: int, seed: int, batch_size=128) -> dict:
    """Trains once with stock fit and returns accuracies and time.

    Args:
        name: Key of METHODS.
        net: Name of a net in `networks`, with squared hinge on +-1 targets.
        data: ((x, y), (x_test, y_test)).
        width, epochs, seed, batch_size: As usual.

    Returns:
        dict: `last`, the test accuracy after the last epoch (never the best one), in %,
        `train`, and `seconds`.
    """
    (x, y), (x_test, y_test) = data
    keras.utils.set_random_seed(seed)
    model = getattr(networks, net)(METHODS[name].kind, width)
    steps = epochs * -(-len(x) // batch_size)
    targets = 2.0 * keras.utils.to_categorical(y, 10) - 1.0
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(optimizer(METHODS[name], net, steps, seed), "squared_hinge", metrics=[accuracy])
    start = time.perf_counter()
    history = model.fit(x, targets, batch_size=batch_size, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - start
    found = model.predict(x_test, batch_size=500, verbose=0).argmax(axis=1)
    return {
        "last": round(100 * float(np.mean(found == y_test)), 3),
        "train": round(100 * history.history["accuracy"][-1], 2),
        "seconds": round(seconds, 1),
    }
