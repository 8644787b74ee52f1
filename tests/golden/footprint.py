"""Measures the footprint of a few sample graphs; `python -m tests.golden.footprint` records it.

Recorded with the compiler that constraints.txt pins. test_footprint.py fails if a number
grows by more than 3 %.
"""

import json
import pathlib

from keras_gxnor.converters import c_source, emulator, tflite
from tests.conformance.samples import SAMPLES, inputs

PATH = pathlib.Path(__file__).with_name("footprint.json")
NAMES = ("dense_100", "cnn_small", "cnn_mnist_like", "cnn_grouped")


def measure() -> dict:
    """{sample: {what: number}}."""
    return {name: measure_one(name) for name in NAMES}


def measure_one(name) -> dict:
    """The numbers of one sample."""
    graph = SAMPLES[name]()
    header, lite = c_source.emit(graph, name), tflite.emit(graph, name)
    _, cost = emulator.run(header, inputs(graph, 2))
    return {
        "tflite_bytes": len(lite.main),
        "tflite_int4_bytes": len(tflite.emit(graph, name, "int4").main),
        "tflite_decode_bytes": len(tflite.emit(graph, name, "decode").main),
        "header_bytes": len(header.main),
        "code_bytes": cost.code_bytes,
        "data_bytes": cost.data_bytes,
        "scratch_bytes": cost.scratch_bytes,
        "stack_bytes": cost.stack_bytes,
        "instructions": cost.instructions,
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(measure(), indent=2) + "\n")
