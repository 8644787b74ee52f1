"""Timing in pairs: one call of every candidate a round, so that a noisy machine hits all alike."""

import random
import statistics
import time

WARM_UP = 3  # rounds that compile and are not counted


def paired_times(steps: dict, rounds: int) -> dict:
    """{name: [seconds, one a round]} of calling each of `steps`, every round in a new order."""
    times = {name: [] for name in steps}
    for turn in range(rounds + WARM_UP):
        for name in random.sample(list(steps), len(steps)):
            start = time.perf_counter()
            steps[name]()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: list, base: list) -> float:
    """Median over the rounds of time / time of the base in the same round."""
    return statistics.median(a / b for a, b in zip(times, base))


def milliseconds(times: dict) -> dict:
    """{name: median in ms}."""
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}
