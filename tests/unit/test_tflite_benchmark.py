"""benchmarks/tflite.py compares like with like."""

import pathlib
import sys

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_gxnor.converters import readback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))

import tflite as benchmark


def _sizes(model):
    kernels = [w for w in model.weights if w.name == "kernel"]
    return sorted(int(np.prod(kernel.shape)) for kernel in kernels)


@pytest.mark.parametrize("name, weights", [("mnist", 581_408), ("separable", 30_208)])
def test_both_nets_have_the_same_layers_and_the_stock_file_is_folded(name, weights):
    ternary, floats = (build() for build in benchmark.NETS[name])
    assert _sizes(ternary) == _sizes(floats) and sum(_sizes(ternary)) == weights
    shapes = [
        {layer.output.shape for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
        for model in (ternary, floats)
    ]
    assert name == "mnist" or shapes[0] == shapes[1]  # the pools of `mnist` stand elsewhere
    for integers, dtype in ((True, "int8"), (False, "float32")):
        file = readback.read(benchmark.stock(floats, integers))
        assert not {"MUL", "ADD", "QUANTIZE", "DEQUANTIZE"} & set(file.operators), file.operators
        assert [tensor.dtype for tensor in (*file.inputs, *file.outputs)] == [dtype] * 2


def test_the_stock_file_computes_the_float_net():
    model = benchmark.prepare(benchmark.NETS["separable"][1])
    x = benchmark._images(np.float32)[:1]
    interpreter = Interpreter(model_content=benchmark.stock(model, False))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    made = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(made, model(x, training=False), rtol=1e-3, atol=1e-3)
