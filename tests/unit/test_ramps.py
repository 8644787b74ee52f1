"""ReLUs in steps in C: every threshold of every channel, from both sides, and lines that are none."""

import dataclasses

import numpy as np
import pytest

from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import c_bytes, c_emitters, c_source, host, ramps, relus
from keras_gxnor.errors import UnsupportedGraphError
from tests.conformance.chain import Chain
from tests.conformance.mixed import MIXED
from tests.conformance.samples import ALL, inputs, same

BYTES = g.InputSpec("uint8", 1 / 256, 0)
CHANNELS = 33


def every_sum(name, weight, count, image):
    """A kernel whose sums are b0 + weight * (b1 + ... + b_count), and CHANNELS of them in turns negated."""
    chain = Chain(name, (1, 1, count + 1) if image else (count + 1,), BYTES)
    column = np.array([1] + [weight] * count)
    kernel = (column[:, None] * np.where(np.arange(CHANNELS) % 3, 1, -1)).astype(np.int8)
    return chain.add(g.Conv2D(kernel.reshape(1, 1, count + 1, -1)) if image else g.Dense(kernel))


def bytes_of(sums, weight, count):
    """uint8 (sums, count + 1) with these sums, as far as there are such."""
    rest = np.clip(sums, 0, weight * 255 * count + 255)
    high = np.minimum(rest // weight, 255 * count)
    filled = np.clip(high[:, None] - 255 * np.arange(count), 0, 255)
    return np.concatenate([(rest - weight * high)[:, None], filled], axis=1).astype(np.uint8)


# weight, count, levels, stages
CASES = [(1, 1, 255, 1), (127, 8, 255, 2), (127, 60, 255, 3), (63, 4, 100, 1)]


def network(weight, count, levels, stages, image):
    """(graph, inputs that reach all thresholds of all channels, and their neighbors on both sides)."""
    chain = every_sum(f"every_{weight}_{count}_{levels}_{image}", weight, count, image)
    graph = chain.relu(levels, stages, extreme=stages == 1).graph()
    turned = relus.canonical(graph)
    kernel, floats = relus.kernel_of(turned, len(turned.nodes) - 1)
    kind = turned.check()[kernel]
    steps = relus.steps(floats, turned.nodes[-1].op, kind.low, kind.high)
    sums = np.unique(np.abs(steps[..., None] + [-1, 0, 1]))
    return graph, bytes_of(sums, weight, count).reshape(-1, *graph.input.shape)


@pytest.mark.parametrize("way", ["bytes", "counted"])
def test_every_threshold_is_reached_and_its_neighbors_are_not(monkeypatch, way):
    if way == "counted":
        only_counted(monkeypatch)
    networks = [network(*case, image) for case in CASES for image in (False, True)]
    artifacts = [c_source.emit(graph, graph.name) for graph, _ in networks]
    library = host.Library(artifacts, flags=("-O1",))
    for artifact, (graph, x) in zip(artifacts, networks):
        codes, levels = reference.run(graph, x), graph.nodes[-1].op.levels
        assert len(np.unique(codes)) > 0.9 * levels and codes.max() == levels
        assert same(library.run(artifact, x), graph, x), graph.name


def only_counted(monkeypatch):
    """Nothing is computed on bytes."""
    monkeypatch.setattr(c_bytes, "kernel", lambda *_: None)


def the_ramp(graph):
    (call,) = [c for c in c_emitters.program(relus.canonical(graph)).calls if "ReLU" in c.note]
    return call


@pytest.mark.parametrize("way", ["bytes", "counted"])
def test_exceptions_are_made_and_reached(monkeypatch, way):
    """Many sums a code: float32 rounds some thresholds away from every line."""
    if way == "counted":
        only_counted(monkeypatch)
    graph = every_sum("far", 127, 60, False).relu(stages=3).graph()
    call = the_ramp(graph)
    kernel, suffix = {"bytes": ("bytes_quantize", "levels"), "counted": ("dense_ramp", "ramp")}[way]
    members = next(t.values for t in call.tables if t.suffix == suffix).strip("{}").split(", ")
    assert call.kernel == f"gxnor_{kernel}" and int(members[-1]) > 20


def test_what_is_no_line_is_compared_with_its_thresholds():
    """Floats far from 0 keep few bits of the sums."""
    graph = every_sum("no_line", 127, 8, True).relu(stages=2, extreme=True).graph()
    assert the_ramp(graph).kernel == "gxnor_bytes_steps"


def test_random_lines_equal_their_thresholds():
    """The fit against all sums, by its own arithmetic: floor((S * 2^fraction - offset) / slope)."""
    rng = np.random.default_rng(0)
    for levels in (1, 2, 15, 100, 255):
        low, high = -rng.integers(0, 3000, 20), rng.integers(1, 3000, 20)
        slopes, starts = rng.uniform(0.01, 30, 20), rng.uniform(-3000, 3000, 20)
        least, most = low - (high - low), high + (high - low)
        exact = np.ceil(starts[:, None] + slopes[:, None] * np.arange(1, levels + 1)).astype(np.int64)
        steps = np.clip(exact, least[:, None], most[:, None] + 1)
        ramp = ramps.fit(steps, low, high, (least, most), bits=13)
        excepted = {(e // 256, e % 256) for e in ramp.exceptions.tolist()}
        for channel in range(20):
            sums = np.arange(low[channel], high[channel] + 1)
            wanted = (sums[:, None] >= steps[channel]).sum(1)
            rest = (sums << ramp.fraction) - ramp.offset[channel]
            slope = ramp.slope[channel]
            found = rest // slope if slope else np.where(rest >= 0, levels, -1)
            found = np.clip(found, 0, levels)
            late = (rest - found * slope < 1 << ramp.fraction) & (found > 0)
            late &= np.array([(channel, code) in excepted for code in found.tolist()])
            np.testing.assert_array_equal(found - late, wanted)


def test_a_wrong_threshold_is_no_line():
    steps = np.arange(0, 2550, 10)[None].repeat(2, 0)
    low, high = np.array([-3000, -3000]), np.array([3000, 3000])
    limits = (2 * low, 2 * high)
    good = ramps.fit(steps, low, high, limits, 13)
    assert good.fraction == 0 and good.slope.tolist() == [10, 10] and not good.exceptions.size
    one_up = steps.copy()
    one_up[1, 100] += 1
    assert ramps.fit(one_up, low, high, limits, 13).exceptions.tolist() == [256 + 101]
    two_up = steps.copy()
    two_up[1, 100] += 4
    assert ramps.fit(two_up, low, high, limits, 13) is None


@pytest.mark.parametrize("name", MIXED)
def test_canonical_keeps_every_value(name):
    """And leaves before each Quantize a rising kernel of its own."""
    graph = MIXED[name]()
    turned, x = relus.canonical(graph), inputs(graph, 3)
    assert same(tuple(host.parts(reference.run(turned, x))), graph, x)
    quantized = [i for i, node in enumerate(turned.nodes) if isinstance(node.op, g.Quantize)]
    found = [relus.kernel_of(turned, index)[0] for index in quantized]
    assert found and len(set(found)) == len(found)
    assert all(isinstance(turned.nodes[i].op, (g.Dense, g.Conv2D)) for i in found)


def test_pools_come_after_the_codes_and_sums_need_no_room():
    """Codes of uint8 lie in 9 planes; sums of an image would take 32."""
    made = c_source.emit(MIXED["mixed_max_before"](), "pooled")
    text = made.main.decode()
    assert "gxnor_maxpool_codes(" in text and "gxnor_maxpool_sums(" not in text


def test_what_has_no_kernel_is_refused():
    chain = Chain("flat", (4, 4, 1), BYTES).conv(3).flatten().relu(falling=0).dense(2).logits()
    with pytest.raises(UnsupportedGraphError, match=r"`quantize_4` must follow .* Flatten `flatten_2`"):
        c_source.emit(chain.graph(), "flat")


def test_nan_is_refused():
    chain = Chain("nan", (4,), BYTES).dense(2)
    huge, zero = np.full(2, 3e38, np.float32), np.zeros(2, np.float32)
    chain.add(g.Affine(huge, huge)).add(g.Affine(zero, zero)).add(g.Quantize(1.0))
    with pytest.raises(UnsupportedGraphError, match="become NaN"):
        c_source.emit(chain.graph(), "nan")


def test_self_test_sees_a_damaged_line():
    artifact = c_source.emit(ALL["mixed_cnn_100"](), "damaged")
    assert host.selftest(artifact) == 0
    text = artifact.main.decode()
    start = text.index("_lines[")
    place = text.index("0x", start) + 9
    other = "1" if text[place] != "1" else "2"
    files = {"damaged.h": (text[:place] + other + text[place + 1 :]).encode()}
    assert host.selftest(dataclasses.replace(artifact, files=files)) != 0
