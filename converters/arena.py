"""How much RAM TensorFlow Lite Micro needs for a file: measured on its own interpreter.

TFLM takes all its memory from one array, the arena. A smaller one than needed makes
AllocateTensors fail on the device; nobody but the interpreter knows the number.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

from keras_gxnor.converters import model_file
from keras_gxnor.errors import ToolError, VerificationError, import_extra

GRAIN = 16  # bytes: TFLM aligns tensors to 16, so finer steps mean nothing
# What a host can spare at most; address space only until touched.
_LARGEST = 1 << 28
_TIMEOUT = 600  # seconds for one process
# Added to the measurement, on top of the scratch of optimized kernels: a release of TFLM other than
# the measured one may keep more records of its own, and each scratch buffer has a handle. A choice,
# not a bound: the records of small nets are one to three kilobytes in all.
RESERVE = 512

# Runs in a process of its own: in an arena that is too small, some kernels write to a null
# pointer instead of reporting it, and all of them complain on stderr.
_PROBE = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime

def interpreter(size):
    print("try", size, flush=True)
    try:
        made = runtime.Interpreter.from_bytes(model, arena_size=size)
    except RuntimeError as error:
        print("fails", size, error, flush=True)
        return None
    print("works", size, flush=True)
    return made

model = open("model.tflite", "rb").read()
low, high, grain = map(int, sys.argv[1:])
made = interpreter(high)
while made and high - low > grain:
    middle = (low + high) // 2 // grain * grain
    if smaller := interpreter(middle):
        made, high = smaller, middle
    else:
        low = middle
if made:
    rows, count = [], int(open("outputs.txt").read())
    for images in zip(*np.load("inputs.npz").values()):
        for k, image in enumerate(images):
            made.set_input(image[None], k)
        made.invoke()
        rows.append([made.get_output(k)[0].copy() for k in range(count)])
    np.savez("outputs.npz", *map(np.stack, zip(*rows)))
"""


def measure(model: bytes, x, expected) -> int:
    """The smallest arena in which a file allocates, runs, and computes what it should.

    Args:
        model: The bytes of a file made by `tflite.emit`.
        x: Inputs as the file takes them, of shape (batch, *input shape); for a file with
            several a tuple of them.
        expected: The outputs they must give, to the bit; of a file with several a tuple.

    Returns:
        A multiple of `GRAIN`, in bytes, for an arena that starts at one.

    Raises:
        ToolError: if the interpreter refuses the file in any arena.
        VerificationError: if an output differs in any bit.
        MissingExtraError: if `tflite-micro` is not installed.
    """
    size, outputs = smallest(model, x)
    outputs, expected = (v if isinstance(v, tuple) else (np.asarray(v),) for v in (outputs, expected))
    for made, truth in zip(outputs, expected, strict=True):
        _check_bits(made, truth)
    return size


def smallest(model: bytes, x) -> tuple:
    """The smallest arena in which a file allocates and runs, and what it computes in it.

    Found by bisection on the interpreter of the pinned `tflite-micro` wheel, which uses
    TFLM's reference kernels and the pointers of this computer. Deterministic.

    Args:
        model, x: As for `measure`; the file may also come from another converter you trust
            (the interpreter checks little of it).

    Returns:
        (a multiple of `GRAIN`, in bytes; outputs of shape (batch, *output shape), of a file
        with several a tuple).

    Raises:
        ModelFileError: if the file is corrupt.
        ToolError: if the interpreter refuses the file in any arena.
        MissingExtraError: if `tflite-micro` is not installed.
    """
    import_extra("tflite_micro.python.tflite_micro.runtime", "mcu")
    outputs = model_file.load(model)[0].Subgraphs(0).OutputsLength()
    x = x if isinstance(x, tuple) else (np.asarray(x),)
    low, high = 0, _LARGEST
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "model.tflite").write_bytes(model)
        (root / "outputs.txt").write_text(str(outputs))
        np.savez(root / "inputs.npz", *x)
        while not (root / "outputs.npz").exists():
            before = low, high
            log, complaint = _probe(root, low, high)
            low, high = _bounds(log, low, high)
            done = (root / "outputs.npz").exists()
            if low >= high or ((low, high) == before and not done):  # never works, or never ends
                raise ToolError(f"tflite_micro refused the file: {complaint}")
        with np.load(root / "outputs.npz") as file:
            outputs = list(file.values())
    return high, outputs[0] if len(outputs) == 1 else tuple(outputs)


def _probe(root, low, high) -> tuple[list, str]:
    """Runs the probe once: [(event, size)] in order, and the last line of stderr."""
    command = [sys.executable, "-c", _PROBE, str(low), str(high), str(GRAIN)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"tflite_micro did not run: {error}") from error
    log = re.findall(r"^(try|works|fails) (\d+)", done.stdout, re.MULTILINE)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return [(event, int(size)) for event, size in log], lines[-1]


def _bounds(log, low, high) -> tuple[int, int]:
    """(largest size known to fail, smallest known to work) after a log; a crash is a failure."""
    tried = None
    for event, size in log:
        if event == "works":
            high = min(high, size)
        elif event == "fails":
            low = max(low, size)
        tried = size if event == "try" else None
    return (low if tried is None else max(low, tried)), high


def _check_bits(outputs, expected):
    """Refuses an output that differs from the expected one in any bit."""
    if outputs.dtype != expected.dtype or outputs.shape != expected.shape:
        raise VerificationError(
            f"tflite_micro gave {outputs.dtype} of shape {outputs.shape}. "
            f"Expected: {expected.dtype} of shape {expected.shape}"
        )
    bits = f"u{expected.itemsize}"  # as numbers, -0.0 would equal 0.0
    differ = outputs.view(bits) != expected.view(bits)
    if differ.any():
        raise VerificationError(
            f"tflite_micro differs from the reference in {differ.sum()} of {differ.size} outputs of "
            "the test vectors. Please report this as a bug, with the model."
        )


def kernel_scratch(steps) -> int:
    """What CMSIS-NN's kernels may want in the arena that the reference kernels do not.

    The largest request of any one operator: scratch lives only while its operator runs.
    Each is the larger of what the variants for Cortex-M with DSP instructions and with
    Helium (MVE) ask for: a few windows of the input as int16 or int8, the sums of the kernel,
    or the sums of a pool.

    Args:
        steps: The steps of a `readback.Model`.

    Returns:
        Bytes.

    Source: the `*_get_buffer_size` functions of CMSIS-NN, releases up to 2026.
    """
    integer = [s for s in steps if s.name in _SCRATCH and s.inputs[0].dtype != "float32"]
    return max((_SCRATCH[step.name](step) for step in integer), default=0)


def _conv(step) -> int:
    """Two windows as int16 or four as int8, filled up to a vector of 16 bytes."""
    _, height, width, _ = step.inputs[1].shape
    window = height * width * step.inputs[0].shape[-1]
    return 4 * -(-window // 16) * 16


def _depthwise(step) -> int:
    _, height, width, _ = step.inputs[1].shape
    channels = step.inputs[0].shape[-1]
    if step.inputs[0].dtype == "int16":
        return 8 * channels * height * width + 8
    return height * width * max(2 * channels, 4 * 124)  # 124 channels a block with Helium


def _channel_sums(step) -> int:
    """One int32 an output channel."""
    return 4 * step.outputs[0].shape[-1]


_SCRATCH = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _channel_sums,
    "AVERAGE_POOL_2D": _channel_sums,
}
