"""Exported C in numbers: exact instructions on emulated cores, flash, RAM, and host time beside LiteRT.

    python benchmarks/mcu.py [--json] [--quick] [--compiler zig|gcc] [--cores cortex-m4,rv32imc]

Weights are random, two thirds of them not 0; so are activations, of which a share `density` is not 0. The
layers that are measured alone lie in the middle of a small network and read trits of exactly that density
(the first layer: random bytes). Instructions are those of the layer in `emulator.Cost.layers`, divided by
all of its products, of zeros and of the padding too. Every network is first run against the reference.

`instructions_per_mac_8bit`: of layers that read bytes, uniformly random ones, and end in a ReLU in 255 steps,
its instructions included; `u8` is ternary weights, `int8` weights of -127..127.

`runtime_code_bytes`: .text of an image that holds a first convolution, a hidden one, a dense layer and calls
to them, nothing else: no run function, floats, self-test or tables. Its layers are the only ones of their
kind, so that the compiler knows their sizes. `bits_per_weight`: the tables of weights of the two hidden
layers, with the rows that add nothing, per weight.

Host times are of a dense layer of 1024x512 alone at density 0.5, one thread: one ctypes call of the exported
function beside one `Interpreter.invoke` of LiteRT (XNNPACK) with a fully connected int8 layer of that shape,
in rounds, in a random order; a ratio is LiteRT's time / ours, the median over the rounds.
"""

import dataclasses
import importlib.metadata
import json
import math
import pathlib
import sys

import click
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import mcu_host
from calibrate import version
from ternary import TRITS, Net, mnist

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import c_emitters, c_source, emulator, estimate, relus
from keras_gxnor.errors import InvalidArgumentError

DENSITIES = (0.33, 0.5, 1.0)
MAIN = 0.5
HIDDEN = ("dense_1024x512", "conv3x3_64x64")
FIRST = "first_32x32x3_32"
# Most instructions a product at density 0.5, in hidden layers; and other limits.
TARGETS = {
    "cortex-m4": {"dense_1024x512": 0.25, "conv3x3_64x64": 0.29},
    "cortex-m0plus": {"dense_1024x512": 0.44, "conv3x3_64x64": 0.46},
    "rv32imc": {"dense_1024x512": 0.29},
}
LIMITS = {"bits_per_weight": 2.02, "flash_bytes": 155_000, "scratch_bytes": 8_192}
HOST_TARGETS = {"avx512": 3.0, "avx2": 1.5}
_LAYERS = """
#ifdef NET_IMPLEMENTATION
void net_layers(const uint8_t *input, uint32_t *scratch);
void net_layers(const uint8_t *input, uint32_t *scratch)
{{
    {calls}
}}
#endif
"""


def layers(density) -> dict[str, Net]:
    """The networks of the layers that are measured alone."""
    return {
        "dense_1024x512": Net("dense", (1024,), TRITS, density).dense(512).step(density),
        "conv3x3_64x64": Net("conv", (16, 16, 64), TRITS, density).conv(64).step(density),
        FIRST: Net("first", (32, 32, 3)).conv(32).step(density),
    }


def eight_bits() -> dict[str, Net]:
    """The networks of the layers on bytes."""
    codes = g.InputSpec("uint8", 1.0, 0)
    return {
        "conv3x3_64x64_u8": Net("conv8", (16, 16, 64), codes).conv(64).relu(),
        "conv1x1_64x64_u8": Net("point8", (16, 16, 64), codes).conv(64, 1).relu(),
        "conv3x3_64x64_int8": Net("conv88", (16, 16, 64), codes).conv(64, states=127).relu(),
        "first_32x32x3_32_u8": Net("first8", (32, 32, 3)).conv(32).relu(),
        "first_32x32x3_32_int8": Net("first88", (32, 32, 3)).conv(32, states=127).relu(),
    }


def products(graph) -> int:
    """Multiplications of the kernels of a network, of zeros and of the padding too."""
    total = 0
    for node, kind in zip(graph.nodes, graph.check()):
        if isinstance(node.op, (g.Conv2D, g.Dense)):
            total += math.prod(kind.shape) * math.prod(node.op.kernel.shape[:-1])
    return total


