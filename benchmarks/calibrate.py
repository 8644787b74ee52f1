"""Makes the table of `keras_gxnor.converters.estimate`: what each piece of work costs on each core.

    python benchmarks/calibrate.py [--compiler zig|gcc] [--core cortex-m4 ...] [--jobs 2] [--only relus ...]

Networks of random weights are run on the emulator; of every layer its instructions and its pieces of work
are a row. The costs are the least squares of the relative errors, none of them negative. The rows of other
compilers and cores in converters/instructions.json stay as they are. With --only so do the costs of pieces
that other networks have: only networks of such names are run, and only what they alone have is fitted.
"""

import concurrent.futures
import functools
import json
import pathlib
import statistics
import subprocess
import sys

import click
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from ternary import IMAGE, TRITS, Net

from keras_gxnor import graph as g
from keras_gxnor import rewrites
from keras_gxnor.converters import c_source, cores, emulator, estimation, host

_ROUNDS, _LEAST = 15, 1e-4  # of reweighting; the smallest error in a weight


def _mixed(name, shape, density, *filters, size=3, **options):
    """Convolutions one after the other on an image of trits, and logits."""
    net = Net(name, shape, TRITS, density)
    for count in filters:
        net.conv(count, size, **options).step(density)
    return net.logits(10)


def _mlp(name, inputs, density, *units, order=1, states=1):
    net = Net(name, (inputs,), TRITS, density)
    for count in units:
        net.dense(count, states).step(density, order)
    return net.logits(10)


def _image(name, shape, filters, size=3, pool=2, **options):
    """A first convolution, a pool, one more."""
    net = Net(name, shape).conv(filters, size, **options).step(0.6).pool(pool)
    return net.conv(2 * filters).step(0.4).logits(5)


def _separable(name, shape, channels, size=3, order=1, **options):
    net = Net(name, shape).conv(channels, 3, 2).step()
    for strides in (1, 2):
        net.depthwise(size, strides=strides, **options).step(0.5, order).conv(channels + 16, 1).step(0.4)
    return net.average().logits(10)


def _residual(name, channels, blocks):
    net = Net(name, (12, 12, 3)).conv(channels).step()
    for _ in range(blocks):
        start = net.here
        net.conv(channels).step(0.4).add(g.Add(), start)
    return net.average(2).step(0.5, 2).pool(2).logits(6)


def _joined(name, channels):
    net = Net(name, (10, 10, 2)).conv(channels).step()
    start = net.here
    one = net.conv(channels + 3, 1).step().here
    net.at(start).pool(3, 1, "same").conv(channels - 4, 1).step().add(g.Concat(), one, start)
    return net.conv(24, 3, 2).step().logits(4)


def _states(name, order, states, shape=(10, 10, 2), channels=20):
    net = Net(name, shape).conv(channels, 3, states=states).step(0.6, order).pool()
    net.conv(2 * channels, states=states).step(0.6, order).pool(3, 2).depthwise(states=states).step(
        0.5, order
    )
    return net.dense(40, states).step(0.7, order).logits(12)


