"""Packed kernels: what four weights a byte save, and what a whole training step pays for it.

    python benchmarks/packed.py [--quick] [--json]

The same nets with float32 weights and Adam, with int8 kernels and with packed ones. State is
counted on the variables. Steps are taken in rounds, one step of every method a round in a
random order, so that a noisy machine hits all alike; a ratio is the median over the rounds of
(time / time of the other method in that round). Packed and int8 kernels are checked to be equal
after all the steps, byte for byte.
"""

import json
import pathlib
import sys

import click
import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from methods import METHODS, Method, bytes_per_weight, compiled, step
from timing import milliseconds, paired_times, ratio

BASE = "float_adam"
RULES = ("none", "momentum")
NAMES = (BASE, *(f"{storage}_{rule}" for rule in RULES for storage in ("int8", "packed")))
KINDS = {"int8": "ternary", "packed": "packed"}  # of `networks.layers`


def build(name: str, net: str):
    """A compiled model of the net, by a method in NAMES; all begin with the same codes."""
    keras.utils.set_random_seed(0)
    if name == BASE:
        return compiled(METHODS[BASE], net)
    storage, rule = name.split("_")
    return compiled(Method(KINDS[storage], rule, {"mnist": (0.1, 1e-2)}), net)


def measure(net: str, batch: int, rounds: int) -> dict:
    """Step times of every method on one net and batch size.

    Returns:
        {net, batch, state: {method: bytes a weight}, ms: {method: median}, to_float:
        {method: ratio}, to_int8: {rule: ratio of packed to int8}}.
    """
    models = {name: build(name, net) for name in NAMES}
    state = {name: bytes_per_weight(model) for name, model in models.items()}
    times = paired_times({name: step(model, batch) for name, model in models.items()}, rounds)
    for rule in RULES:
        _check_equal(models[f"int8_{rule}"], models[f"packed_{rule}"])
    keras.backend.clear_session()
    return {
        "net": net,
        "batch": batch,
        "state": state,
        "ms": milliseconds(times),
        "to_float": {name: ratio(times[name], times[BASE]) for name in NAMES},
        "to_int8": {rule: ratio(times[f"packed_{rule}"], times[f"int8_{rule}"]) for rule in RULES},
    }


def _check_equal(plain, packed):
    """Refuses to publish times of a step that computes something else."""
    for mine, theirs in zip(plain.get_weights(), packed.get_weights()):
        if mine.tobytes() != theirs.tobytes():
            raise AssertionError("Packed kernels trained differently from int8 ones.")


def show(report, console):
    """Prints the report as a table."""
    table = Table(title="bytes a kernel weight; step time, and its ratio to float32 Adam and to int8")
    for column in ("net", "batch", "method", "bytes", "ms", "/ float", "/ int8"):
        table.add_column(column, justify="left" if column in ("net", "method") else "right")
    for row in report["rows"]:
        for name in NAMES:
            storage, rule = name.split("_")
            table.add_row(
                row["net"],
                str(row["batch"]),
                name,
                f"{row['state'][name]:.3f}",
                f"{row['ms'][name]:.1f}",
                f"{row['to_float'][name]:.3f}",
                f"{row['to_int8'][rule]:.3f}" if storage == "packed" else "",
            )
        table.add_section()
    console.print(table)


@click.command()
@click.option("--quick", is_flag=True, help="Few rounds, one batch size: does it run?")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(quick, as_json):
    """Measures packed kernels against int8 ones and float32 Adam."""
    rounds, sizes = (5, (128,)) if quick else (40, (128, 512))
    report = {
        "rows": [measure(net, batch, rounds) for net in ("mnist", "mlp") for batch in sizes],
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    if as_json:
        print(json.dumps(report))
    else:
        show(report, Console())


if __name__ == "__main__":
    main()
