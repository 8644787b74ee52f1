"""Tables and plots of benchmarks/paper.py, from its reports alone.

The plots are made for gray print: lines differ in dash and marker, not only in shade.
"""

import collections
import io
import math
import pathlib

from rich import box
from rich.console import Console
from rich.table import Table

UNIFORM = 5 / 9  # share of resting products if all trits are independent and equally likely
PAPER_M = 3.0  # the nonlinear factor at which both series of the study m meet
SOLID = {"color": "black", "marker": "o", "linestyle": "-"}
DASHED = {"color": "0.45", "marker": "s", "linestyle": "--"}
DOTTED = {"color": "0.6", "marker": "^", "linestyle": ":"}
STYLES = (SOLID, DASHED, DOTTED)
ACCURACY = "test accuracy, last epoch (%)"


def spread(runs, what):
    """(mean, lowest, highest) of the number `what` over runs."""
    values = [run[what] for run in runs]
    return sum(values) / len(values), min(values), max(values)


def chosen(runs, **values):
    """The runs that have these values."""
    return [run for run in runs if all(run[name] == value for name, value in values.items())]


def distinct(runs, name):
    """The values of a field, each once, in the order of the runs."""
    return list(dict.fromkeys(run[name] for run in runs))


def describe(report):
    """The settings of a report in one line."""
    settings, seeds = report["settings"], len(report["seeds"])
    several = f"mean of {seeds} seeds (lowest-highest)" if seeds > 1 else "1 seed"
    return (
        f"{settings['data']}, {settings['images']:,} training images, {settings['epochs']} epochs, "
        f"width {settings['width']:g}, rule {settings['rule']}; {several}"
    )


def tables(report):
    """The tables of a report as text, which is Markdown too."""
    console = Console(width=200, file=io.StringIO())
    for table in STUDIES[report["study"]][0](report):
        console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _percent(runs, what, digits=2):
    """Mean of a share over runs in percent, and (lowest-highest) where there are several."""
    mean, low, high = (100 * value for value in spread(runs, what))
    around = f" ({low:.{digits}f}-{high:.{digits}f})" if len(runs) > 1 else ""
    return f"{mean:.{digits}f}{around}"


def _zeros(runs, index):
    """Runs as {"zeros": share of zeros of activation layer `index`}."""
    return [{"zeros": run["zeros"][index]} for run in runs]


def _m_table(report):
    table = Table("m", "rate", "accuracy %", "weights changed by an update %", box=box.MARKDOWN)
    for m, rate in dict.fromkeys((run["m"], run["rate"]) for run in report["runs"]):
        runs = chosen(report["runs"], m=m, rate=rate)
        name = "unbiased" if m is None else f"{m:g}"
        table.add_row(name, f"{rate:g}", _percent(runs, "accuracy"), _percent(runs, "transition_rate"))
    return [table]


def _a_table(report):
    shapes = distinct(report["runs"], "pulse")
    table = Table("a", *(f"{shape}, accuracy %" for shape in shapes), box=box.MARKDOWN)
    for a in distinct(report["runs"], "half_width"):
        found = [chosen(report["runs"], pulse=shape, half_width=a) for shape in shapes]
        table.add_row(f"{a:g}", *(_percent(runs, "accuracy") for runs in found))
    return [table]


def _r_table(report):
    layers = range(len(report["runs"][0]["zeros"]))
    heads = [f"zeros, activation {index + 1} %" for index in layers]
    table = Table("r", "accuracy %", *heads, box=box.MARKDOWN)
    for r in distinct(report["runs"], "window"):
        runs = chosen(report["runs"], window=r)
        zeros = [_percent(_zeros(runs, index), "zeros", 1) for index in layers]
        table.add_row(f"{r:g}", _percent(runs, "accuracy"), *zeros)
    return [table]


def _spaces_table(report):
    runs = report["runs"]
    orders = distinct(runs, "n2")
    table = Table("accuracy %", *(f"N2 = {n2}" for n2 in orders), box=box.MARKDOWN)
    for n1 in distinct(runs, "n1"):
        cells = [_percent(chosen(runs, n1=n1, n2=n2), "accuracy") for n2 in orders]
        table.add_row(f"N1 = {n1}", *cells)
    return [table]


