"""The studies of the GXNOR-Net paper (Deng et al. 2018), measured again with our layers.

    python benchmarks/paper.py m --data mnist.npz --train 10000 --seeds 2 --out build/paper

m           accuracy and transition rate against the nonlinear factor m of the transition
a           accuracy against the half width a of the derivative's pulse, both shapes
r           zeros among the activations, and accuracy, against the zero window r
spaces      accuracy on a grid of kernel spaces Z_N1 and activation spaces Z_N2
operations  which products of a trained ternary net rest, counted on the test images
all         all of these; trainings that they share are done once

Accuracy is that of the *last* epoch on test images, never of the best one. Training is stock
Keras fit. Without --data it takes scikit-learn's digits, which are too few and too easy to rank
anything. Several seeds are shown as their mean with (lowest-highest), not as a deviation.
"""

import collections
import dataclasses
import functools
import json
import os
import pathlib
import platform
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import networks
from plots import PAPER_M, STUDIES, describe, draw, tables

import keras_gxnor
from keras_gxnor.layers.base import DiscreteKernel

BATCH = 128  # images a step
SAMPLE_EVERY = 8  # steps between two measurements of the transition rate
RATES = {"momentum": 0.1, "adam": 0.01}  # where each rule does well; the end of a cosine is 0
FLOAT_RATE = 0.01  # Adam of the batch normalizations, whatever the rate of the kernels


@dataclasses.dataclass(frozen=True)
class Point:
    """One choice of all that the paper varies; the defaults are the paper's ternary net.

    n1, n2: orders of the kernel and the activation space. window: r. pulse, half_width: shape
    and a of the derivative. m: factor, None for unbiased. rate: of the kernels, at the start.
    """

    rate: float
    n1: int = 1
    n2: int = 1
    window: float = 0.5
    pulse: str = "rectangular"
    half_width: float = 0.5
    m: float | None = PAPER_M


@dataclasses.dataclass(frozen=True)
class Budget:
    """What a training may use: data (None: digits), images, epochs, net width, increment rule."""

    data: str | None
    images: int | None
    epochs: int
    width: float
    rule: str


def points(study, rate, quick):
    """The points of a study, each once."""
    base = Point(rate)
    if study == "m":
        factors = (PAPER_M, None) if quick else (0.3, 1.0, PAPER_M, 10.0, None)
        fixed = [dataclasses.replace(base, m=m) for m in factors]
        # A small step d moves a weight by m d on average: at one rate, m also sets the speed.
        # The second series keeps m x rate (unbiased: slope 1), so that only the shape differs.
        scaled = [dataclasses.replace(p, rate=float(f"{rate * PAPER_M / (p.m or 1):.4g}")) for p in fixed]
        return list(dict.fromkeys(fixed + scaled))
    if study == "a":
        widths = (0.1, 0.5) if quick else (0.1, 0.25, 0.5, 1.0, 2.0)
        shapes = ("rectangular", "triangular")
        return [dataclasses.replace(base, pulse=s, half_width=a) for s in shapes for a in widths]
    if study == "r":
        windows = (0.1, 0.5, 0.9) if quick else (0.0, 0.25, 0.5, 0.75, 0.95)
        return [dataclasses.replace(base, window=r) for r in windows]
    if study == "spaces":
        orders = (0, 1) if quick else (0, 1, 2, 4, 6)
        return [dataclasses.replace(base, n1=n1, n2=n2) for n1 in orders for n2 in orders]
    return [base]


@functools.cache
def data(budget):
    """((x, labels), (x_test, labels_test)): float32 images in [-1, 1), integer labels."""
    if budget.data:
        path = pathlib.Path(budget.data)
        train, test = networks.mnist_data(path if path.is_dir() else path.parent)
    else:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        x = (digits.images.astype(np.float32)[..., None] - 8) / 8
        parts = train_test_split(x, digits.target, test_size=360, random_state=0, stratify=digits.target)
        train, test = (parts[0], parts[2]), (parts[1], parts[3])
    return tuple(part[: budget.images] for part in train), test


