"""What a second worker brings: images a second, bytes sent, and a computed look at larger clusters.

    python benchmarks/scaling.py [--quick] [--json]

Measured: 1 and 2 workers on this machine, each on one core and with one thread for the
arithmetic, the same batch for each worker (so 2 workers take twice the images a step). Rounds
are pairs, one of each back to back, so that a busy machine slows both; medians are printed.
Computed, not measured: the time of a step in a larger cluster, from a formula that is printed
with it. Loopback costs copies but no wire: do not read the measured columns as a network.
"""

import json
import math
import os
import pathlib
import statistics
import sys
import tempfile
import time

import click

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples"))

from distributed import launch

CASES = {"cnn 64": ("cnn", 64), "cnn 256": ("cnn", 256), "mlp 64": ("mlp", 64)}  # images a worker
WORKERS = (1, 2)
CLUSTERS = (2, 4, 8, 16)
LATENCY = 50e-6  # seconds a message between two machines: assumed
EFFICIENCY = 0.8  # of every worker, for the batch that pays


def build():
    """{name: a net compiled with DSTOptimizer}; call it within the scope."""
    import networks

    import keras_gxnor

    nets = {"cnn": networks.mnist("ternary", 0.5), "mlp": networks.mlp("ternary")}
    for net in nets.values():
        net.compile(keras_gxnor.DSTOptimizer(0.01, seed=1), "squared_hinge")
    return nets


def loopback_bytes():
    """Bytes sent over the loopback device so far by all programs; None if Linux does not say."""
    try:
        lines = pathlib.Path("/proc/net/dev").read_text().splitlines()
        return next(int(line.split(":")[1].split()[8]) for line in lines if line.strip().startswith("lo:"))
    except (OSError, StopIteration):
        return None


def dataset(size):
    """Random images and targets, one batch of all workers over and over."""
    import numpy as np
    import tensorflow as tf

    images = np.random.default_rng(0).normal(size=(size, 28, 28, 1)).astype(np.float32)
    targets = np.where(np.arange(10) == np.arange(size)[:, None] % 10, 1.0, -1.0).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((images, targets)).batch(size, drop_remainder=True).repeat()


def time_steps(steps, warmup, out):
    """One worker: times every case; worker 0 writes what it measured to `out`."""
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    if hasattr(os, "sched_setaffinity"):  # one core each
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[index % len(cores)]})
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)  # one may wait for the network
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    from keras_gxnor import distribute

    with distribute.scope(strategy):
        nets = build()
    replicas, report = strategy.num_replicas_in_sync, {}
    steps_of = {name: distribute.train_step(net) for name, net in nets.items()}
    for case, (name, images) in CASES.items():
        net, step = nets[name], steps_of[name]
        batch = next(iter(strategy.experimental_distribute_dataset(dataset(images * replicas))))
        for _ in range(warmup):
            float(step(batch)["loss"])
        sent, times, cpu = loopback_bytes(), [], time.process_time()
        for _ in range(steps):
            start = time.perf_counter()
            float(step(batch)["loss"])  # waits for the step
            times.append(time.perf_counter() - start)
        moving = [v for v in net.non_trainable_variables if v.name.startswith("moving_")]
        report[case] = {
            "seconds": statistics.median(times),
            "cpu": (time.process_time() - cpu) / steps,  # what a busy machine does not change much
            "weights": sum(math.prod(v.shape) for v in net.trainable_variables),
            "statistics": sum(math.prod(v.shape) for v in moving),
            "loopback": None if sent is None else (loopback_bytes() - sent) / steps,
        }
    if distribute.worker(strategy) == 0:
        pathlib.Path(out).write_text(json.dumps(report))


