"""TFLite files: bytes, arena and host time of ours beside the stock converter's.

    python benchmarks/tflite.py [--quick] [--json]

The same layers twice: ternary, as `convert` writes them (`int8`, `int4`, `decode`), and with
float weights and ReLU, as TensorFlow's converter writes them, in full-integer post-training
quantization (`stock_int8`: int8 in and out) and in `float32`. The float net has its pools behind
the activations, so that the converter can fold every normalization. No net is trained: sizes
and times do not depend on it; the normalizations have the statistics of the bundled digits.

The arena is the smallest one that works on the interpreter of the `tflite-micro` wheel. Host times
are of LiteRT with its default delegate (XNNPACK), one thread, one image a call, in rounds: every
file once a round in a random order, many calls a sample; a ratio is the median over the rounds.
"""

import importlib.metadata
import json
import pathlib
import sys
import time

import click
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import networks
from timing import milliseconds, paired_times, ratio

from keras_gxnor import InputSpec
from keras_gxnor.callbacks import reestimate_batch_normalization
from keras_gxnor.converters import arena, convert, interpreters, verify

SPEC = InputSpec(dtype="uint8", scale=1 / 128, zero_point=128)
FORMS = ("int8", "int4", "decode")  # ours
SIZES = ("file_bytes", "arena_bytes")
STOCK = ("stock_int8", "float32")
# Those LiteRT can read; `int8_from_int8` is our int8 file for a device that feeds int8, as the stock
# file does, and so needs no QUANTIZE from uint8.
TIMED = ("int8", "int8_from_int8", "int4", *STOCK)
# name: (ternary net, float net with foldable normalization)
NETS = {
    "mnist": (
        lambda: networks.mnist("ternary"),
        lambda: networks.mnist("float", pool_first=False),
    ),
    "separable": (lambda: networks.separable("ternary"), lambda: networks.separable("float")),
}
# Largest share of the bytes of our int8 file that the decode file shall have.
DECODE_TARGETS = {"mnist": 0.30, "separable": 0.45}
TIME_TARGET = 1.05  # our int8 file, as a multiple of the stock one's time
WEIGHTS = "untrained kernels (seed 0); batch normalization re-estimated on 1,437 digits"
_SAMPLE = 2e-3  # seconds of calls in one sample: short, so that few are disturbed
_ROUNDS = 20  # of one interpreter
_CALIBRATION = 200  # images


def prepare(build):
    """A net with its first kernels, and the normalization statistics of the digits."""
    keras.utils.set_random_seed(0)
    model = build()
    reestimate_batch_normalization(model, networks.digits_data()[0][0])
    return model


def stock(model, integers: bool) -> bytes:
    """The file of TensorFlow's converter: full-integer, or plain float32."""
    # A batch of one, as on a device: with a dynamic one the converter leaves shape arithmetic.
    call = tf.function(lambda x: model(x, training=False))
    made = call.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(made)])
    if integers:
        images = networks.digits_data()[0][0][:_CALIBRATION]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def caller(data: bytes):
    """A function that runs a file on one image, many times."""
    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    fed = interpreter.get_input_details()[0]
    interpreter.set_tensor(fed["index"], _images(fed["dtype"])[:1])
    interpreter.invoke()
    start = time.perf_counter()
    for _ in range(10):
        interpreter.invoke()
    calls = max(1, round(_SAMPLE * 10 / (time.perf_counter() - start)))

    def run():
        for _ in range(calls):
            interpreter.invoke()

    return run, calls


def _images(dtype):
    """The test digits as a file with inputs of `dtype` takes them."""
    x = networks.digits_data()[1][0]
    if dtype == np.float32:
        return x
    return (128 * x + (128 if dtype == np.uint8 else 0)).astype(dtype)