def build(point, budget):
    """The paper's MNIST net, or for digits 16C3-MP2-128FC-10, `width` times as wide."""
    activation = functools.partial(
        keras_gxnor.DiscreteActivation, f"z{point.n2}", point.window, point.pulse, point.half_width
    )
    if budget.data:
        return networks.mnist(f"z{point.n1}", budget.width, activation)
    conv, dense, _ = networks.layers(f"z{point.n1}")
    filters, units = (max(1, round(budget.width * n)) for n in (16, 128))
    norm = functools.partial(keras.layers.BatchNormalization, momentum=0.9)
    stack = [keras.Input((8, 8, 1)), conv(filters, 3, padding="same"), keras.layers.MaxPooling2D()]
    stack += [norm(), activation(), keras.layers.Flatten(), dense(units), norm(), activation()]
    return keras.Sequential([*stack, dense(10), norm()])


def count_products(layer, x):
    """Counts the products of one discrete layer on a batch `x` (float32, as the layer sees it).

    A product is one weight times one *real* input. Positions that padding adds are no inputs:
    their products are counted as `padded` and nowhere else. A product rests when its weight or
    its input is 0. The layer's own operation counts them: fed with 1 where a value is nonzero and
    0 elsewhere, it sums the products that do not rest, in whole float32 numbers far below 2^24.

    Returns:
        Counter: `products`, `resting`, `padded`; `outputs`, and `silent` those of them whose
        products all rest; `inputs` and `zero_inputs`.
    """
    kernel = layer.kernel_codes()

    def linear(inputs, weights):
        sums = layer.linear(tf.constant(inputs, tf.float32), tf.constant(weights, tf.float32))
        return np.rint(sums.numpy()).astype(np.int64)

    x = np.asarray(x)
    active = linear(x != 0, kernel != 0)
    products = len(x) * int(linear(np.ones_like(x[:1]), np.ones_like(kernel)).sum())
    return collections.Counter(
        products=products,
        resting=products - int(active.sum()),
        padded=active.size * int(np.prod(kernel.shape[:-1])) - products,
        outputs=active.size,
        silent=int((active == 0).sum()),
        inputs=x.size,
        zero_inputs=int((x == 0).sum()),
    )


def observe(model, x, labels, batch=500):
    """Runs the images through a Sequential model, layer by layer.

    Returns:
        dict: `accuracy`; `zeros`, the share of zeros that each activation layer puts out;
        `layers`, for each discrete kernel its counts (`count_products`, over all images), the
        share of its weights that are 0, and whether its inputs come from an activation
        (`discrete_input`).
    """
    right, counts, zeros = 0, {}, collections.defaultdict(list)
    after = {}
    for start in range(0, len(x), batch):
        values, activated = tf.constant(x[start : start + batch]), False
        for layer in model.layers:
            if isinstance(layer, DiscreteKernel):
                counts[layer] = counts.get(layer, collections.Counter()) + count_products(layer, values)
                after[layer] = activated
            values = layer(values, training=False)
            if isinstance(layer, keras_gxnor.DiscreteActivation):
                activated = True
                zeros[layer].append((int((values.numpy() == 0).sum()), int(tf.size(values))))
        right += int((values.numpy().argmax(1) == labels[start : start + batch]).sum())
    layers = [
        {
            "name": f"{type(layer).__name__.removeprefix('GXNOR')} {'x'.join(map(str, layer.kernel.shape))}",
            "discrete_input": after[layer],
            "zero_weights": float((layer.kernel_codes() == 0).mean()),
            **{name: count.get(name, 0) for name in ("products", "resting", "padded", "outputs", "silent")},
            "zero_inputs": count["zero_inputs"] / count["inputs"],
        }
        for layer, count in counts.items()
    ]
    shares = [float(np.divide(*np.sum(parts, axis=0))) for parts in zeros.values()]
    return {"accuracy": right / len(x), "zeros": shares, "layers": layers}


