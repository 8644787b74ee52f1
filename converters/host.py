"""Runs exported C on this computer: compiled into a shared library, called with ctypes."""

import ctypes
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

from keras_gxnor import reference
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.errors import ToolError, VerificationError, import_extra

_CHUNK = 256  # images between two reports of progress
_CANARY = np.uint32(0xC0FFEE11)
_GUARD_WORDS = 16
_TIMEOUT = 600  # seconds for one compilation

_DRIVER = """
#define {macro}_IMPLEMENTATION
#include "{name}.h"

GXNOR_EXPORT void {name}_batch({parameters}, uint32_t *scratch, int count);
GXNOR_EXPORT void {name}_batch({parameters}, uint32_t *scratch, int count)
{{
    int i;

    for (i = 0; i < count; i++) {{
        {name}_run({passes}, scratch);
        {steps}
    }}
}}

GXNOR_EXPORT int {name}_check(uint32_t *scratch);
GXNOR_EXPORT int {name}_check(uint32_t *scratch)
{{
    return {name}_selftest(scratch);
}}
"""
_EXPORT = """
#ifdef _WIN32
#define GXNOR_EXPORT __declspec(dllexport)
#else
#define GXNOR_EXPORT
#endif
"""


def run(artifact: Artifact, x, compiler=None, progress=None):
    """Compiles an exported network for this computer and runs it on a batch.

    Args:
        artifact: What `c_source.emit` returned.
        x: Integer input codes of shape (batch, *input shape); of a graph with several inputs
            a tuple of them.
        compiler: None for `find_compiler()`, a command such as `"gcc"`, or a list of
            command and arguments.
        progress: None, or a function (images done, images) called now and then.

    Returns:
        float32 logits of shape (batch, *output shape), or a tuple of them if the graph has
        several outputs.

    Raises:
        InvalidArgumentError: if `x` does not fit the graph's input.
        MissingExtraError: if there is no C compiler.
        ToolError: if compiling fails.
        VerificationError: if the code wrote beyond its scratch.
    """
    codes = reference.check_codes(artifact.graph, x)
    return Library([artifact], compiler).run(artifact, codes, progress)


def selftest(artifact: Artifact, compiler=None) -> int:
    """What the network's own self-test returns on this computer; 0 means sound.

    Raises:
        MissingExtraError, ToolError, VerificationError: as `run`.
    """
    return Library([artifact], compiler).selftest(artifact)


def parts(x) -> tuple:
    """The arrays of several inputs or outputs, or the one.

    Example:

    >>> parts(3), parts((1, 2))
    ((3,), (1, 2))
    """
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def output_shapes(graph) -> list[tuple[int, ...]]:
    """Shapes of the outputs, without the batch axis, in order."""
    types = graph.check()
    return [types[i].shape for i in graph.outputs]


def find_compiler() -> list[str]:
    """The command of a C compiler: cc, gcc or clang on the PATH, else the one in `ziglang`.

    Raises:
        MissingExtraError: if there is none; the message says how to install one with pip.
    """
    for command in ("cc", "gcc", "clang"):
        if shutil.which(command):
            return [command]
    return zig_command()


def zig_command() -> list[str]:
    """The command of the C compiler in the `ziglang` wheel.

    Raises:
        MissingExtraError: if `ziglang` is not installed.
    """
    import_extra("ziglang", "mcu")
    return [sys.executable, "-m", "ziglang", "cc"]


def compile_c(command: list[str], folder) -> None:
    """Runs a compiler command in `folder`.

    Raises:
        ToolError: with the last lines the compiler wrote, if it fails or hangs.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"The C compiler `{command[0]}` did not run: {error}") from error
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-20:])
        raise ToolError(f"`{' '.join(command[:4])} ...` failed with {done.returncode}:\n{tail}")


class Library:
    """A shared library of one or more exported networks.

    Args:
        artifacts: C artifacts with different names.
        compiler: As in `run`.
        flags: Extra compiler arguments, such as the optimization level.
    """

    def __init__(self, artifacts, compiler=None, flags=("-O2",)):
        command = find_compiler() if compiler is None else compiler
        command = [command] if isinstance(command, str) else list(command)
        # Windows keeps the file of a loaded library locked: leave it to the system then.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            root = pathlib.Path(folder)
            drivers = [_EXPORT]
            for artifact in artifacts:
                (root / f"{artifact.name}.h").write_bytes(artifact.main)
                drivers.append(_driver(artifact))
            (root / "driver.c").write_text("".join(drivers), encoding="ascii")
            output = "networks.dll" if sys.platform == "win32" else "networks.so"
            shared = [] if sys.platform == "win32" else ["-fPIC"]
            compile_c(
                [*command, "-std=c99", *flags, "-shared", *shared, "driver.c", "-o", output], root
            )
            self._library = ctypes.CDLL(str(root / output))

    def run(self, artifact, codes, progress=None):
        """As the function `run`, on checked codes, without compiling again."""
        batch = self._library[f"{artifact.name}_batch"]
        inputs = [np.ascontiguousarray(part) for part in parts(codes)]
        count = len(inputs[0])
        shapes = output_shapes(artifact.graph)
        logits = [np.full((count, *shape), np.nan, np.float32) for shape in shapes]
        scratch = self._scratch(artifact)
        batch.argtypes = [ctypes.c_void_p] * (len(inputs) + len(logits) + 1) + [ctypes.c_int]
        batch.restype = None
        for start in range(0, count, _CHUNK):
            chunk = [array[start : start + _CHUNK] for array in (*inputs, *logits)]
            done = len(chunk[0])
            batch(*(array.ctypes.data for array in (*chunk, scratch)), done)
            _check_guard(artifact, scratch)
            if progress:
                progress(start + done, count)
        return logits[0] if len(logits) == 1 else tuple(logits)

    def selftest(self, artifact) -> int:
        """As the function `selftest`, without compiling again."""
        check = self._library[f"{artifact.name}_check"]
        check.argtypes, check.restype = [ctypes.c_void_p], ctypes.c_int
        scratch = self._scratch(artifact)
        result = check(scratch.ctypes.data)
        _check_guard(artifact, scratch)
        return result

    @staticmethod
    def _scratch(artifact):
        """The scratch, full of canaries so that nothing may rely on zeros, and a guard behind."""
        return np.full(artifact.sizes["scratch"] // 4 + _GUARD_WORDS, _CANARY)


def _driver(artifact) -> str:
    """C that runs a network on a batch: inputs, then outputs, then the scratch, as `{name}_run`."""
    graph = artifact.graph
    pointers = [
        (f"const {op.spec.dtype}_t *", f"input{i}", math.prod(op.shape))
        for i, op in enumerate(graph.inputs)
    ]
    for i, shape in enumerate(output_shapes(graph)):
        pointers.append(("float *", f"logits{i}", math.prod(shape)))
    return _DRIVER.format(
        name=artifact.name,
        macro=artifact.name.upper(),
        parameters=", ".join(kind + name for kind, name, _ in pointers),
        passes=", ".join(name for _, name, _ in pointers),
        steps="\n        ".join(f"{name} += {size};" for _, name, size in pointers),
    )


def _check_guard(artifact, scratch):
    if (scratch[-_GUARD_WORDS:] != _CANARY).any():
        raise VerificationError(
            f"`{artifact.name}` wrote beyond its scratch of {artifact.sizes['scratch']} bytes; "
            "please report this header as a bug."
        )
