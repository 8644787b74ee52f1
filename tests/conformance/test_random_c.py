"""Random networks in C on this computer: every kernel of the runtime is reached, every logit exact.

`pytest --networks 5000 tests/conformance/test_random_c.py` draws more of them.
"""

import collections

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from keras_gxnor.converters import c_emitters, relus
from tests.conformance import random_networks
from tests.conformance.random_networks import c_failures, programs, shrunk
from tests.conformance.samples import ALL

_BATCH = 50  # networks compiled at once
# Rarely drawn: a pool of trits, a depthwise step of five states, and so many groups that they are not
# counted in tiles; weights of three digits on the input's bytes; several 8-bit ReLUs, pools of them and
# int8 logits; depthwise kernels on them; sums of many groups.
_RARE = (
    ("conv", 3, 2, 0, 0, 3),
    ("max", 1, 0, 0, 0, 0),
    ("grouped", 0, 0, 2, 4, 3),
    ("many", 4, 1, 0, 0, 0),
)
_RELUS = tuple(("relu", filters, 5, 0, 2, 0) for filters in (10, 5, 8))
_POOLED = (("relu", 10, 5, 0, 2, 0), ("max", 1, 0, 0, 0, 0), ("relu", 10, 5, 0, 2, 0))
_SUMMED = (("relu", 10, 5, 0, 2, 0), ("sum", 1, 0, 0, 0, 0), ("relu", 11, 5, 0, 2, 0))
_DEPTHWISE = (("relu", 10, 5, 0, 2, 0), ("relu", 11, 5, 0, 2, 0), ("relu", 11, 5, 0, 10, 0))
RARE = [
    random_networks.Program(1, (7, 6, 3), 0, _RARE),
    random_networks.Program(2, (7, 6, 3), 2, (("digits", 4, 2, 3, 4, 5),)),
    random_networks.Program(3, (7, 6, 3), 0, _RELUS, end=6),
    random_networks.Program(4, (7, 6, 3), 0, _POOLED),
    random_networks.Program(6, (7, 6, 3), 0, _DEPTHWISE),
    random_networks.Program(7, (7, 6, 3), 0, _SUMMED),
    random_networks.Program(5, (5, 5, 3), 0, (("broad", 5, 0, 0, 0, 0),), end=4),
]


def drawn(count) -> list:
    """Programs, the same in every run."""
    found = list(RARE)

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(programs(only_c=True))
    def draw(program):
        found.append(program)

    draw()
    return found


def check(count):
    """Compares `count` networks; returns how often each kernel was called."""
    programs, called = drawn(count), collections.Counter()
    assert len(programs) >= count
    for start in range(0, count, _BATCH):
        weights = ("2bit", "1.67bit")[start // _BATCH % 2]
        failed, kernels = c_failures(programs[start : start + _BATCH], weights)
        called += kernels
        if failed:
            least = shrunk(failed[0], lambda program, form=weights: bool(c_failures([program], form)[0]))
            reproducer = f'python -m tests.conformance.random_networks "{least}" c {weights}'
            pytest.fail(f"{len(failed)} networks differ; see the first again with:\n{reproducer}")
    return called


# Made of an embedding, and of a separable layer: random networks have neither (samples do).
_NEVER = {"gxnor_lookup", "gxnor_depthwise_codes"}


def reached(called):
    """Kernels that samples use and `called` does not hold, but for those no random network can."""
    graphs = [relus.canonical(build()) for build in ALL.values()]
    used = {call.kernel for graph in graphs for call in c_emitters.program(graph).calls}
    return used - set(called) - _NEVER


def test_random_networks_are_exact_in_c(networks):
    assert reached(check(networks)) == set()


@pytest.mark.slow
def test_a_thousand_random_networks_are_exact_in_c():
    called = check(1000)
    assert reached(called) == set() and min(called.values()) >= 5, called


def test_a_wrong_kernel_is_found_and_its_reproducer_works(monkeypatch):
    """A threshold off by one in the first channel of each layer: found, shrunk, printed, seen again."""
    right = random_networks.c_source.emit

    def wrong(graph, name, **options):
        artifact = right(graph, name, **options)
        text = artifact.main.decode().replace("sums[o] >= ", "sums[o] > ").replace("high | low", "high & low")
        artifact.files[f"{name}.h"] = text.encode()
        return artifact

    monkeypatch.setattr(random_networks.c_source, "emit", wrong)
    with pytest.raises(pytest.fail.Exception, match="networks differ") as caught:
        check(_BATCH)
    text = str(caught.value).split('"')[1]
    program = eval(text, {"Program": random_networks.Program})
    assert len(program.steps) <= 2 and c_failures([program])[0] == [program]
    monkeypatch.undo()
    assert c_failures([program])[0] == []
