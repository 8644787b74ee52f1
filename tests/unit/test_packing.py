import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_gxnor import packing
from keras_gxnor.errors import InvalidArgumentError


def test_every_byte_of_the_codec():
    words = np.array(list(itertools.product([-1, 0, 1], repeat=5)), np.int8)[:, ::-1]
    packed = packing.pack_trits(words)
    assert packed.tolist() == list(range(243))
    for byte in range(256):
        data = np.array([byte], np.uint8)
        if byte < 243:
            assert np.array_equal(packing.unpack_trits(data, (5,)), words[byte])
        else:
            with pytest.raises(InvalidArgumentError, match=r"0\.\.242"):
                packing.unpack_trits(data, (5,))


def test_the_format_is_the_published_one():
    assert packing.pack_trits(np.zeros(5, np.int8)).tolist() == [121]
    assert packing.pack_trits([1, -1, 0, 1, -1]).tolist() == [2 + 0 + 9 + 54 + 0]


@pytest.mark.parametrize("count", range(101))
def test_round_trip_at_every_length(count):
    trits = np.random.default_rng(count).integers(-1, 2, count).astype(np.int8)
    packed = packing.pack_trits(trits)
    assert packed.shape == (-(-count // 5),)
    assert np.array_equal(packing.unpack_trits(packed, (count,)), trits)
    if count:
        planes = packing.bit_planes(trits)
        assert planes[0].shape == (packing.words_for(count),)
        assert not (planes[0] & planes[1]).any()
        assert np.array_equal(packing.from_bit_planes(*planes, count), trits)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_round_trip_at_every_shape(shape, seed):
    trits = np.random.default_rng(seed).integers(-1, 2, shape).astype(np.int8)
    assert np.array_equal(packing.unpack_trits(packing.pack_trits(trits), shape), trits)


def test_bits_are_in_the_stated_places():
    trits = np.zeros(70, np.int8)
    trits[[0, 33, 69]] = 1
    trits[64] = -1
    pos, neg = packing.bit_planes(trits)
    assert pos.tolist() == [1, 2, 32] and neg.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "data, shape",
    [
        (np.zeros(2, np.uint8), (5,)),
        (np.zeros(1, np.int8), (5,)),
        (np.array([0], np.uint8), (4,)),  # padding digit is -1
    ],
)
def test_corrupt_bytes_are_refused(data, shape):
    with pytest.raises(InvalidArgumentError):
        packing.unpack_trits(data, shape)


@pytest.mark.parametrize("pack", [packing.pack_trits, packing.bit_planes])
def test_other_values_are_refused(pack):
    with pytest.raises(InvalidArgumentError):
        pack([0, 2])


def test_gated_xnor_over_all_pairs_of_length_6():
    words = np.array(list(itertools.product([-1, 0, 1], repeat=6)), np.int8)
    pos, neg = (plane[:, 0] for plane in packing.bit_planes(words))
    nonzero, sign = pos | neg, neg
    gate = nonzero[:, None] & nonzero[None]
    differ = gate & (sign[:, None] ^ sign[None])
    count = lambda words: np.unpackbits(words[..., None].view(np.uint8), axis=-1).sum(-1).astype(int)
    assert np.array_equal(
        count(gate) - 2 * count(differ), words.astype(int) @ words.T.astype(int)
    )
    assert gate.size == 531_441
