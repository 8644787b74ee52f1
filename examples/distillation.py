"""From a float net to a ternary one: convert, fine-tune, and distill.

    python examples/distillation.py --epochs 4
    python examples/distillation.py --data mnist.npz --epochs 2

A float CNN with ReLU is trained, then `keras_gxnor.discretize` makes a ternary one of it. Three
ternary nets of the same layers are trained for equally many epochs: one from random codes, one
from the converted ones, and one from those with the float net as a teacher: its loss is half the
cross entropy to the labels, half that to the teacher's softened answers (Hinton, Vinyals, Dean 2015,
arXiv 1503.02531). Stock `compile` and `fit`: the teacher's logits travel beside the labels, as more
columns of the targets. Digits of scikit-learn by default; MNIST with --data.
"""

import pathlib
import sys

import click
import keras
import numpy as np
from rich.table import Table

import keras_gxnor

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import digits
import mnist
from common import accuracy, console, train

TEMPERATURE = 4.0
RATE = 0.1


@keras.saving.register_keras_serializable(package="examples")
def distillation(targets, logits):
    """Mean of the cross entropies to the labels and to the teacher.

    Args:
        targets: (batch, 2 classes): one-hot labels, then the teacher's logits.
        logits: (batch, classes) of the student.
    """
    labels, teacher = keras.ops.split(targets, 2, axis=-1)
    soft = keras.ops.softmax(teacher / TEMPERATURE)
    to_labels = keras.losses.categorical_crossentropy(labels, logits, from_logits=True)
    to_teacher = keras.losses.categorical_crossentropy(soft, logits / TEMPERATURE, from_logits=True)
    return (to_labels + TEMPERATURE**2 * to_teacher) / 2  # gradients of the second shrink by T^2


def trained(model, x, targets, loss, epochs, batch_size, seed):
    """The model after `epochs` at a rate that falls to 0, with exact batch statistics."""
    keras.utils.set_random_seed(seed)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(x) // batch_size))
    model.compile(keras_gxnor.DSTOptimizer(schedule, seed=seed), loss)
    model.fit(x, targets, batch_size=batch_size, epochs=epochs, verbose=2)
    keras_gxnor.callbacks.reestimate_batch_normalization(model, x[:5000], batch_size)
    return model


def students(parent, x, labels, kernel_space, epochs, batch_size, seed):
    """{how it was trained: ternary model}."""

    def converted(verbose=False):
        return keras_gxnor.discretize(
            parent, kernel_space, keep=(), calibration_data=x[:2000], verbose=verbose
        )

    start = converted(verbose=True)
    fresh = keras.models.clone_model(start)  # the same layers, random codes
    one_hot = keras.utils.to_categorical(labels, 10)
    both = np.concatenate([one_hot, parent.predict(x, batch_size=500, verbose=0)], axis=-1)
    plain = keras.losses.CategoricalCrossentropy(from_logits=True)
    runs = {
        "from random codes": (fresh, one_hot, plain),
        "fine-tuned": (converted(), one_hot, plain),
        "fine-tuned with a teacher": (converted(), both, distillation),
    }
    made = {"converted, not trained on": start}
    for name, (model, targets, loss) in runs.items():
        console.rule(name)
        made[name] = trained(model, x, targets, loss, epochs, batch_size, seed)
    return made


@click.command()
@click.option("--data", "path", type=click.Path(exists=True), envvar="GXNOR_DATA",
              help="mnist.npz, or its folder; default: scikit-learn's digits.")
@click.option("--epochs", default=4, type=click.IntRange(1), show_default=True, help="Of the ternary nets.")
@click.option("--parent-epochs", default=10, type=click.IntRange(1), show_default=True)
@click.option("--kernel-space", default="graded", show_default=True)
@click.option("--width", default=0.25, show_default=True, help="Of the MNIST net.")
@click.option("--seed", default=0, show_default=True)
def main(path, epochs, parent_epochs, kernel_space, width, seed):
    """Trains a float net and its ternary students, and prints their accuracies."""
    if path is None:
        codes, test_codes, labels, test_labels = digits.data()
        spec, build, batch_size = digits.SPEC, digits.build, 32
    else:
        path = pathlib.Path(path)
        codes, labels, test_codes, test_labels = mnist.data(path / "mnist.npz" if path.is_dir() else path)
        spec, build, batch_size = mnist.SPEC, lambda discrete: mnist.build(width, discrete), 128
    x, x_test = (
        (q.astype(np.float32) - spec.zero_point) * np.float32(spec.scale) for q in (codes, test_codes)
    )
    console.rule("the float net")
    keras.utils.set_random_seed(seed)
    parent = build(False)
    train(parent, x, labels, parent_epochs, batch_size, 3e-3, discrete=False)
    made = students(parent, x, labels, kernel_space, epochs, batch_size, seed)
    table = Table(title=f"{len(x_test):,} test images; {kernel_space} kernels, {epochs} epochs, seed {seed}")
    table.add_column("net")
    table.add_column("accuracy", justify="right")
    for name, model in {"float32, ReLU": parent, **made}.items():
        table.add_row(name, f"{100 * accuracy(model, x_test, test_labels):.2f} %")
    console.print(table)


if __name__ == "__main__":
    main()