def _operations_tables(report):
    """What rests, measured; then the operation types of the paper as formulae for one neuron."""
    heads = ["layer", "operation", "products", "0 weights %", "0 inputs %", "resting %"]
    heads += ["if independent %", "left", "bitcounts", "silent %"]
    table = Table(*heads, box=box.MARKDOWN)
    per_image = 1 / (report["settings"]["test_images"] * len(report["runs"]))
    whole = collections.Counter()
    for parts in zip(*(run["layers"] for run in report["runs"])):
        count = collections.Counter()
        for part in parts:
            count.update({name: part[name] for name in ("products", "resting", "outputs", "silent")})
        zeros = [spread(parts, name)[0] for name in ("zero_weights", "zero_inputs")]
        trits = parts[0]["discrete_input"]
        whole += count if trits else collections.Counter()
        cells = _operation_cells(count, zeros, per_image, trits)
        table.add_row(parts[0]["name"], "XNOR" if trits else "add", *cells)
    table.add_row("all XNOR layers", "XNOR", *_operation_cells(whole, None, per_image, True))
    uniform = [f"{100 / 3:.1f}"] * 2 + [f"{100 * UNIFORM:.1f}"] * 2
    table.add_row("uniform independent trits", "XNOR", "", *uniform)
    return [table, _types_table()]


def _operation_cells(count, zeros, per_image, trits):
    if zeros is None:
        independent = ["", "", ""]
    else:
        both = 1 - (1 - zeros[0]) * (1 - zeros[1])
        independent = [f"{100 * share:.1f}" for share in (*zeros, both)]
    resting = f"{100 * count['resting'] / count['products']:.1f}"
    left = f"{(count['products'] - count['resting']) * per_image:,.0f}"
    silent = f"{100 * count['silent'] / count['outputs']:.2f}"
    bits = [f"{count['outputs'] * per_image:,.0f}", silent] if trits else ["", ""]
    products = f"{count['products'] * per_image:,.0f}"
    return [products, *independent[:2], resting, independent[2], left, *bits]


def _types_table():
    table = Table("for M inputs", "multiply", "add", "XNOR", "bitcount", "resting", box=box.MARKDOWN)
    resting = f"1-(1-p)(1-q); {100 * UNIFORM:.1f} % if p = q = 1/3"
    table.add_row("float weights, float inputs", "M", "M", "0", "0", "0")
    table.add_row("binary weights, float inputs", "0", "M", "0", "0", "0")
    table.add_row("ternary weights, float inputs", "0", "(1-p) M", "0", "0", "p; 33.3 % if p = 1/3")
    table.add_row("binary weights, binary inputs", "0", "0", "M", "1", "0")
    table.add_row("ternary weights, ternary inputs", "0", "0", "(1-p)(1-q) M", "0 or 1", resting)
    return table


