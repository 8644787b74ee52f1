"""A ternary MLP for an 8-bit AVR (ATmega328P, 32 kB of flash, 2 kB of RAM): train, export, verify, run.

    python examples/avr_mlp.py
    sudo apt-get install gcc-avr avr-libc simavr       # for the last step

Two hidden layers on scikit-learn's digits, exported as C with eight output channels side by side, which
is what an 8-bit register holds. On AVR constants are copied to RAM at the start unless their type says
flash; the header's tables do where the compiler knows how: avr-gcc in GNU C (`-std=gnu99`).

A float net with ReLUs is trained first; `keras_gxnor.discretize` makes the ternary net of it, which is
trained as long again. `--scratch` starts it at random, to compare.

The last step compiles `avr_uno/main.c` with avr-gcc for the ATmega328P and runs it in simavr, if both
are on the PATH: the bits of the logits must be those of the reference, and the program must fit.
"""

import pathlib
import re
import shutil
import subprocess
import sys

import click
import keras
import numpy as np

import keras_gxnor
from keras_gxnor import converters, reference
from keras_gxnor.converters.c_selftest import fnv

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import digits
from common import block, console, discretized, layer_types, options, quicker, save, ship, show, train_twins

SPEC = digits.SPEC
CHIP, FLASH, RAM = "atmega328p", 32 * 1024, 2 * 1024
IMAGES = 20  # that the program holds


def data(seed):
    """((train codes, labels), (test codes, labels)); codes are uint8 (n, 64)."""
    x, x_test, y, y_test = digits.data(seed)
    return (x.reshape(-1, 64), y), (x_test.reshape(-1, 64), y_test)


def build(discrete=True):
    """The ternary net, or the same net in float32 with ReLU."""
    _, dense = layer_types(discrete)
    return keras.Sequential(
        [
            keras.Input((64,)),
            *block(dense(192, use_bias=False), discrete=discrete),
            *block(dense(96, use_bias=False), discrete=discrete),
            dense(10, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
        ],
        name="digits_avr",
    )


def run_on_avr(out, graph, codes) -> dict:
    """Compiles the program for the chip and runs it in simavr.

    Args:
        out: Folder with digits_avr.h.
        graph: What it must compute.
        codes: Images, uint8 (n, 64).

    Returns:
        dict: `skipped`, why, or else `images`, `mismatches`, `flash_bytes`, `static_bytes`, `stack_bytes`,
        `cycles` (the most of an image), `fits`.
    """
    missing = [tool for tool in ("avr-gcc", "avr-size", "simavr") if shutil.which(tool) is None]
    if missing:
        return {"skipped": f"not on the PATH: {', '.join(missing)} (gcc-avr, avr-libc, simavr)"}
    out = pathlib.Path(out)
    main = pathlib.Path(__file__).parent / "avr_uno" / "main.c"
    (out / "main.c").write_bytes(main.read_bytes())
    rows = ",\n    ".join("{" + ", ".join(map(str, image)) + "}" for image in codes.tolist())
    (out / "images.h").write_text(_IMAGES.format(count=len(codes), rows=rows), encoding="ascii")
    flags = ["-std=gnu99", "-Os", f"-mmcu={CHIP}", "main.c", "-o", "main.elf"]
    converters.host.compile_c(["avr-gcc", *flags], out)
    sizes = dict(re.findall(r"^\.(text|data|bss) +(\d+)", _output(["avr-size", "-A", "main.elf"], out), re.M))
    text, data_, bss = (int(sizes.get(name, 0)) for name in ("text", "data", "bss"))
    printed = _output(["simavr", "-m", CHIP, "-f", "16000000", "main.elf"], out)
    found = np.array([[int(x, 16) for x in row] for row in re.findall(_LINE, printed)])
    logits = reference.run(graph, codes)
    digests = [fnv(2166136261, row.view(np.uint32)) for row in logits]
    expected = np.stack([logits.argmax(axis=1), digests], axis=1)
    sound = re.findall(r"selftest (\w+)", printed) == ["0" * 8] and len(found) == len(codes)
    stack = [int(x, 16) for x in re.findall(r"stack (\w+)", printed)]
    report = {
        "images": len(codes),
        "mismatches": int((found[:, :2] != expected).any(axis=1).sum()) if sound else len(codes),
        "flash_bytes": text + data_,
        "static_bytes": data_ + bss,
        "stack_bytes": max(stack, default=RAM),
        "cycles": int(found[:, 2].max()) if sound else 0,
    }
    ram = report["static_bytes"] + report["stack_bytes"]
    return {**report, "ram_bytes": ram, "fits": report["flash_bytes"] <= FLASH and ram <= RAM}


_IMAGES = """/* SPDX-License-Identifier: 0BSD */
#define IMAGES {count}

static const uint8_t GXNOR_ROM images[IMAGES][64] = {{
    {rows}
}};
"""
_LINE = r"class (\w+) logits (\w+) cycles (\w+)"


def _output(command, folder) -> str:
    """What a program prints, on both channels."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, errors="replace")
    return done.stdout + done.stderr


def show_avr(report):
    """Prints what the chip says."""
    console.rule(f"{CHIP}, avr-gcc -Os, simavr")
    if "skipped" in report:
        console.print(f"skipped, {report['skipped']}")
        return
    console.print(f"mismatches          {report['mismatches']} of {report['images']}")
    console.print(f"flash               {report['flash_bytes']:,} of {FLASH:,} bytes, images included")
    console.print(f"RAM, static         {report['static_bytes']:,} bytes, with scratch, input and logits")
    console.print(f"RAM, with the stack {report['ram_bytes']:,} of {RAM:,} bytes")
    console.print(f"cycles an image     {report['cycles']:,}, {report['cycles'] / 16000:.1f} ms at 16 MHz")


@click.command()
@options(epochs=20, out="build/avr")
def main(epochs, seed, out, scratch, quick):
    """Trains, exports and verifies a ternary MLP, and runs it on a simulated ATmega328P."""
    epochs, train_set, test_set, limits = quicker(quick, epochs, *data(seed))
    model, report = train_twins(
        build, train_set, test_set, SPEC, epochs, 64, 0.1, seed, None if scratch else discretized
    )
    console.rule("export and verify")
    report.update(ship(model, model.name, test_set[0], SPEC, out, limits, lanes=8))
    graph = keras_gxnor.lowering.from_keras(model, SPEC)
    report["avr"] = run_on_avr(out, graph, test_set[0][:IMAGES])
    show(f"digits, {report['images']} held-out images", report)
    show_avr(report["avr"])
    save(report, pathlib.Path(out) / "report.json")


if __name__ == "__main__":
    main()