def checked(net, core, compiler) -> tuple:
    """(artifact, the codes of one input) of a network that equals the reference on a core, or stops.

    Raises:
        AssertionError: if a logit differs from the reference.
    """
    artifact, x = c_source.emit(net.graph(), net.name), net.x[:1]
    made, _ = emulator.run(artifact, x, core, compiler=compiler)
    np.testing.assert_array_equal(made, reference.run(artifact.graph, x))
    return artifact, x


def instructions(nets, core, compiler) -> dict[str, float]:
    """{layer: instructions a product} on one core."""
    found = {}
    for name, net in nets.items():
        kind = "dense" if name.startswith("dense") else "conv"
        counted = emulator.layers(*checked(net, core, compiler), core, compiler)
        (count,) = [count for note, count in counted if note.startswith(kind)]
        found[name] = round(count / products(net.graph()), 4)
    return found


def code_bytes(core, compiler) -> int:
    """.text of a first convolution, a hidden one and a dense layer, without what surrounds them."""
    net = Net("net", (8, 8, 3)).conv(32).step().conv(64).step().dense(64).step()
    artifact = c_source.emit(net.graph(), net.name)
    names = [note.split()[0] for note in artifact.notes[:3]]
    calls = [f"net_{name}({'input, ' if name == names[0] else ''}scratch);" for name in names]
    text = artifact.main.decode() + _LAYERS.format(calls="\n    ".join(calls))
    whole = dataclasses.replace(artifact, files={"net.h": text.encode("ascii")})
    return emulator.Image([whole], core, ["net_layers"], compiler).code_bytes


def bits_per_weight() -> float:
    """Of the hidden layers' tables together."""
    bits = weights = 0
    for name in HIDDEN:
        graph = relus.canonical(layers(MAIN)[name].graph())
        tables = [table for call in c_emitters.program(graph).calls for table in call.tables]
        bits += 8 * max(table.nbytes for table in tables if table.suffix == "weights")
        weights += max(
            node.op.kernel.size for node in graph.nodes if isinstance(node.op, (g.Conv2D, g.Dense))
        )
    return round(bits / weights, 4)


def _error(graph, x, cost) -> float | None:
    """The relative error of the estimate; None if its table has no such compiler."""
    try:
        made = estimate(graph, cost.core, x=x, compiler=cost.compiler)
    except InvalidArgumentError:
        return None
    return round(made.instructions / cost.instructions - 1, 4)


def paper(cores, compiler) -> dict:
    """The paper's MNIST CNN: sizes on the first core, instructions and error of the estimate on all."""
    costs, errors = {}, {}
    for core in cores:
        artifact, x = checked(mnist(MAIN), core, compiler)
        costs[core] = emulator.cost(artifact, x, core, compiler)
        errors[core] = _error(artifact.graph, x, costs[core])
    cost = costs[cores[0]]
    return {
        "core": cores[0],
        "flash_bytes": cost.flash_bytes,
        "code_bytes": cost.code_bytes,
        "scratch_bytes": cost.scratch_bytes,
        "stack_bytes": cost.stack_bytes,
        "instructions": cost.instructions,
        "instructions_by_core": {core: found.instructions for core, found in costs.items()},
        "layers": {note.split()[0]: count for note, count in cost.layers},
        "estimate_error": errors,
    }


