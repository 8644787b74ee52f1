import numpy as np
import pytest

from keras_gxnor.converters import memory
from keras_gxnor.converters.memory import Stage
from keras_gxnor.packing import from_bit_planes


def random_stages(rng):
    size, stages = int(rng.integers(1, 50)), []
    first = size
    for _ in range(rng.integers(1, 9)):
        overwrites = str(rng.choice(["never", "never", "may", "must"]))
        output = int(rng.integers(0, (size if overwrites != "never" else 60) + 1))
        temporary = int(rng.integers(0, 20)) if overwrites == "never" else 0
        stages.append(Stage(output, temporary, overwrites))
        size = output
    return first, stages


def overlap(a, b):
    return max(a[0], b[0]) < min(a[0] + a[1], b[0] + b[1])


@pytest.mark.parametrize("seed", range(200))
def test_no_two_live_buffers_overlap(seed):
    first, stages = random_stages(np.random.default_rng(seed))
    plan = memory.plan(first, stages)
    read = (plan.input, first)
    for stage, start, room in zip(stages, plan.outputs, plan.temporaries):
        output, temporary = (start, stage.output), (room, stage.temporary)
        for place in (read, output, temporary):
            assert place[0] >= 0
            assert place[0] + place[1] <= plan.words or place[1] == 0
        if not (stage.overwrites != "never" and start == read[0]):
            assert stage.overwrites != "must"
            assert not overlap(read, output)
        assert not overlap(read, temporary) and not overlap(output, temporary)
        read = output


@pytest.mark.parametrize("seed", range(50))
def test_the_plan_is_no_larger_than_the_greediest_call(seed):
    first, stages = random_stages(np.random.default_rng(seed))
    stages = [Stage(s.output, s.temporary) for s in stages]
    sizes = [first, *(s.output for s in stages)]
    greediest = max(a + s.temporary + b for a, s, b in zip(sizes, stages, sizes[1:]))
    assert memory.plan(first, stages).words == greediest


def test_pooling_in_place_saves_its_output():
    conv, pool = Stage(1000), Stage(250, overwrites="may")
    assert memory.plan(200, [conv, pool, Stage(300)]).words == 1200


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 100])
def test_dense_rows_meet_their_activations(channels):
    rng = np.random.default_rng(channels)
    x = rng.integers(-1, 2, (3, 2, channels)).astype(np.int8)
    kernel = rng.integers(-1, 2, (x.size, 5)).astype(np.int8)
    rows = memory.dense_rows(kernel, channels)
    assert rows.shape == (5, memory.pairs(x).size)
    for row, column in zip(rows, kernel.T):
        words = row.reshape(3, 2, -1)
        trits = from_bit_planes(words[..., ::2], words[..., 1::2], channels)
        assert (trits.reshape(-1) == column).all()


@pytest.mark.parametrize(
    ("channels", "groups"), [(8, 2), (64, 2), (64, 4), (96, 4), (40, 40), (100, 5), (66, 2)]
)
def test_conv_rows_hold_each_group_in_its_words(channels, groups):
    rng = np.random.default_rng(channels)
    size, span, total = channels // groups, memory.group_span(channels, groups), -(-channels // 32)
    kernel = rng.integers(-1, 2, (2, 3, size, 2 * groups)).astype(np.int8)
    rows = memory.conv_rows(kernel, groups).reshape(2 * groups, 2, 3, span, 2)
    for o in range(2 * groups):
        first = min(o // 2 * size // 32, total - span)
        trits = from_bit_planes(rows[o, ..., 0], rows[o, ..., 1], 32 * span)
        wide = np.zeros((2, 3, 32 * total), np.int8)
        wide[..., 32 * first : 32 * (first + span)] = trits
        expected = np.zeros_like(wide)
        expected[..., o // 2 * size : (o // 2 + 1) * size] = kernel[..., o]
        assert (wide == expected).all()
