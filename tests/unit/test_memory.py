import numpy as np
import pytest

from keras_gxnor.converters import memory
from keras_gxnor.converters.memory import Buffer


def chain(rng, merged=False):
    """Buffers of a chain of layers: input, output and perhaps a temporary of each."""
    buffers, calls = [Buffer(int(rng.integers(1, 50)), -1, 0)], int(rng.integers(1, 9))
    for call in range(calls):
        if rng.random() < 0.5:
            buffers.append(Buffer(int(rng.integers(1, 20)), call, call))
        buffers.append(Buffer(int(rng.integers(1, 60)), call, min(call + 1, calls - 1)))
    return buffers


def graph(rng):
    """Buffers that live for any time."""
    calls = int(rng.integers(1, 12))
    ends = [sorted(rng.integers(-1, calls, 2)) for _ in range(int(rng.integers(1, 25)))]
    return [Buffer(int(rng.integers(1, 60)), int(first), int(last)) for first, last in ends]


def overlaps(buffers, plan):
    """Pairs of buffers that lie over each other while both are in use."""
    spans = [range(offset, offset + b.size) for offset, b in zip(plan.offsets, buffers)]
    return [
        (i, j)
        for i in range(len(buffers))
        for j in range(i)
        if buffers[i].meets(buffers[j]) and set(spans[i]) & set(spans[j])
    ]


@pytest.mark.parametrize("make", [chain, graph])
@pytest.mark.parametrize("seed", range(150))
def test_no_two_live_buffers_overlap(make, seed):
    buffers = make(np.random.default_rng(seed))
    plan = memory.plan(buffers)
    assert not overlaps(buffers, plan)
    assert min(plan.offsets) >= 0
    assert max(o + b.size for o, b in zip(plan.offsets, buffers)) <= plan.words


def test_an_overlap_would_be_seen():
    buffers = [Buffer(4, 0, 2), Buffer(4, 2, 2), Buffer(4, 3, 3)]
    assert overlaps(buffers, memory.Plan(8, (0, 3, 0))) == [(1, 0)]
    assert not overlaps(buffers, memory.Plan(8, (0, 4, 0)))


@pytest.mark.parametrize("seed", range(150))
def test_a_chain_takes_no_more_than_its_greediest_call(seed):
    buffers = chain(np.random.default_rng(seed))
    assert memory.plan(buffers).words == memory.least(buffers)


def test_graphs_take_little_more_than_what_is_in_use_at_once():
    wasted = []
    for seed in range(60):
        buffers = graph(np.random.default_rng(seed))
        wasted.append(memory.plan(buffers).words / memory.least(buffers))
    assert np.mean(wasted) < 1.02 and max(wasted) < 1.25


def test_the_same_buffers_get_the_same_places():
    buffers = graph(np.random.default_rng(3))
    assert memory.plan(buffers) == memory.plan(list(buffers))
