import math

import numpy as np
import pytest

from keras_gxnor import spaces
from keras_gxnor.errors import InvalidArgumentError
from keras_gxnor.spaces import DiscreteSpace, IntegerSpace


@pytest.mark.parametrize("order", range(8))
@pytest.mark.parametrize("half_range", [1.0, 0.5, 3.0])
def test_levels_are_the_paper_s_formula(order, half_range):
    space = DiscreteSpace(order, half_range)
    if order == 0:
        expected = [-half_range, half_range]
    else:
        expected = [half_range * (n / 2 ** (order - 1) - 1) for n in range(2**order + 1)]
    assert space.values().tolist() == expected
    assert space.num_states == len(expected)
    assert space.step == expected[1] - expected[0]
    assert space.codes().dtype == np.int8


def test_names_round_trip():
    for name in spaces.names():
        space = spaces.get(name)
        assert spaces.get(spaces.serialize(space)) == space
    odd = DiscreteSpace(3, 0.25)
    assert spaces.get(spaces.serialize(odd)) == odd
    assert spaces.get("ternary").order == 1 and spaces.get("binary").order == 0


@pytest.mark.parametrize(
    "bad", ["tern", 3, None, {"order": 1, "x": 2}, {"order": 8}, {"order": 1, "half_range": -1}]
)
def test_unknown_spaces_are_refused(bad):
    with pytest.raises(InvalidArgumentError):
        spaces.get(bad)


@pytest.mark.parametrize("half_range", [0, -1, math.nan, math.inf])
def test_bad_half_ranges_are_refused(half_range):
    with pytest.raises(InvalidArgumentError, match="half_range"):
        DiscreteSpace(1, half_range)


def test_check_codes():
    ternary = DiscreteSpace(1)
    assert ternary.check_codes([[1.0, -1.0]], "x").dtype == np.int8
    for bad in ([0.5], [2], [math.nan], ["a"], [-128]):
        with pytest.raises(InvalidArgumentError, match="`x` must hold only codes"):
            ternary.check_codes(bad, "`x`")
    with pytest.raises(InvalidArgumentError):
        DiscreteSpace(0).check_codes([0], "x")


def test_graded_states_read_as_ternary():
    space = spaces.GradedSpace()
    states = space.codes()
    assert states.dtype == np.int8 and (states.min(), states.max(), len(states)) == (-127, 127, 255)
    by_hand = [1 if h > 42 else -1 if h < -42 else 0 for h in states.tolist()]
    assert space.read(states).tolist() == by_hand and space.read(states).dtype == np.int8
    assert space.readout == spaces.DiscreteSpace(1)
    assert spaces.DiscreteSpace(3).readout == spaces.DiscreteSpace(3)


@pytest.mark.parametrize("threshold", [0, 42, 126])
def test_graded_round_trip(threshold):
    space = spaces.GradedSpace(threshold)
    assert spaces.get(spaces.serialize(space)) == space
    assert (space.read([threshold, threshold + 1, -threshold - 1]) == [0, 1, -1]).all()


@pytest.mark.parametrize("bad", [-1, 127, 3.5, True, None, "42"])
def test_graded_thresholds_are_checked(bad):
    with pytest.raises(InvalidArgumentError, match="threshold"):
        spaces.GradedSpace(bad)


@pytest.mark.parametrize("bits", range(3, 9))
@pytest.mark.parametrize("half_range", [1.0, 0.25, 3.0])
def test_integers_are_symmetric_fractions_of_the_half_range(bits, half_range):
    space, top = IntegerSpace(bits, half_range), 2 ** (bits - 1)
    assert space.values().tolist() == [half_range * k / top for k in range(1 - top, top)]
    assert space.codes().dtype == np.int8 and space.num_states == 2 * top - 1 == 2 * space.max_code + 1
    assert space.readout == space and space.step == space.scale == half_range / top
    assert spaces.get(spaces.serialize(space)) == space


def test_integer_names():
    assert spaces.get("int8") == IntegerSpace() and spaces.serialize(IntegerSpace(4)) == "int4"
    assert spaces.serialize(IntegerSpace(8, 0.5)) == {"bits": 8, "half_range": 0.5}
    assert not IntegerSpace().contains([-128]) and IntegerSpace().contains([-127, 127])


@pytest.mark.parametrize("bad", ["int2", "int9", {"bits": 2}, {"bits": True}, {"bits": 8, "half_range": 0}])
def test_other_integers_are_refused(bad):
    with pytest.raises(InvalidArgumentError):
        spaces.get(bad)
