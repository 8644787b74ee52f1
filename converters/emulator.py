"""Runs exported C on an emulated microcontroller: outputs, exact instructions, flash and stack.

The header is cross-compiled with the clang of the `ziglang` wheel (or a gcc) and run in unicorn;
nothing but Python packages is needed. Instructions are counted, not cycles: a real chip
adds wait states of its flash and the cycles of multi-cycle instructions.
"""

import dataclasses

import numpy as np

from keras_gxnor import reference
from keras_gxnor.converters import host
from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.converters.cores import COMPILERS, CORES
from keras_gxnor.converters.cost import Cost
from keras_gxnor.converters.firmware import Image
from keras_gxnor.converters.machine import Machine, Processor
from keras_gxnor.errors import InvalidArgumentError

__all__ = [
    "COMPILERS", "CORES", "Cost", "Image", "Machine", "Processor",
    "cost", "layers", "run", "selftest", "trace",
]

_REPORT_EVERY = 50


def run(artifact: Artifact, x, core: str = "cortex-m4", progress=None, compiler: str = "zig"):
    """Runs an exported network on an emulated microcontroller.

    Args:
        artifact: What `c_source.emit` returned.
        x: Integer input codes of shape (batch, *input shape), at least one input; of a graph
            with several inputs a tuple of them.
        core: One of `CORES`.
        progress: None, or a function (images done, images) called now and then.
        compiler: One of `COMPILERS`.

    Returns:
        (float32 logits of shape (batch, *output shape), or a tuple of them if the graph has
        several outputs; `Cost` without `layers`).

    Raises:
        InvalidArgumentError: if `core` or `compiler` is unknown, or `x` is empty or does not fit.
        MissingExtraError: if ziglang, unicorn or pyelftools is not installed.
        ToolError: if gcc is not installed, compiling fails, or the program leaves its memory
            (the page after the scratch is not mapped, so an overrun is seen).
    """
    samples = _samples(artifact, x)
    image = Image([artifact], core, _needed(artifact), compiler)
    found = _cost(image, artifact, samples[0])
    machine = Machine(image, artifact)
    made = []
    for done, code in enumerate(samples, 1):
        made.append(host.parts(machine.run(code)))
        if progress and (done % _REPORT_EVERY == 0 or done == len(samples)):
            progress(done, len(samples))
    logits = tuple(map(np.stack, zip(*made)))
    return logits[0] if len(logits) == 1 else logits, found


def cost(artifact: Artifact, x, core: str = "cortex-m4", compiler: str = "zig") -> Cost:
    """What a network takes, layer by layer.

    The totals are of the image a user would flash. `layers` come from a second one, in which a
    label without an instruction marks the end of every layer: a layer's instructions are those
    from the end of the layer before to its own, so the first has the entry of the run function
    and the last its exit too. Their sum is the second image's total. It may differ from
    `instructions` by a few a layer, as the compiler moves nothing across a label.

    Args:
        artifact, core, compiler: As of `run`.
        x: As of `run`; the first input is what the network runs on.

    Raises:
        InvalidArgumentError, MissingExtraError, ToolError: as `run`.
    """
    code = _samples(artifact, x)[0]
    found = _cost(Image([artifact], core, _needed(artifact), compiler), artifact, code)
    return dataclasses.replace(found, layers=layers(artifact, x, core, compiler))


def layers(artifact: Artifact, x, core: str = "cortex-m4", compiler: str = "zig") -> tuple:
    """((the layer's line in the header, instructions), ...): the `layers` of `cost` alone, in half its time.

    Args:
        artifact, x, core, compiler: As of `cost`.

    Raises:
        InvalidArgumentError, MissingExtraError, ToolError: as `run`.
    """
    code = _samples(artifact, x)[0]
    machine = Machine(Image([artifact], core, _needed(artifact), compiler, "count"), artifact, count=True)
    machine.run(code)
    found, start = [], 0
    for layer, end in machine.marks:
        note = artifact.notes[layer - 1] if layer <= len(artifact.notes) else f"layer{layer}"
        found.append((note, end - start))
        start = end
    if found:
        found[-1] = (found[-1][0], found[-1][1] + machine.instructions - start)
    return tuple(found)


def trace(artifact: Artifact, x, on_layer, core: str = "cortex-m4", compiler: str = "zig"):
    """Runs a network and shows what every layer leaves in memory.

    Args:
        artifact, core, compiler: As of `run`.
        x: As of `run`; all inputs are run.
        on_layer: A function (number of the sample, layer from 1 as in the header's list,
            read), called at the end of every layer; read(size) gives the first `size` bytes of
            what the layer left, as they lie in memory.

    Raises:
        InvalidArgumentError, MissingExtraError, ToolError: as `run`.
    """
    samples = _samples(artifact, x)
    machine = Machine(Image([artifact], core, _needed(artifact), compiler, "values"), artifact)
    sample = 0
    machine.on_layer(
        lambda layer, place: on_layer(sample, layer, lambda size: machine.read(place, size))
    )
    for sample, code in enumerate(samples):  # noqa: B007 (the function above reads it)
        machine.run(code)


def selftest(artifact: Artifact, core: str = "cortex-m4", compiler: str = "zig") -> int:
    """What the network's own self-test returns on an emulated core; 0 means sound.

    Raises:
        InvalidArgumentError, MissingExtraError, ToolError: as `run`.
    """
    image = Image([artifact], core, [f"{artifact.name}_selftest"], compiler)
    return Machine(image, artifact).selftest()


def _needed(artifact) -> list[str]:
    return [f"{artifact.name}_run", f"{artifact.name}_argmax"]


def _samples(artifact, x) -> list:
    """The samples of checked codes, each an array or a tuple of arrays."""
    codes = reference.check_codes(artifact.graph, x)
    samples = list(zip(*codes)) if isinstance(codes, tuple) else list(codes)
    if not samples:
        raise InvalidArgumentError("`x` must hold at least one input. Received: 0")
    return samples


def _cost(image, artifact, code) -> Cost:
    """Runs one input with every instruction counted and the stack painted."""
    machine = Machine(image, artifact, count=True)
    machine.run(code)
    return Cost(
        core=image.core.name,
        instructions=machine.instructions,
        code_bytes=image.code_bytes,
        data_bytes=image.data_bytes,
        scratch_bytes=artifact.sizes["scratch"],
        stack_bytes=machine.stack_bytes(),
        compiler=image.compiler,
        weight_bytes=artifact.sizes["weights"],
    )
