"""A dense layer of 1024x512 on this computer: exported C with wide lanes beside LiteRT's int8 kernel.

Part of benchmarks/mcu.py, which says what is timed.
"""

import ctypes
import dataclasses
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from ternary import TRITS, Net, trits
from timing import paired_times, ratio

from keras_gxnor import reference
from keras_gxnor.converters import c_emitters, c_source, host, planes, relus

INPUTS, OUTPUTS, DENSITY = 1024, 512, 0.5
# name: (lanes, compiler arguments, what the processor must know)
KINDS = {
    "avx512": (512, ("-O3", "-march=native"), "avx512f"),
    "avx2": (256, ("-O3", "-mavx2"), "avx2"),
    "words32": (32, ("-O3", "-march=native"), ""),
}
_SAMPLE = 1e-3  # seconds of calls in one sample
_ROUNDS = 20  # of one interpreter
_WRAPPER = """
void dense_layer(uint32_t *scratch);
void dense_layer(uint32_t *scratch)
{{
    dense_{call}(scratch);
}}
"""


@dataclasses.dataclass
class Layer:
    """The exported function of the dense layer, as ctypes calls it.

    call: runs it once. check: whether it leaves what the reference says.
    """

    call: object
    check: object


def supported() -> list[str]:
    """The names of `KINDS` that this processor can run."""
    try:
        flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:
        flags = []
    return [name for name, (_, _, needed) in KINDS.items() if not needed or needed in flags]


def exported(kind, folder) -> Layer:
    """Compiles the layer in `folder` with the host's compiler and puts trits in its input."""
    lanes, flags, _ = KINDS[kind]
    net = Net("dense", (INPUTS,), TRITS, DENSITY).dense(OUTPUTS).step(DENSITY)
    graph = relus.canonical(net.graph())
    program = c_emitters.program(graph, lanes)
    plan = program.plan()
    call = next(call for call in program.calls if call.symbol.startswith("dense"))
    text = c_source.emit(net.graph(), "dense", lanes).main.decode() + _WRAPPER.format(call=call.symbol)
    (folder / "dense.h").write_text(text)
    (folder / "driver.c").write_text('#define DENSE_IMPLEMENTATION\n#include "dense.h"\n')
    command = [*host.find_compiler(), "-std=c99", *flags, "-shared", "-fPIC", "driver.c", "-o", f"{kind}.so"]
    host.compile_c(command, folder)
    function = ctypes.CDLL(str(folder / f"{kind}.so")).dense_layer
    function.argtypes, function.restype = [ctypes.c_void_p], None
    scratch = np.zeros(plan.words + 16, np.uint32)
    scratch = scratch[(-scratch.ctypes.data // 4) % 16 :][: plan.words]  # at 64 bytes
    trace = reference.run(graph, net.x[:1], trace=True)
    read = next(place for place in call.places if place.pointer == "uint32_t *")
    source = next(made.made for made in program.calls if made.made.buffer == read.buffer)
    words = planes.pack(trace[source.node].reshape(-1), 2).reshape(-1)
    scratch[plan.offsets[read.buffer] :][: words.size] = words
    expected = planes.pack(trace[call.made.node].reshape(-1), 2).reshape(-1)
    made = scratch[plan.offsets[call.made.buffer] :][: expected.size]
    address = ctypes.c_void_p(scratch.ctypes.data)

    def check():
        made[:] = 0xA5A5A5A5
        function(address)
        np.testing.assert_array_equal(made, expected)

    return Layer(lambda: function(address), check)


def litert_file() -> bytes:
    """A fully connected int8 layer of TensorFlow's converter, int8 in and out, with ternary weights."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(OUTPUTS, use_bias=False)])
    rng = np.random.default_rng(0)
    model.set_weights([trits(rng, (INPUTS, OUTPUTS), 2 / 3).astype(np.float32)])
    call = tf.function(lambda x: model(x, training=False))
    made = call.get_concrete_function(tf.TensorSpec((1, INPUTS)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(made)])
    samples = [trits(rng, (1, INPUTS), DENSITY).astype(np.float32) for _ in range(20)]
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def invoker(data: bytes):
    """`Interpreter.invoke` of LiteRT with one thread, its input trits of the density."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    fed = interpreter.get_input_details()[0]
    interpreter.set_tensor(fed["index"], trits(np.random.default_rng(1), (1, INPUTS), DENSITY))
    return interpreter.invoke


def _repeated(call):
    """(a function that calls many times, how many times)."""
    call()
    start = time.perf_counter()
    for _ in range(20):
        call()
    count = max(1, round(_SAMPLE * 20 / (time.perf_counter() - start)))

    def run():
        for _ in range(count):
            call()

    return run, count


def measure(rounds) -> dict:
    """{ratio: {kind: LiteRT's time / ours}, microseconds: {kind or "litert_int8": median}, ...}."""
    data, taken = litert_file(), {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = {kind: exported(kind, folder) for kind in supported()}
        for layer in ours.values():
            layer.check()
        for _ in range(max(1, rounds // _ROUNDS)):
            calls = {kind: _repeated(layer.call) for kind, layer in ours.items()}
            calls["litert_int8"] = _repeated(invoker(data))
            found = paired_times({kind: run for kind, (run, _) in calls.items()}, min(rounds, _ROUNDS))
            for kind, times in found.items():
                taken.setdefault(kind, []).extend(t / calls[kind][1] for t in times)
        for layer in ours.values():
            layer.check()
    command = [host.find_compiler()[0], "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {
        "ratio": {kind: round(ratio(taken["litert_int8"], taken[kind]), 3) for kind in ours},
        "microseconds": {kind: round(1e6 * float(np.median(times)), 3) for kind, times in taken.items()},
        "compiler": said.splitlines()[0],
        "arguments": {kind: " ".join(KINDS[kind][1]) for kind in ours},
        "rounds": len(taken["litert_int8"]),
    }
