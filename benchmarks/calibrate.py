"""Makes the table of `keras_gxnor.converters.estimate`: what each piece of work costs on each core.

    python benchmarks/calibrate.py [--compiler zig|gcc] [--core cortex-m4 ...] [--jobs 2] [--only relus ...]

Networks of random weights are run on the emulator; of every layer its instructions and its pieces of work
are a row. The costs are the least squares of the relative errors, none of them negative. The rows of other
compilers and cores in converters/instructions.json stay as they are. With --only so do the costs of pieces
that other networks have: only networks of such names are run, and only what they alone have is fitted.
"""

import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys

import click
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from calibration_networks import networks

from keras_gxnor.converters import c_source, cores, emulator, estimation, host

_ROUNDS, _LEAST = 15, 1e-4  # of reweighting; the smallest error in a weight


def measure(net, core, compiler) -> list[tuple[str, dict, int]]:
    """[(the layer's line, its pieces of work, its instructions)] of one network on one core."""
    artifact = c_source.emit(net.graph(), net.name)
    x = net.x[:1]
    counted = emulator.layers(artifact, x, core, compiler)
    predicted = estimation.calls(artifact.graph, x=x)
    return [(note, work, count) for (note, work), (_, count) in zip(predicted, counted, strict=True)]


def fit(nets) -> dict[str, float]:
    """{piece of work: instructions}, none negative, of {network: [(line, pieces of work, instructions)]}.

    The least sum of absolute errors, each divided by the geometric mean of the layer's instructions and its
    network's: compilers fold some small layers away, and squares would make all others cheap for them.
    """
    pieces = sorted({piece for rows in nets.values() for _, work, _ in rows for piece in work})
    layers = [(work, count, sum(c for *_, c in rows)) for rows in nets.values() for _, work, count in rows]
    counts = np.array([[work.get(piece, 0.0) for piece in pieces] for work, *_ in layers])
    wanted = np.array([count for _, count, _ in layers], float)
    weights = 1 / np.sqrt(np.array([max(count, 1) * total for _, count, total in layers], float))
    matrix, wanted = counts * weights[:, None], wanted * weights
    scale = np.abs(matrix).max(0)
    matrix /= scale
    found = _nonnegative(matrix, wanted)
    for _ in range(_ROUNDS):
        roots = 1 / np.sqrt(np.maximum(np.abs(matrix @ found - wanted), _LEAST))
        found = _nonnegative(matrix * roots[:, None], wanted * roots)
    return {piece: float(f"{cost:.4g}") for piece, cost in zip(pieces, found / scale) if cost > 0}


def _nonnegative(matrix, wanted):
    """argmin |matrix @ x - wanted|, x >= 0: Lawson and Hanson's active set."""
    size = matrix.shape[1]
    used, held, x = np.zeros(size, bool), np.zeros(size, bool), np.zeros(size)
    while True:
        gain = np.where(used | held, -np.inf, matrix.T @ (wanted - matrix @ x))
        entering = int(gain.argmax())
        if gain[entering] <= 1e-9:
            return x
        used[entering] = True
        trial = _solved(matrix, wanted, used)
        if trial[entering] <= 0:  # a gain of rounding alone
            used[entering], held[entering] = False, True
            continue
        held[:] = False
        while (bad := used & (trial <= 0)).any():
            x = x + np.min(x[bad] / (x[bad] - trial[bad])) * (trial - x)
            used &= x > 1e-13
            x[~used] = 0
            trial = _solved(matrix, wanted, used)
        x = trial


def _solved(matrix, wanted, used):
    """The least squares of some columns; 0 for the others."""
    x = np.zeros(matrix.shape[1])
    x[used] = np.linalg.lstsq(matrix[:, used], wanted, rcond=None)[0]
    return x


def errors(measured, costs) -> list[float]:
    """Relative error of each network's total: measured = {name: rows}."""
    found = []
    for rows in measured.values():
        guess = sum(costs.get(piece, 0) * count for _, work, _ in rows for piece, count in work.items())
        found.append(float(guess / sum(count for _, _, count in rows) - 1))
    return found


def version(compiler, core) -> str:
    """What the compiler says it is."""
    command = cores.command(cores.find(core), compiler, [], "none")
    command = [*host.zig_command(), "--version"] if compiler == "zig" else [command[0], "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return said.split(" (")[0] if compiler == "zig" else said


def _job(task):
    name, core, compiler = task
    return name, core, measure(networks()[name], core, compiler)


@click.command()
@click.option("--compiler", default="zig", type=click.Choice(emulator.COMPILERS), show_default=True)
@click.option(
    "--core", "chosen", multiple=True, type=click.Choice(sorted(emulator.CORES)), help="Default: all."
)
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--only", multiple=True, help="Networks whose names begin so, and what only these have.")
@click.option("--rows", default=None, help="Also write the measured rows to this file.")
def main(compiler, chosen, jobs, only, rows):
    """Measures and fits; writes converters/instructions.json."""
    chosen, names = chosen or tuple(emulator.CORES), [n for n in networks() if n.startswith(only or "")]
    tasks = [(name, core, compiler) for core in chosen for name in names]
    measured = {core: {} for core in chosen}
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for done, (name, core, found) in enumerate(pool.map(_job, tasks, chunksize=4), 1):
            measured[core][name] = found
            if done % 10 == 0:
                print(f"{done}/{len(tasks)}", file=sys.stderr)
    if rows:
        pathlib.Path(rows).write_text(json.dumps(measured))
    write(compiler, measured, pieces_of_others(only) if only else ())


def pieces_of_others(only) -> set[str]:
    """The pieces of work of all networks whose names do not begin with `only`."""
    others = [net.graph() for name, net in networks().items() if not name.startswith(only)]
    return {piece for graph in others for _, work in estimation.calls(graph) for piece in work}


def without(nets, costs, kept) -> dict:
    """Rows less the work whose costs are kept; those of nothing else are left out."""
    made = {}
    for name, rows in nets.items():
        left = [
            (
                note,
                {piece: count for piece, count in work.items() if piece not in kept},
                total - sum(costs.get(piece, 0) * count for piece, count in work.items() if piece in kept),
            )
            for note, work, total in rows
        ]
        made[name] = [row for row in left if row[1] and row[2] > 0]
    return made


def write(compiler, measured, kept=()):
    """Fits {core: {network: rows}} and puts the costs in the table; those of pieces in `kept` stay."""
    table = json.loads(estimation.TABLE.read_text()) if estimation.TABLE.exists() else {}
    part = table.setdefault(compiler, {"cores": {}})
    part["version"] = version(compiler, next(iter(measured)))
    part["made_by"] = f"python benchmarks/calibrate.py --compiler {compiler}"
    for core, nets in measured.items():
        if kept:
            if core not in part["cores"]:
                raise click.UsageError(f"--only adds to a table: there is none of {compiler}, {core}.")
            costs = dict(part["cores"][core]["costs"])
            costs = {piece: cost for piece, cost in costs.items() if piece in kept}
            part["cores"][core]["costs"] = costs | fit(without(nets, costs, kept))
            print(core, max(abs(error) for error in errors(nets, part["cores"][core]["costs"])))
            continue
        costs = fit(nets)
        off = [abs(error) for error in errors(nets, costs)]
        accuracy = {"median": round(statistics.median(off), 4), "worst": round(max(off), 4)}
        part["cores"][core] = {"networks": len(nets), "error_of_totals": accuracy, "costs": costs}
        print(core, accuracy)
    estimation.TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
