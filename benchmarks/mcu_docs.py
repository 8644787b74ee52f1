"""Puts the numbers of a report of benchmarks/mcu.py in docs/c.md.

    python benchmarks/mcu.py --json > docs/results/mcu.json
    python benchmarks/mcu_docs.py

The text between the two marks is made anew from docs/results/mcu.json.
"""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- made by benchmarks/mcu_docs.py -->\n", "<!-- end -->\n"
_KINDS = {
    "avx512": "512 lanes, AVX-512",
    "avx2": "256 lanes, AVX2",
    "words32": "32 lanes, words of 32 bits",
}


def tables(report) -> str:
    """The tables of a report, as Markdown."""
    layers, cnn, host = report["instructions_per_mac"], report["mnist_cnn"], report["host"]
    lines = [
        f"Compiler: {report['compiler']}, -O2. Instructions a product at density 0.5:",
        "",
        "| core | dense 1024x512 | conv 3x3, 64 to 64 | first conv 3x3, 3 to 32 | code of the three, bytes |",
        "|---|---|---|---|---|",
    ]
    for core, size in report["runtime_code_bytes"].items():
        lines.append(
            "| " + " | ".join([core, *(f"{by[core]:.3f}" for by in layers.values()), f"{size:,}"]) + " |"
        )
    lines += [
        "",
        "Layers that read bytes and end in a ReLU in 255 steps, which is counted too:",
        "",
        "| core | u8, 3x3, 64 to 64 | u8, 1x1, 64 to 64 | int8, 3x3, 64 to 64 | first, u8 | first, int8 |",
        "|---|---|---|---|---|---|",
    ]
    for core in report["runtime_code_bytes"]:
        numbers = (f"{by[core]:.2f}" for by in report["instructions_per_mac_8bit"].values())
        lines.append("| " + " | ".join([core, *numbers]) + " |")
    lines += [
        "",
        "At other densities, " + cnn["core"] + ":",
        "",
        "| density | dense | conv |",
        "|---|---|---|",
    ]
    for density, by_layer in report["instructions_per_mac_by_density"].items():
        dense, conv, _ = (by[cnn["core"]] for by in by_layer.values())
        lines.append(f"| {density} | {dense:.3f} | {conv:.3f} |")
    lines += [
        "",
        f"{report['bits_per_weight']} bits a weight. The paper's MNIST CNN (581,408 weights) takes "
        f"{cnn['flash_bytes']:,} bytes of flash, {cnn['code_bytes']:,} of them code,",
        f"{cnn['scratch_bytes']:,} bytes of scratch and {cnn['stack_bytes']} bytes of stack on "
        f"{cnn['core']}; a run:",
        "",
        "| core | instructions | `estimate` off by |",
        "|---|---|---|",
    ]
    for core, count in cnn["instructions_by_core"].items():
        error = cnn["estimate_error"][core]
        lines.append(f"| {core} | {count:,} | {'' if error is None else f'{100 * error:+.1f} %'} |")
    lines += [
        "",
        f"On a PC ({host['compiler']}), dense 1024x512 beside LiteRT's int8, which takes "
        f"{host['microseconds']['litert_int8']:.2f} us:",
        "",
        "| exported with | compiled with | us | times as fast |",
        "|---|---|---|---|",
    ]
    for kind, share in host["ratio"].items():
        time = host["microseconds"][kind]
        lines.append(f"| {_KINDS[kind]} | `{host['arguments'][kind]}` | {time:.2f} | {share:.2f} |")
    return "\n".join([*lines, ""])


def replaced(text, report) -> str:
    """A document with the tables between the marks made anew."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + tables(report) + END + rest.split(END, 1)[1]


def main():
    """Writes docs/c.md."""
    report = json.loads((ROOT / "docs/results/mcu.json").read_text())
    path = ROOT / "docs/c.md"
    path.write_text(replaced(path.read_text(encoding="utf-8"), report), encoding="utf-8")


if __name__ == "__main__":
    main()