def draw(report, path):
    """Draws the plot of a report (see paper.py) into the PNG file `path`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(layout="constrained")
    STUDIES[report["study"]][1](figure, report)
    figure.suptitle(describe(report).replace("; ", "\n"), fontsize=8, color="0.3")
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def _line(axes, points, label, style):
    """Draws [(x, runs, what)] in percent with bars from lowest to highest."""
    seen = [(x, *(100 * v for v in spread(runs, what))) for x, runs, what in points]
    xs, means, lows, highs = zip(*seen)
    bars = [[m - low for m, low in zip(means, lows)], [high - m for m, high in zip(means, highs)]]
    axes.errorbar(xs, means, bars, label=label, capsize=3, markersize=5, linewidth=1.2, **style)
    axes.grid(axis="y", color="0.9", linewidth=0.6)


def _series(runs, m, rate, fixed):
    """The runs with factor m at `rate`, or at the rate that keeps the product m x rate."""
    return [run for run in chosen(runs, m=m) if (run["rate"] == rate) == (fixed or m == PAPER_M)]


def _m(figure, report):
    figure.set_size_inches(7.2, 3.3)
    runs, rate = report["runs"], report["settings"]["rate"]
    factors = distinct(runs, "m")
    for axes, what, label in zip(
        figure.subplots(1, 2), ("accuracy", "transition_rate"), (ACCURACY, "weights changed by an update (%)")
    ):
        for fixed, style in ((True, SOLID), (False, DASHED)):
            found = [_series(runs, m, rate, fixed) for m in factors]
            text = f"rate {rate:g}" if fixed else f"rate {PAPER_M * rate:g} / m"
            aside = -0.04 if fixed else 0.04  # so that bars do not hide each other
            line = [(i + aside, group, what) for i, group in enumerate(found)]
            _line(axes, [place for place, m in zip(line, factors) if m is not None], text, style)
            _line(axes, [place for place, m in zip(line, factors) if m is None], None, style)
        axes.set_xticks(range(len(factors)), ["none" if m is None else f"{m:g}" for m in factors])
        axes.set_xlabel("nonlinear factor m (none: unbiased, slope 1)")
        axes.set_ylabel(label)
        axes.legend(frameon=False)


def _a(figure, report):
    figure.set_size_inches(4.6, 3.3)
    axes, runs = figure.subplots(), report["runs"]
    widths = distinct(runs, "half_width")
    for pulse, aside, style in (("rectangular", -0.04, SOLID), ("triangular", 0.04, DASHED)):
        found = [chosen(runs, pulse=pulse, half_width=a) for a in widths]
        line = [(i + aside, group, "accuracy") for i, group in enumerate(found)]
        _line(axes, line, pulse, style)
    axes.set_xticks(range(len(widths)), [f"{a:g}" for a in widths])
    axes.set_xlabel("half width a of the pulse (units of the activation's input)")
    axes.set_ylabel(ACCURACY)
    axes.legend(frameon=False)


def _r(figure, report):
    figure.set_size_inches(7.2, 3.3)
    left, right = figure.subplots(1, 2)
    runs = report["runs"]
    windows = sorted({run["window"] for run in runs})
    _line(left, [(r, chosen(runs, window=r), "accuracy") for r in windows], None, SOLID)
    left.set_ylabel(ACCURACY)
    for index, style in zip(range(len(runs[0]["zeros"])), STYLES):
        line = [(r, _zeros(chosen(runs, window=r), index), "zeros") for r in windows]
        _line(right, line, f"activation {index + 1}", style)
    normal = [r / 50 * max(windows) for r in range(51)]
    shares = [100 * math.erf(r / math.sqrt(2)) for r in normal]
    right.plot(normal, shares, color="0.75", linewidth=3, zorder=0, label="normal(0, 1) input")
    right.set_ylabel("zeros on test images (%)")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set_xlabel("zero window r (units of the activation's input)")


def _spaces(figure, report):
    figure.set_size_inches(4.8, 3.8)
    axes, runs = figure.subplots(), report["runs"]
    kernels, activations = distinct(runs, "n1"), distinct(runs, "n2")
    mean = lambda n1, n2: 100 * spread(chosen(runs, n1=n1, n2=n2), "accuracy")[0]
    cells = {(n1, n2): mean(n1, n2) for n1 in kernels for n2 in activations}
    grid = [[cells[n1, n2] for n2 in activations] for n1 in kernels]
    low, high = min(cells.values()), max(cells.values())
    darkest = high + 0.4 * (high - low) + 1e-9  # no cell is quite black
    image = axes.imshow(grid, cmap="Greys", aspect="auto", origin="lower", vmin=low, vmax=darkest)
    middle = (low + darkest) / 2
    for row, n1 in enumerate(kernels):
        for column, n2 in enumerate(activations):
            value = cells[n1, n2]
            color = "white" if value > middle else "black"
            weight = "bold" if value == high else "normal"
            text = f"{value:.2f}" + (" *" if value == high else "")
            axes.text(column, row, text, ha="center", va="center", color=color, weight=weight)
    names = lambda orders: [f"{n}\n({2 if n == 0 else 2**n + 1})" for n in orders]
    axes.set_xticks(range(len(activations)), names(activations))
    axes.set_yticks(range(len(kernels)), [name.replace("\n", " ") for name in names(kernels)])
    axes.set_xlabel("N2, activation space (states)")
    axes.set_ylabel("N1, kernel space (states)")
    bar = figure.colorbar(image, label=ACCURACY + ", * best")
    bar.ax.set_ylim(low, high + 1e-9)


def _operations(figure, report):
    figure.set_size_inches(6.4, 3.0)
    axes = figure.subplots()
    layers = list(zip(*(run["layers"] for run in report["runs"])))
    for row, parts in enumerate(layers):
        shares = [{"rest": part["resting"] / part["products"]} for part in parts]
        mean, low, high = (100 * v for v in spread(shares, "rest"))
        bars = [[mean - low], [high - mean]]
        fill = "0.6" if parts[0]["discrete_input"] else "0.88"
        axes.barh(row, mean, 0.62, xerr=bars, color=fill, edgecolor="black", linewidth=0.6, capsize=3)
        axes.text(1, row, f"{mean:.1f} %", va="center", ha="left")
        alone = [1 - (1 - part["zero_weights"]) * (1 - part["zero_inputs"]) for part in parts]
        label = "if zeros were independent" if row == 0 else None
        axes.plot(100 * sum(alone) / len(alone), row + 0.2, "D", color="black", fillstyle="none", label=label)
    axes.axvline(100 * UNIFORM, color="black", linestyle="--", linewidth=1, label="5/9, uniform trits")
    names = [f"{p[0]['name']}\n{'XNOR' if p[0]['discrete_input'] else '8-bit inputs: add'}" for p in layers]
    axes.set_yticks(range(len(layers)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("resting products on test images (%)")
    axes.legend(frameon=False, loc="center right")


STUDIES = {
    "m": (_m_table, _m),
    "a": (_a_table, _a),
    "r": (_r_table, _r),
    "spaces": (_spaces_table, _spaces),
    "operations": (_operations_tables, _operations),
}  # study: (its tables, its plot)
