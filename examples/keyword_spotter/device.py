"""The keyword spotter in C, from samples to word: on this computer and on an emulated Cortex-M4."""

import ctypes
import pathlib
import re
import subprocess
import tempfile
import types

import numpy as np
from common import console
from keyword_spotter import log_mel, words
from rich.table import Table

from keras_gxnor.converters import emulator, host

_HERE = pathlib.Path(__file__).resolve().parent
_DRIVER = "#define SPOTTER_IMPLEMENTATION\n#include \"spotter.h\"\n"
_WORDS = "/* SPDX-License-Identifier: 0BSD */\n#define WORDS {}\n"


def write(out, names):
    """Writes log_mel.h, spotter.h, words.h and main.c beside keywords.h in the folder `out`."""
    out = pathlib.Path(out)
    (out / "log_mel.h").write_bytes(log_mel.header())
    for file in ("spotter.h", "main.c"):
        (out / file).write_bytes((_HERE / file).read_bytes())
    text = ", ".join(f'"{name}"' for name in names)
    (out / "words.h").write_text(_WORDS.format(text), encoding="ascii")


def check(out, names, pcm, logits, emulated) -> dict:
    """Writes the C, runs it on clips of sound and compares with Python.

    Args:
        out: Folder with keywords.h.
        names: The words.
        pcm: int16 clips (n, SAMPLES).
        logits: What the Keras model makes of their `log_mel`, (n, words).
        emulated: How many of the clips to run on the emulator.

    Returns:
        dict: of each of `host` and `cortex_m4` the clips and how many had other features, logits or
        words than Python; what the program says of one wav file a word; and what features and
        network take on the Cortex-M4.
    """
    write(out, names)
    expected = log_mel.log_mel(pcm).reshape(len(pcm), -1), logits, logits.argmax(axis=1)
    some = tuple(part[:emulated] for part in expected)
    console.print(f"comparing C on this computer ({len(pcm):,} clips)")
    report = {"host": _compared(_on_host(out, pcm, logits.shape[1]), expected)}
    console.print(f"comparing C on the emulated Cortex-M4 ({emulated} clips)")
    made, cost = _on_core(out, pcm[:emulated], logits.shape[1])
    report["cortex_m4"] = _compared(made, some)
    first = np.unique(expected[2], return_index=True)[1]
    said = _said(out, pcm[first])
    right = [names[expected[2][i]] for i in first]
    report["program"] = {"clips": len(said), "mismatches": sum(a != b for a, b in zip(said, right))}
    return {**report, **cost}


def _compared(made, expected) -> dict:
    """{"clips": n, "features": those that differ anywhere, "logits": likewise, "words": likewise}."""
    parts = zip(("features", "logits", "words"), made, expected, strict=True)
    wrong = {name: (a != b).reshape(len(b), -1).any(axis=1) for name, a, b in parts}
    return {"clips": len(expected[0]), **{name: int(flags.sum()) for name, flags in wrong.items()}}


def _on_host(out, pcm, classes):
    """(features, logits, words) that a shared library of spotter.h makes."""
    out = pathlib.Path(out).resolve()
    features = np.zeros((len(pcm), log_mel.FRAMES * log_mel.BANDS), np.uint8)
    logits, found = np.zeros((len(pcm), classes), np.float32), np.zeros(len(pcm), int)
    scratch = np.zeros(_scratch(out) // 4, np.uint32)
    with tempfile.TemporaryDirectory() as folder:
        library, source = pathlib.Path(folder) / "spotter.so", pathlib.Path(folder) / "spotter.c"
        source.write_text(_DRIVER)
        shared = ["-std=c99", "-O2", "-shared", "-fPIC", f"-I{out}", source.name, "-o", library.name]
        host.compile_c([*host.find_compiler(), *shared], folder)
        run = ctypes.CDLL(str(library)).spotter_run
        for i, clip in enumerate(np.ascontiguousarray(pcm)):
            arrays = clip, features[i], logits[i], scratch
            found[i] = run(*(ctypes.c_void_p(array.ctypes.data) for array in arrays))
    return features, logits, found


def _on_core(out, pcm, classes):
    """((features, logits, words), cost) on the emulated Cortex-M4."""
    headers = [
        types.SimpleNamespace(name=name, main=(pathlib.Path(out) / f"{name}.h").read_bytes())
        for name in ("keywords", "log_mel", "spotter")
    ]
    image = emulator.Image(headers, "cortex-m4", ["spotter_run"])
    scratch, size = _scratch(out), log_mel.FRAMES * log_mel.BANDS
    features, logits, found = [], [], []
    core = emulator.Processor(image)
    places = [core.buffer(bytes_) for bytes_ in (2 * log_mel.SAMPLES, size, 4 * classes, scratch)]
    for clip in pcm:
        core.write(places[0], clip.astype("<i2").tobytes())
        found.append(core.call("spotter_run", *places))
        features.append(np.frombuffer(core.read(places[1], size), np.uint8))
        logits.append(np.frombuffer(core.read(places[2], 4 * classes), "<f4"))
    alone = emulator.Image(headers[1:2], "cortex-m4", ["log_mel"])
    counting = emulator.Processor(alone, count=True)
    places = [counting.buffer(bytes_) for bytes_ in (2 * log_mel.SAMPLES, size, 4 * log_mel.FRAME)]
    counting.write(places[0], pcm[0].astype("<i2").tobytes())
    counting.call("log_mel", *places)
    cost = {
        "features_instructions": counting.instructions,
        "features_flash_bytes": alone.code_bytes + alone.data_bytes,
        "features_stack_bytes": counting.stack_bytes(),
        "flash_bytes": image.code_bytes + image.data_bytes,
        "scratch_bytes": scratch,
        "stack_bytes": core.stack_bytes(),
    }
    return (np.stack(features), np.stack(logits), np.array(found)), cost


def _scratch(out) -> int:
    """SPOTTER_SCRATCH_BYTES."""
    text = (pathlib.Path(out) / "keywords.h").read_text()
    return max(int(re.search(r"#define KEYWORDS_SCRATCH_BYTES (\d+)", text)[1]), 4 * log_mel.FRAME)


def _said(out, pcm) -> list[str]:
    """What the program of main.c prints for clips as wav files."""
    said = []
    with tempfile.TemporaryDirectory() as folder:
        program, sound = pathlib.Path(folder) / "spot", pathlib.Path(folder) / "clip.wav"
        flags = ["-std=c99", "-O2", "main.c", "-o", str(program)]
        host.compile_c([*host.find_compiler(), *flags], out)
        for clip in pcm:
            words.write_wav(sound, clip)
            done = subprocess.run([program, sound], capture_output=True, text=True, timeout=60, check=True)
            said.append(done.stdout.strip())
    return said


def show(report):
    """Prints the report as a table."""
    table = Table(title="from samples to word, in C", show_header=False)
    for name in ("host", "cortex_m4"):
        part = report[name]
        for what in ("features", "logits", "words"):
            label = f"clips with other {what} than Python, {name}"
            table.add_row(label, f"{part[what]} of {part['clips']:,}")
    part = report["program"]
    table.add_row("wav files with another word than Python", f"{part['mismatches']} of {part['clips']}")
    table.add_row("instructions of the features of a clip (M4)", f"{report['features_instructions']:,}")
    table.add_row("flash of the features", f"{report['features_flash_bytes']:,} bytes")
    table.add_row("flash of features and network", f"{report['flash_bytes']:,} bytes")
    table.add_row("scratch of both", f"{report['scratch_bytes']:,} bytes")
    table.add_row("stack of both", f"{report['stack_bytes']:,} bytes")
    console.print(table)