def measure(rounds, steps, warmup):
    """[{workers: {net: report}}], one a round."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            results.append({})
            # Every other round the other way round, against drift within a pair.
            for count in WORKERS if number % 2 == 0 else WORKERS[::-1]:
                out = pathlib.Path(folder) / f"{number}-{count}.json"
                arguments = ["--work", out, "--steps", steps, "--warmup", warmup]
                launch(count, arguments, __file__, {"CUDA_VISIBLE_DEVICES": "-1"})
                results[-1][count] = json.loads(out.read_text())
                click.echo(f"round {number + 1} of {rounds}, {count} worker(s): done", err=True)
    return results


def summarize(rounds):
    """{case: medians over the rounds}; the gain is the median of the paired ratios."""
    summary = {}
    for case, (_, batch) in CASES.items():
        one, two = ([r[n][case]["seconds"] for r in rounds] for n in WORKERS)
        gains = [2 * a / b for a, b in zip(one, two)]
        cpu = [1e3 * statistics.median(r[n][case]["cpu"] for r in rounds) for n in WORKERS]
        report = rounds[0][2][case]
        loopback = [r[2][case]["loopback"] for r in rounds]
        summary[case] = {
            "weights": report["weights"],
            "batch": batch,
            "milliseconds": [1e3 * statistics.median(one), 1e3 * statistics.median(two)],
            "images_per_second": [batch / statistics.median(one), 2 * batch / statistics.median(two)],
            "gain": statistics.median(gains),
            "gain_range": [min(gains), max(gains)],
            "cpu_ms": cpu,
            "engine_ms": max(0.0, cpu[1] - cpu[0]),
            "gradient_bytes": 4 * report["weights"],
            "statistics_bytes": 4 * report["statistics"],
            "loopback_bytes": None if None in loopback else statistics.median(loopback),
        }
    return summary


def network_seconds(bytes_reduced, workers, gigabits):
    """Time of a ring all-reduce: 2 (n - 1) messages of bytes / n each, one after the other."""
    messages = 2 * (workers - 1)
    return messages * (bytes_reduced / workers / (gigabits * 1e9 / 8) + LATENCY)


def estimates(summary):
    """The computed table: one row a case, size of a cluster and bandwidth."""
    rows = []
    for case, net in summary.items():
        reduced, compute = net["gradient_bytes"] + net["statistics_bytes"], net["cpu_ms"][0]
        for gigabits in (1, 10):
            for workers in CLUSTERS:
                share = 2 * (workers - 1) / workers  # 1 for the two workers of the measurement
                engine = net["engine_ms"] * share
                wire = 1e3 * network_seconds(reduced, workers, gigabits)
                rest = EFFICIENCY / (1 - EFFICIENCY) * (engine + wire)
                rows.append(
                    {
                        "case": case, "gigabits": gigabits, "workers": workers,
                        "sent_bytes": share * reduced, "compute_ms": compute, "engine_ms": engine,
                        "wire_ms": wire, "speedup": workers * compute / (compute + engine + wire),
                        "paying_batch": math.ceil(rest / (compute / net["batch"])),
                    }
                )
    return rows


FORMULA = f"""
COMPUTED, NOT MEASURED: n workers, one core and the same batch for each, nothing overlapped
  sent    = 2 (n-1)/n x bytes all-reduced, a worker and step (ring)
  wire    = sent / bandwidth + 2 (n-1) x {1e6 * LATENCY:.0f} us (latency of a message: assumed)
  compute = CPU ms of a step alone, measured above
  engine  = (CPU ms of a step with 2 workers - alone, measured above) x 2 (n-1)/n: TensorFlow's work
  speedup = n x compute / (compute + engine + wire)
  paying  = images a worker and step at which each works at {100 * EFFICIENCY:.0f} % of its speed alone
int8 kernels save nothing here: the gradients are float32, 4 bytes a weight."""


def show(summary, rows, rounds):
    """Prints both tables."""
    click.echo("MEASURED on this machine: one core a worker, the same batch for each worker; medians over")
    click.echo(f"{rounds} pair(s); gain = images/s with 2 workers over 1, median of the pairs")
    click.echo("                         ms a step     CPU ms a step        images/s")
    click.echo("net, batch   weights  1 w.    2 w.     1 w.    2 w.     1 w.    2 w.  gain (min-max)")
    for case, net in summary.items():
        (one, two), (low, high) = net["milliseconds"], net["gain_range"]
        alone, both = net["images_per_second"]
        click.echo(
            f"{case:10}{net['weights']:>10,} {one:>6.1f} {two:>7.1f} {net['cpu_ms'][0]:>8.1f} "
            f"{net['cpu_ms'][1]:>7.1f} {alone:>8,.0f} {both:>7,.0f}  {net['gain']:.2f} ({low:.2f}-{high:.2f})"
        )
    click.echo("\nbytes all-reduced a step (float32 gradients + statistics of batch normalization)")
    for case, net in summary.items():
        seen = net["loopback_bytes"]
        seen = "" if seen is None else f"; measured on loopback, both workers: {seen:,.0f}"
        click.echo(f"{case:10}{net['gradient_bytes']:>10,} + {net['statistics_bytes']:,}{seen}")
    click.echo(FORMULA)
    click.echo("net, batch  Gbit/s   n        sent  compute  engine    wire ms  speedup  paying")
    for row in rows:
        click.echo(
            f"{row['case']:10} {row['gigabits']:>7} {row['workers']:>3} {row['sent_bytes']:>11,.0f} "
            f"{row['compute_ms']:>8.2f} {row['engine_ms']:>7.2f} {row['wire_ms']:>10.2f} "
            f"{row['speedup']:>8.2f} {row['paying_batch']:>7,}"
        )


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="One pair of rounds and few steps: shows that it runs.")
@click.option("--rounds", default=5, type=click.IntRange(1), show_default=True)
@click.option("--steps", default=60, type=click.IntRange(1), show_default=True)
@click.option("--warmup", default=10, type=click.IntRange(1), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--work", default=None, hidden=True)
def main(quick, rounds, steps, warmup, as_json, work):
    if work:
        time_steps(steps, warmup, work)
        return
    if quick:
        rounds, steps, warmup = 1, 15, 5
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        busy = f"this machine is busy (load {os.getloadavg()[0]:.1f}): do not trust ms and gain"
        click.echo(busy, err=True)
    pairs = measure(rounds, steps, warmup)
    summary = summarize(pairs)
    rows = estimates(summary)
    if as_json:
        print(json.dumps({"rounds": pairs, "summary": summary, "computed": rows}))
    else:
        show(summary, rows, rounds)


if __name__ == "__main__":
    main()