def measure(cores, compiler, densities, rounds) -> dict:
    """The whole report; see the docstring of this file."""
    found = {d: {core: instructions(layers(d), core, compiler) for core in cores} for d in densities}
    bytes_read = {core: instructions(eight_bits(), core, compiler) for core in cores}
    names = (*HIDDEN, FIRST)
    by_layer = {
        str(d): {name: {core: found[d][core][name] for core in cores} for name in names} for d in densities
    }
    host = mcu_host.measure(rounds)
    packages = ("ziglang", "unicorn", "pyelftools", "ai-edge-litert", "tensorflow", "numpy")
    return {
        "instructions_per_mac": by_layer[str(MAIN)],
        "instructions_per_mac_by_density": by_layer,
        "instructions_per_mac_8bit": {
            name: {core: bytes_read[core][name] for core in cores} for name in eight_bits()
        },
        "runtime_code_bytes": {core: code_bytes(core, compiler) for core in cores},
        "bits_per_weight": bits_per_weight(),
        "mnist_cnn": paper(cores, compiler),
        "host_ratio_to_litert_int8": max(host["ratio"].values()),  # with the best lanes this computer has
        "host": host,
        "compiler": f"{compiler} ({version(compiler, cores[0])})",
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def missed(report) -> list[str]:
    """The targets that a report does not meet, in words. Host times are not among them."""
    found = []
    for core, limits in TARGETS.items():
        for name, most in limits.items():
            value = report["instructions_per_mac"][name].get(core, 0)
            if value > most:
                found.append(f"{name} on {core}: {value} instructions a product, at most {most}")
    values = {**report["mnist_cnn"], "bits_per_weight": report["bits_per_weight"]}
    return found + [
        f"{key}: {values[key]}, at most {most}" for key, most in LIMITS.items() if values[key] > most
    ]


def show(report, console):
    """Prints the report as tables, and the targets."""
    cnn, host = report["mnist_cnn"], report["host"]
    table = Table(title=f"Exported C, {report['compiler']} -O2: instructions a product at density {MAIN}")
    for column in ("core", *report["instructions_per_mac"], "runtime, bytes", "MNIST CNN"):
        table.add_column(column, justify="left" if column == "core" else "right")
    for core, size in report["runtime_code_bytes"].items():
        values = [f"{by_core[core]:.3f}" for by_core in report["instructions_per_mac"].values()]
        table.add_row(core, *values, f"{size:,}", f"{cnn['instructions_by_core'][core]:,}")
    console.print(table)
    table = Table(title="Layers on bytes, with a ReLU in 255 steps: instructions a product")
    for column in ("core", *report["instructions_per_mac_8bit"]):
        table.add_column(column, justify="left" if column == "core" else "right")
    for core in report["runtime_code_bytes"]:
        by_layer = report["instructions_per_mac_8bit"].values()
        table.add_row(core, *(f"{by_core[core]:.2f}" for by_core in by_layer))
    console.print(table)
    console.print(
        f"Bits a weight: {report['bits_per_weight']}. MNIST CNN on {cnn['core']}: flash "
        f"{cnn['flash_bytes']:,}, scratch {cnn['scratch_bytes']:,}, stack {cnn['stack_bytes']} bytes."
    )
    for kind, share in report["host"]["ratio"].items():
        target = f" (target {HOST_TARGETS[kind]})" if kind in HOST_TARGETS else ""
        console.print(
            f"Host, {kind}: {share:.2f} times as fast as LiteRT int8{target}; "
            f"{host['microseconds'][kind]:.2f} us, LiteRT {host['microseconds']['litert_int8']:.2f}"
        )
    console.print("\n".join(missed(report)) or "All targets of instructions, flash and RAM are met.")


def _cores(context, parameter, value):
    names = value.split(",") if value else list(emulator.CORES)
    unknown = [name for name in names if name not in emulator.CORES]
    if unknown:
        raise click.BadParameter(f"must be of {sorted(emulator.CORES)}. Received: {unknown}")
    return sorted(names, key=lambda name: name != "cortex-m4")  # the first one's sizes are reported


@click.command()
@click.option("--quick", is_flag=True, help="Three cores, one density, few rounds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--compiler", default="zig", type=click.Choice(emulator.COMPILERS), show_default=True)
@click.option("--cores", default=None, callback=_cores, help="Names with commas between; default: all.")
def main(quick, as_json, compiler, cores):
    """Measures exported C on emulated cores and on this computer."""
    if quick:
        cores = [core for core in cores if core in TARGETS] or cores
    report = measure(cores, compiler, (MAIN,) if quick else DENSITIES, 40 if quick else 400)
    if as_json:
        print(json.dumps(report))
    else:
        show(report, Console())


if __name__ == "__main__":
    main()