def times(files: dict, rounds: int) -> dict:
    """{milliseconds: {file: median}, time_ratio_to_stock_int8: {file: ratio}} of LiteRT.

    Interpreters are made anew every `_ROUNDS` rounds: where one happens to lie in memory may
    cost it a fifth of its speed for as long as it lives.
    """
    taken = {name: [] for name in TIMED}
    for _ in range(rounds // _ROUNDS):
        made = {name: caller(files[name]) for name in TIMED}
        found = paired_times({name: run for name, (run, _) in made.items()}, _ROUNDS)
        for name, values in found.items():
            taken[name] += [t / made[name][1] for t in values]
    others = [name for name in TIMED if name != "stock_int8"]
    return {
        "milliseconds": milliseconds(taken),
        "time_ratio_to_stock_int8": {name: ratio(taken[name], taken["stock_int8"]) for name in others},
    }


def count_mismatches(model, artifacts, images: int) -> int:
    """Sum over our files and the runtimes that read them of images with a logit unlike Keras'."""
    x, total = _images(np.uint8)[:images], 0
    for artifact in artifacts.values():
        names = artifact.runs_on or interpreters.KERNELS
        total += sum(verify(model, artifact, x, names).mismatches.values())
    return total


def measure(name: str, rounds: int, images: int) -> dict:
    """All numbers of one net; see the docstring of this file."""
    ternary, floats = map(prepare, NETS[name])
    artifacts = {form: convert(ternary, "tflite", SPEC, name, check=False, weights=form) for form in FORMS}
    files = {form: artifact.main for form, artifact in artifacts.items()}
    files |= {kind: stock(floats, kind == "stock_int8") for kind in STOCK}
    dtypes = {"stock_int8": np.int8, "float32": np.float32}
    arenas = {
        kind: arena.smallest(data, _images(dtypes.get(kind, np.uint8))[:1])[0]
        for kind, data in files.items()
    }
    signed = convert(ternary, "tflite", InputSpec(dtype="int8", scale=1 / 128), name, check=False)
    return {
        "file_bytes": {kind: len(data) for kind, data in files.items()},
        "arena_bytes": arenas,
        **times({**files, "int8_from_int8": signed.main}, rounds),
        "mismatches": count_mismatches(ternary, artifacts, images),
        "images": images,
    }


def show(report, console):
    """Prints the report as a table, and the targets."""
    table = Table(title="TFLite files; LiteRT with XNNPACK, one thread, one image")
    for column in ("net", "file", "bytes", "arena", "ms", "/ stock int8"):
        table.add_column(column, justify="left" if column in ("net", "file") else "right")
    for name, row in report["networks"].items():
        for kind in dict.fromkeys((*row["file_bytes"], *row["milliseconds"])):
            ms, share = row["milliseconds"].get(kind), row["time_ratio_to_stock_int8"].get(kind)
            timed = (f"{ms:.4f}", f"{share:.3f}" if share else "1") if ms else ()
            sizes = (f"{row[what][kind]:,}" if kind in row[what] else "" for what in SIZES)
            table.add_row(name, kind, *sizes, *timed)
        table.add_section()
    console.print(table)
    console.print(f"Weights: {report['weights']}.")
    for name, row in report["networks"].items():
        share = row["file_bytes"]["decode"] / row["file_bytes"]["int8"]
        ratios = [row["time_ratio_to_stock_int8"][kind] for kind in ("int8", "int8_from_int8")]
        console.print(
            f"{name}: decode file / int8 file {share:.3f} (target {DECODE_TARGETS[name]:.2f}); time of "
            f"int8 / stock int8 {ratios[0]:.3f}, fed int8 as well {ratios[1]:.3f} (target {TIME_TARGET}); "
            f"{row['mismatches']} mismatches with Keras on {row['images']} images, every file and runtime"
        )


@click.command()
@click.option("--quick", is_flag=True, help="Few rounds and images: does it run?")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(quick, as_json):
    """Measures our TFLite files beside those of the stock converter."""
    rounds, images = (100, 16) if quick else (1000, 360)
    packages = ("tensorflow", "keras", "ai-edge-litert", "tflite-micro")
    report = {
        "networks": {name: measure(name, rounds, images) for name in NETS},
        "weights": WEIGHTS,
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    if as_json:
        print(json.dumps(report))
    else:
        show(report, Console())


if __name__ == "__main__":
    main()
