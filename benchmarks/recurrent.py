"""Does a ternary recurrent cell learn? Against a float SimpleRNN and a ternary net without memory.

    python benchmarks/recurrent.py [--quick] [--seeds N] [--json FILE]

The cell: h_t = step(gain (x_t W + h_{t-1} U) + bias), with ternary W and U (int8 variables, moved
by DSTOptimizer), float gain and bias a unit, and the ternary multi-step activation, so that the
state is ternary as well. Two tasks, both with a part held out: scikit-learn's 8x8 digits read
row by row, and recalling the first of many symbols.
"""

import argparse
import json
import pathlib

import keras
import numpy as np

import keras_gxnor
from keras_gxnor.layers.base import DiscreteKernel

SYMBOLS = 4


class TernaryRNN(DiscreteKernel, keras.layers.Layer):
    """The cell over all steps of (batch, steps, features); returns the last state (batch, units)."""

    KERNELS = {"kernel": "kernel", "recurrent_kernel": "recurrent"}
    activation = None

    def __init__(self, units, kernel_space, **kwargs):
        super().__init__(kernel_space=kernel_space, **kwargs)
        self.units, self.step = units, keras_gxnor.MultiStep()
        self.kernel_initializer = keras.initializers.GlorotUniform()
        self.recurrent_initializer = keras.initializers.Orthogonal()
        self.kernel_regularizer = self.recurrent_regularizer = None

    def build(self, input_shape):
        """Makes both kernels, the gain and the bias."""
        features = input_shape[-1]
        self.make_kernel((features, self.units))
        self.make_kernel((self.units, self.units), "recurrent_kernel")
        nonzero = [np.count_nonzero(self._kernel.numpy()), np.count_nonzero(self._recurrent_kernel.numpy())]
        size = (sum(nonzero) / self.units) ** -0.5
        self.gain = self.add_weight(shape=(self.units,), initializer=keras.initializers.Constant(size))
        self.shift = self.add_weight(shape=(self.units,), initializer="zeros")
        self.built = True

    def linear(self, inputs, kernel, recurrent_kernel):
        """The last state."""
        driven = keras.ops.matmul(inputs, kernel)
        state = keras.ops.zeros_like(driven[:, 0])
        for step in range(inputs.shape[1]):
            sums = driven[:, step] + keras.ops.matmul(state, recurrent_kernel)
            state = self.step(self.gain * sums + self.shift)
        return state


def digits():
    """((x, y) to train, (x, y) held out): rows of 8x8 digits, as -1..1."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x, y = (found.images.astype(np.float32) - 8) / 8, found.target
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:1297], order[1297:]
    return (x[train], y[train]), (x[test], y[test])


def recall(steps):
    """The first of `steps` symbols is the label; those after it are noise in other channels."""
    rng, parts = np.random.default_rng(0), []
    for count in (1024, 512):
        symbols = rng.integers(0, SYMBOLS, (count, steps))
        x = np.eye(2 * SYMBOLS, dtype=np.float32)[np.where(np.arange(steps) > 0, symbols + SYMBOLS, symbols)]
        parts.append((x, symbols[:, 0]))
    return tuple(parts)


TASKS = {"digits": digits, "recall 8": lambda: recall(8), "recall 16": lambda: recall(16)}


def _head(classes, space):
    return [
        keras_gxnor.GXNORDense(classes, use_bias=False, kernel_space=space),
        keras.layers.BatchNormalization(),
    ]


def networks(units, steps, features, classes):
    """{name: function that makes the layers}; all have about the same number of weights."""
    weights = units * (features + units + classes)
    hidden = round(weights / (steps * features + classes))

    def recurrent(space):
        return lambda: [TernaryRNN(units, space), *_head(classes, space)]

    def plain(space):
        return lambda: [
            keras.layers.Flatten(),
            keras_gxnor.GXNORDense(hidden, use_bias=False, kernel_space=space),
            keras.layers.BatchNormalization(),
            keras_gxnor.DiscreteActivation(),
            *_head(classes, space),
        ]

    return {
        "float SimpleRNN": lambda: [keras.layers.SimpleRNN(units), keras.layers.Dense(classes)],
        "ternary RNN": recurrent("ternary"),
        "graded RNN": recurrent("graded"),
        "ternary, no recurrence": plain("ternary"),
        "graded, no recurrence": plain("graded"),
    }


def accuracy(name, layers, data, seed, epochs):
    """Held-out accuracy in percent after training from `seed`."""
    keras.utils.set_random_seed(seed)
    (x, y), (held_x, held_y) = data
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers()])
    steps = epochs * -(-len(y) // 32)
    if name.startswith("float"):
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps), clipnorm=1.0)
    else:
        optimizer = keras_gxnor.DSTOptimizer(keras.optimizers.schedules.CosineDecay(0.1, steps), seed=seed)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return 100 * float(np.mean(model.predict(held_x, verbose=0).argmax(1) == held_y))


def measure(tasks, seeds, epochs, units):
    """Rows {"task", "network", "accuracy": [one a seed]}."""
    rows = []
    for task in tasks:
        data = TASKS[task]()
        (x, y), _ = data
        for name, layers in networks(units, *x.shape[1:], int(y.max()) + 1).items():
            found = [accuracy(name, layers, data, seed, epochs) for seed in range(seeds)]
            rows.append({"task": task, "network": name, "accuracy": [round(a, 2) for a in found]})
            print(table(rows[-1:]), flush=True)
    return rows


def table(rows) -> str:
    """One line a row: task, network, mean and range over the seeds."""
    return "\n".join(
        f"{r['task']:10}  {r['network']:26}  {np.mean(r['accuracy']):6.2f}  "
        f"({min(r['accuracy']):.2f}-{max(r['accuracy']):.2f}, {len(r['accuracy'])} seeds)"
        for r in rows
    )


def main(arguments=None):
    """Prints the table, and writes the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch, one task: does it run?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--json", type=pathlib.Path, help="file for the rows")
    given = parser.parse_args(arguments)
    if given.quick:
        given.seeds = given.epochs = 1
        given.tasks = given.tasks[:1]
    rows = measure(given.tasks, given.seeds, given.epochs, given.units)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
