"""Four trits a byte: NumPy and TensorFlow agree on every byte and length, and refuse the rest."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gxnor import DiscreteSpace, GXNORConv2D, GXNORDense, kernels, packing, spaces, storage
from keras_gxnor.errors import InvalidArgumentError


def _layer(**kwargs):
    layer = GXNORDense(3, use_bias=False, kernel_storage="packed", **kwargs)
    layer.build((None, 7))  # 21 weights: three places of the last byte are padding
    return layer


def _trits(count, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, count).astype(np.int8)


def test_every_byte():
    for byte in range(256):
        fields = [byte >> shift & 3 for shift in (0, 2, 4, 6)]
        data = np.array([byte], np.uint8)
        assert storage.unpack(tf.constant(data), (4,)).numpy().tolist() == [f - 1 for f in fields]
        if 3 in fields:
            with pytest.raises(InvalidArgumentError, match=rf"field\(s\) of 3.*byte 0, which is {byte}"):
                packing.unpack_fields(data, (4,))
        else:
            trits = packing.unpack_fields(data, (4,))
            assert trits.tolist() == [f - 1 for f in fields] and trits.dtype == np.int8
            assert packing.pack_fields(trits).tolist() == [byte]
            assert storage.pack(tf.constant(trits)).numpy().tolist() == [byte]


@pytest.mark.parametrize("xla", [False, True])
def test_every_length(xla):
    for count in range(101):
        trits = _trits(count, count)
        packed = packing.pack_fields(trits)
        assert packed.dtype == np.uint8 and packed.shape == (-(-count // 4),)
        assert np.array_equal(packing.unpack_fields(packed, (count,)), trits)
        if xla and count % 10 not in (0, 1, 2, 3):  # compiling takes its time
            continue
        pack, unpack = storage.pack, lambda data, count=count: storage.unpack(data, (count,))
        if xla:
            pack, unpack = tf.function(pack, jit_compile=True), tf.function(unpack, jit_compile=True)
        assert np.array_equal(pack(tf.constant(trits)), packed)
        assert np.array_equal(unpack(tf.constant(packed)), trits)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 1), (3, 3, 2, 5), (7, 1)])
def test_every_shape_is_in_c_order(shape):
    trits = _trits(shape)
    packed = packing.pack_fields(trits)
    assert np.array_equal(packed, packing.pack_fields(trits.reshape(-1)))
    assert np.array_equal(packing.unpack_fields(packed, shape), trits)
    assert np.array_equal(storage.pack(tf.constant(trits)), packed)
    assert np.array_equal(storage.unpack(tf.constant(packed), shape), trits)


def test_fields_are_in_the_stated_places():
    trits = np.zeros(9, np.int8)
    trits[6], trits[8] = 1, -1
    assert packing.pack_fields(trits).tolist() == [85, 85 + (1 << 4), 84]


@pytest.mark.parametrize(
    "data, shape",
    [
        (np.zeros(2, np.uint8), (4,)),
        (np.zeros(1, np.int8), (4,)),
        (np.zeros((1, 1), np.uint8), (4,)),
        (np.zeros(1, np.uint8), (3,)),  # padding of -1
        (np.array([85, 0b01010100 | 3], np.uint8), (8,)),
        (np.array([0b11010101], np.uint8), (3,)),  # a field of 3 in the padding
    ],
)
def test_corrupt_bytes_are_refused(data, shape):
    with pytest.raises(InvalidArgumentError, match="the kernel"):
        packing.unpack_fields(data, shape, "Fields of the kernel")


@pytest.mark.parametrize("bad", [2, -2, 0.5, float("nan")])
def test_other_values_are_refused(bad):
    with pytest.raises(InvalidArgumentError, match="only codes"):
        packing.pack_fields([0, bad])


def test_the_variable_speaks_codes_and_stores_bytes():
    kernel = _layer().kernel
    codes = _trits((7, 3))
    assert np.array_equal(kernel.assign(codes), codes)
    assert (tuple(kernel.shape), kernel.ndim, kernel.dtype) == ((7, 3), 2, "int8")
    assert kernel.numpy().dtype == np.int8 and np.array_equal(kernel.numpy(), codes)
    assert np.array_equal(np.asarray(kernel), codes)
    assert np.asarray(kernel, np.float64).dtype == np.float64
    assert np.array_equal(tf.convert_to_tensor(kernel), codes)
    assert np.array_equal(keras.ops.abs(kernel), np.abs(codes))
    for made, expected in (
        (kernel == 0, codes == 0), (kernel != 1, codes != 1), (kernel > 0, codes > 0), (-kernel, -codes),
        (kernel + kernel, 2 * codes), (1 - kernel, 1 - codes), (2 * kernel, 2 * codes), (kernel[1], codes[1]),
        (abs(kernel), abs(codes)),
    ):  # fmt: skip
        assert np.array_equal(made, expected)
    assert kernel.value.dtype == tf.uint8 and kernel.value.shape == (6,)
    assert np.array_equal(kernel.value, packing.pack_fields(codes))
    assert np.array_equal(kernel.decode(kernel.value), codes)
    assert np.array_equal(kernel.encode(tf.constant(codes)), kernel.value)


@pytest.mark.parametrize("space", ["ternary", "binary", DiscreteSpace(1, 0.3), DiscreteSpace(0, 2.0)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_reads_are_those_of_int8_storage(space, dtype):
    packed = _layer(kernel_space=space).kernel
    plain = GXNORDense(3, use_bias=False, kernel_space=space)
    plain.build((None, 7))
    plain.kernel.assign(packed.numpy())
    upstream = tf.cast(tf.random.stateless_normal((7, 3), (1, 2)), dtype)

    def read(kernel):
        with tf.GradientTape() as tape:
            values = kernels.read(kernel, dtype)
            loss = tf.reduce_sum(values * upstream)
        return values, tape.gradient(loss, kernel.value)

    for compiled in (
        lambda f: f(),
        lambda f: tf.function(f)(),
        lambda f: tf.function(f, jit_compile=True)(),
    ):
        mine, gradient = compiled(lambda: read(packed))
        theirs, other = compiled(lambda: read(plain.kernel))
        assert mine.dtype == dtype and gradient.dtype == tf.float32
        assert np.array_equal(mine, theirs) and np.array_equal(gradient, other)
        assert gradient.shape == (7, 3)


def test_two_reads_add_their_gradients():
    kernel = _layer().kernel
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(kernels.read(kernel)) + tf.reduce_sum(2 * kernels.read(kernel))
    assert (tape.gradient(loss, kernel.value).numpy() == 3).all()


@pytest.mark.parametrize("bad", [0.7, 2, -2, float("nan"), 300])
def test_assign_refuses_what_is_no_code(bad):
    kernel = _layer().kernel
    before = kernel.value.numpy()
    for value in (np.full((7, 3), bad), tf.fill((7, 3), float(bad))):
        with pytest.raises(InvalidArgumentError, match="only codes"):
            kernel.assign(value)
    for shape in ((21,), (3, 7), (6,), ()):
        with pytest.raises(InvalidArgumentError, match=r"codes of shape \(7, 3\)"):
            kernel.assign(np.ones(shape))
    with pytest.raises(InvalidArgumentError, match="binary"):
        _layer(kernel_space="binary").kernel.assign(np.zeros((7, 3)))
    assert np.array_equal(kernel.value, before)


def test_symbolic_assignment():
    kernel = _layer().kernel
    assign = tf.function(lambda value: kernel.assign(value))
    with pytest.raises(InvalidArgumentError, match="int8 codes"):
        assign(tf.ones((7, 3)))
    assign(tf.ones((7, 3), tf.int8))
    assert (kernel.numpy() == 1).all()


def test_bytes_that_came_past_keras_are_refused_when_codes_are_wanted():
    layer = _layer()
    for position in (0, 5):  # a field of 3, and padding
        layer.kernel.assign(np.zeros((7, 3)))
        data = layer.kernel.value.numpy()
        data[position] = 0b01010111 if position == 0 else 0
        layer.kernel.value.assign(data)
        for codes in (layer.kernel.numpy, layer.kernel_codes, layer.get_weights):
            with pytest.raises(InvalidArgumentError, match="/kernel"):
                codes()
        with pytest.raises(InvalidArgumentError):
            layer.save_own_variables({})


@pytest.mark.parametrize("space", ["graded", *(f"z{n}" for n in range(2, 8)), DiscreteSpace(3, 0.5)], ids=str)
def test_spaces_that_need_a_byte_are_refused(space):
    for make in (lambda **k: GXNORDense(2, **k), lambda **k: GXNORConv2D(2, 3, **k)):
        with pytest.raises(InvalidArgumentError, match=r'`mine`.*kernel_storage="int8"'):
            make(kernel_space=space, kernel_storage="packed", name="mine")
    assert spaces.get(space).num_states > 3


@pytest.mark.parametrize("storage_name", ["bits", None, 2, ["packed"], ""])
def test_unknown_storages_are_refused(storage_name):
    with pytest.raises(InvalidArgumentError, match=r"\['int8', 'packed'\].*Received: kernel_storage="):
        GXNORDense(2, kernel_storage=storage_name)


def test_unknown_sizes_are_refused_as_for_int8():
    for name in ("int8", "packed"):
        with pytest.raises(ValueError, match="fully-defined"):
            GXNORDense(2, kernel_storage=name).build((None, None))