def _shapes(name, channels, rows):
    net = Net(name, (8, 8, channels)).add(g.Pad2D(((1, 2), (2, 1)))).conv(channels + 6, 3).step()
    net.average(2).add(g.Pad2D(((1, 1), (0, 2)))).conv(36, 2).step().add(g.Flatten())
    size = net.kind.shape[0]
    return net.add(g.Reshape((rows, size // rows // 12, 12))).conv(9, 3).step().logits(7)


def _vector(name, inputs, units, order=2):
    net = Net(name, (inputs,)).dense(units).step(0.5, order)
    start = net.here
    net.dense(units).step(0.4, order).add(g.Add(), start)
    return net.add(g.Sign(np.resize(np.int8([1, -1, 1]), units))).add(g.Concat(), start).logits(20)


def _sums(name, channels, size, groups=1):
    """Sums that leave the kernels as they are: an image of logits, pools of sums."""
    net = Net(name, (9, 8, 2)).conv(channels, size).step()
    return net.conv(channels + 8, 2, groups=groups).pool(2).logits()


def _relus(name, shape, channels, levels=255, states=1, **options):
    """ReLUs in steps: of convolutions, also depthwise and of many groups, and of a dense layer."""
    net = Net(name, shape).conv(channels, 3, 2, states=states).relu(levels=levels)
    net.depthwise(3, states=states).relu().conv(channels + 8, 1, **options).relu(levels=levels)
    net.conv(channels + 8, groups=(channels + 8) // 4).relu()
    return net.average().dense(40, states).relu().logits(5)


def _small(name, shape, filters, size=3, strides=1):
    """A first convolution and a hidden one, both small."""
    net = Net(name, shape).conv(filters, size, strides, "valid").step()
    return net.conv(filters + 3, 2, padding="valid").step().logits(4)


def _summed(name, shape, channels, size):
    """Averages with thresholds: convolutions of ones, each channel by itself."""
    net = Net(name, shape).conv(channels).step()
    return net.average(size).step().logits(3)


def _windows(name, shape, channels, size, dilation):
    """A depthwise convolution of codes of many states."""
    net = Net(name, shape).conv(channels).step(0.6, 2)
    return net.depthwise(size, dilation=dilation).step().logits(3)


def _reshaped(name, inputs, shape):
    """A vector made an image."""
    net = Net(name, (30,)).dense(inputs).step().add(g.Reshape(shape)).conv(5, 2, padding="valid").step()
    return net.conv(4, 2).logits()


def _many(name, shape, channels, order):
    """Small layers of many states, pools before the thresholds."""
    net = Net(name, shape).conv(channels).pool().step(0.6, order).conv(channels - 1, 2).step(0.5, order)
    return net.dense(8).step(0.5, order).logits(3)


def _kept(name, shape, channels, size):
    """Depthwise sums that the next kernel reads as codes."""
    net = Net(name, shape).conv(channels).step(0.5).depthwise(size)
    net.add(rewrites.keeping_step(size * size, channels))
    return net.conv(channels + 5, 1).step().logits(3)


def _tokens(name, count, rows, channels):
    net = Net(name, (count,), g.InputSpec("uint8", 1.0, 0))
    net.add(g.Lookup(net.rng.choice(np.int8([-1, 0, 1]), (rows, channels))))
    return net.add(g.Reshape((1, count, channels))).conv(20, (1, 3)).step().logits(3)


@functools.cache
def networks():
    """{name: Net} of the fit."""
    made = [
        *(
            _mixed(f"mixed{i}", *rest)
            for i, rest in enumerate(
                [
                    ((16, 16, 32), 0.5, 32, 64),
                    ((8, 8, 64), 0.3, 64, 32),
                    ((12, 10, 20), 0.8, 48),
                    ((6, 6, 128), 0.5, 96, 33),
                    ((14, 14, 8), 0.4, 16, 40),
                    ((7, 9, 96), 1.0, 32),
                    ((5, 5, 64), 0.1, 64),
                ]
            )
        ),
        _mixed("strided", (15, 15, 24), 0.5, 40, 64, strides=2),
        _mixed("valid5", (14, 14, 16), 0.6, 32, 64, size=5, padding="valid"),
        _mixed("pointwise", (8, 8, 32), 0.4, 64, 128, 48, size=1),
        _mixed("dilated", (12, 12, 16), 0.5, 24, 40, dilation=2),
        _mixed("grouped", (9, 9, 32), 0.5, 48, 64, groups=4),
        _mixed("many_groups", (7, 7, 96), 0.5, 96, 48, groups=24),
        _mixed("many_groups_wide", (6, 6, 128), 0.5, 256, groups=32, strides=2),
        *(
            _mlp(f"mlp{i}", *rest)
            for i, rest in enumerate(
                [
                    (512, 0.5, 512, 256),
                    (2048, 0.3, 128, 64),
                    (100, 0.7, 100, 100),
                    (784, 0.2, 300, 100),
                    (64, 1.0, 32, 32),
                    (3000, 0.5, 32),
                    (33, 0.5, 40, 20),
                ]
            )
        ),
        _mlp("mlp_states", 200, 0.6, 96, 64, order=2),
        _mlp("mlp_weights", 300, 0.6, 96, 40, states=4),
        *(
            _image(f"image{i}", *rest)
            for i, rest in enumerate(
                [
                    ((28, 28, 1), 32, 5),
                    ((16, 16, 3), 16),
                    ((20, 21, 1), 8),
                    ((12, 12, 3), 24, 5),
                    ((9, 9, 4), 40),
                ]
            )
        ),
        *(
            _image(f"image_whole{i}", *rest, padding="valid")
            for i, rest in enumerate(
                [
                    ((24, 24, 1), 24, 5),
                    ((16, 16, 3), 16),
                    ((10, 10, 2), 12),
                    ((6, 6, 1), 8),
                    ((12, 12, 1), 40),
                ]
            )
        ),
        _image("image_strided", (25, 24, 3), 16, 3, 3, strides=2),
        _image("image_valid", (15, 15, 1), 12, 7, (3, 2), padding="valid"),
        *(
            _separable(f"separable{i}", *rest)
            for i, rest in enumerate(
                [
                    ((20, 20, 1), 16),
                    ((16, 16, 3), 32),
                    ((24, 24, 1), 48),
                    ((12, 12, 1), 64, 5),
                ]
            )
        ),
        _separable("separable_states", (16, 16, 1), 24, 3, 2),
        _separable("separable_dilated", (16, 16, 1), 32, 3, dilation=2),
        *(_residual(f"residual{i}", *rest) for i, rest in enumerate([(16, 1), (40, 3), (33, 5)])),
        *(_joined(f"joined{i}", channels) for i, channels in enumerate([8, 20, 40])),
        *(
            _states(f"states{i}", *rest)
            for i, rest in enumerate([(2, 1), (3, 2), (1, 4), (0, 1), (2, 2, (6, 6, 1), 40)])
        ),
        *(_shapes(f"shapes{i}", *rest) for i, rest in enumerate([(2, 7), (7, 3), (34, 21)])),
        *(_vector(f"vector{i}", *rest) for i, rest in enumerate([(20, 30), (70, 40, 1), (9, 100)])),
        *(_sums(f"sums{i}", *rest) for i, rest in enumerate([(8, 3), (40, 3), (24, 5), (96, 3, 8)])),
        *(
            _relus(f"relus{i}", *rest)
            for i, rest in enumerate(
                [
                    ((10, 10, 1), 16),
                    ((8, 8, 3), 40),
                    ((9, 9, 2), 24, 100),
                    ((8, 8, 1), 16, 255, 127),
                    ((7, 7, 4), 88, 15),
                    ((12, 12, 1), 56, 200, 31),
                ]
            )
        ),
        *(
            Net(f"relus_bytes{i}", shape).conv(filters, states=127).step().conv(8).relu().logits(3)
            for i, (shape, filters) in enumerate([((9, 9, 1), 12), ((8, 8, 3), 33), ((5, 6, 4), 64)])
        ),
        *(
            Net(f"relus_vector{i}", (inputs,), IMAGE).dense(units, 127).step().dense(40).relu().logits(3)
            for i, (inputs, units) in enumerate([(30, 20), (200, 64)])
        ),
        *(
            _small(f"small{i}", *rest)
            for i, rest in enumerate(
                [
                    ((6, 6, 1), 2),
                    ((7, 7, 1), 6),
                    ((9, 9, 2), 5),
                    ((5, 8, 3), 9),
                    ((11, 11, 1), 12, 4, 3),
                    ((8, 8, 4), 7, 2, 1),
                    ((10, 6, 2), 4, 3, 2),
                    ((13, 13, 1), 8, 5, 1),
                ]
            )
        ),
        *(
            _summed(f"summed{i}", *rest)
            for i, rest in enumerate(
                [
                    ((12, 12, 1), 6, 12),
                    ((8, 8, 2), 20, 8),
                    ((9, 9, 3), 40, 3),
                    ((10, 10, 1), 5, 5),
                ]
            )
        ),
        *(
            _windows(f"windows{i}", *rest)
            for i, rest in enumerate(
                [
                    ((8, 8, 3), 6, 3, 2),
                    ((10, 10, 2), 12, 3, 1),
                    ((9, 7, 3), 40, 2, 1),
                    ((7, 7, 1), 3, 5, 1),
                ]
            )
        ),
        *(
            _reshaped(f"reshaped{i}", *rest)
            for i, rest in enumerate(
                [
                    (24, (4, 3, 2)),
                    (96, (4, 4, 6)),
                    (48, (2, 3, 8)),
                    (160, (4, 2, 20)),
                ]
            )
        ),
        *(
            _kept(f"kept{i}", *rest)
            for i, rest in enumerate(
                [((9, 9, 2), 32, 3), ((6, 7, 3), 40, 5), ((12, 8, 1), 16, 2), ((5, 5, 4), 96, 3)]
            )
        ),
        *(
            _tokens(f"tokens{i}", *rest)
            for i, rest in enumerate([(20, 200, 32), (50, 256, 7), (9, 30, 100), (100, 64, 64)])
        ),
        *(
            _many(f"many{i}", *rest)
            for i, rest in enumerate([((9, 7, 2), 6, 3), ((8, 8, 1), 24, 2), ((6, 6, 3), 9, 4)])
        ),
        *(
            _mlp(f"small_mlp{i}", *rest)
            for i, rest in enumerate(
                [
                    (8, 0.6, 12),
                    (20, 0.5, 30, 20),
                    (48, 0.4, 48),
                    (30, 0.8, 9, 9),
                ]
            )
        ),
        *(
            _mlp(f"many_mlp{i}", inputs, 0.5, units, order=order)
            for i, (inputs, units, order) in enumerate(
                [
                    (30, 9, 7),
                    (60, 40, 4),
                    (25, 20, 3),
                ]
            )
        ),
        Net("many_conv0", (9, 8, 2)).conv(9).step(0.6, 3).pool().conv(5, 2).step().logits(3),
        Net("many_conv1", (7, 7, 3)).conv(20).step(0.6, 4).conv(12, 2).step().logits(3),
        Net("many_conv2", (8, 8, 16), TRITS, 0.5).conv(40).step(0.6, 3).pool().logits(3),
        Net("average", (8, 8, 2)).average(2).conv(12).step().average().add(g.Flatten()).add(g.Divide(16)),
        Net("average_wide", (8, 8, 2)).conv(40).step().average(3, 2).add(g.Flatten()).add(g.Divide(9)),
        Net("steps", (9, 9, 3), IMAGE).step().pool(2).step(0.7).conv(30).step().logits(40),
    ]
    return {net.name: net for net in made}


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