@functools.cache
def train(point, budget, seed):
    """Trains one net and observes it on the test images; {point, seed, what was seen, seconds}."""
    start = time.perf_counter()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    (x, labels), test = data(budget)
    steps = budget.epochs * -(-len(x) // BATCH)
    cosine = keras.optimizers.schedules.CosineDecay
    floats = keras.optimizers.Adam(cosine(FLOAT_RATE, steps))
    optimizer = keras_gxnor.DSTOptimizer(cosine(point.rate, steps), budget.rule, point.m, floats, seed)
    model, moved = build(point, budget), keras_gxnor.callbacks.KernelMonitor(SAMPLE_EVERY)
    model.compile(optimizer, "squared_hinge")
    targets = 2.0 * keras.utils.to_categorical(labels, 10) - 1.0
    fitted = model.fit(x, targets, batch_size=BATCH, epochs=budget.epochs, verbose=0, callbacks=[moved])
    rates = fitted.history["kernel/transition_rate"]
    rates = {"transition_rate": float(np.mean(rates)), "transition_rate_epochs": rates}
    seen = {**rates, **observe(model, *test)}
    return {**dataclasses.asdict(point), "seed": seed, **seen, "seconds": time.perf_counter() - start}


def measure(study, budget, seeds, quick, threads):
    """The report of a study: settings, versions and all runs; progress goes to stderr.

    `seconds` is the wall time of its runs, also of those that another study had done already.
    """
    runs, rate = [], RATES[budget.rule]
    chosen = points(study, rate, quick)
    for seed in range(seeds):
        for point in chosen:
            runs.append(train(point, budget, seed))
            done = f"{study} {len(runs)} of {seeds * len(chosen)}, {runs[-1]['seconds']:.0f} s"
            click.echo(f"{done}: {100 * runs[-1]['accuracy']:.2f} %  {point}", err=True)
    (x, _), (x_test, _) = data(budget)
    settings = dataclasses.asdict(budget) | {
        "data": "MNIST" if budget.data else "digits", "images": len(x), "test_images": len(x_test),
        "batch": BATCH, "rate": rate, "float_rate": FLOAT_RATE, "threads": threads or "default",
    }  # fmt: skip
    return {
        "study": study,
        "settings": settings,
        "seeds": list(range(seeds)),
        "versions": {
            "python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__,
            "numpy": np.__version__, "keras_gxnor": keras_gxnor.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        },
        "seconds": sum(run["seconds"] for run in runs),
        "runs": runs,
    }  # fmt: skip


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n"))
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True, type=click.Choice([*STUDIES, "all"]))
@click.option("--data", "path", envvar="GXNOR_DATA", type=click.Path(exists=True),
              help="mnist.npz, or its folder.")
@click.option("--quick", is_flag=True, help="Digits, few points and epochs: shows that it runs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
@click.option("--seeds", default=1, type=click.IntRange(1), show_default=True, help="Trainings a point.")
@click.option("--epochs", type=click.IntRange(1), help="Default: 5, digits 20, quick 2.")
@click.option("--width", default=0.5, show_default=True, help="Times the channels of the net.")
@click.option("--train", "images", type=click.IntRange(1), help="Training images; default all.")
@click.option("--rule", default="momentum", type=click.Choice([*RATES]), show_default=True,
              help="Increment rule; adam is the paper's.")
@click.option("--threads", type=click.IntRange(1), help="Threads of TensorFlow.")
@click.option("--out", type=click.Path(file_okay=False), help="Folder for STUDY.json and STUDY.png.")
@click.option("--load", type=click.Path(exists=True), help="Show the STUDY.json of this folder again.")
def main(studies, path, quick, as_json, seeds, epochs, width, images, rule, threads, out, load):
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    if path and pathlib.Path(path).is_file() and pathlib.Path(path).name != "mnist.npz":
        raise click.BadParameter("the file must be called mnist.npz", param_hint="--data")
    path = None if quick else path
    budget = Budget(path, images, epochs or (2 if quick else 5 if path else 20), width, rule)
    reports = {}
    for name in STUDIES if "all" in studies else studies:
        if load:
            reports[name] = json.loads((pathlib.Path(load) / f"{name}.json").read_text())
        else:
            reports[name] = measure(name, budget, seeds, quick, threads)
        if not as_json:
            click.echo(f"\n{name}: {describe(reports[name])}; {reports[name]['seconds']:.0f} s")
            click.echo(tables(reports[name]))
        if out:
            save(reports[name], pathlib.Path(out), not load)
    if as_json:
        click.echo(json.dumps(reports if len(reports) > 1 else reports[name]))


def save(report, folder, with_json):
    """Writes the plot of a report, and the report itself, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw(report, folder / f"{report['study']}.png")
    if with_json:
        path = folder / f"{report['study']}.json"
        path.write_text(json.dumps(report) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
