"""Kernels in half a byte or less: the formats, the choice of a form, cuts, and what must fail."""

import platform
import sys

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import keras_gxnor
from keras_gxnor import graph as g
from keras_gxnor import reference
from keras_gxnor.converters import convert, flatbuffer, interpreters, rounding, tflite, verify
from keras_gxnor.converters import weight_forms as forms
from keras_gxnor.errors import InvalidArgumentError, MissingExtraError, ToolError
from tests.conformance.samples import SAMPLES, Chain, inputs
from tests.unit.test_lowering import IMAGE, codes, randomize
from tests.unit.test_rounding import CHANNELS, ONE, SUMS, one_layer
from tests.unit.test_tflite import EVERY_SUM, EXTRA, every_sum_graph, images_of_every_sum

UNIT = g.InputSpec("int8", 1.0, 0)
MICRO = ("tflite_micro",)


def dense(*units, flip=0.3, name="net"):
    chain = Chain(name, (units[0],))
    for n in units[1:]:
        chain.dense(n).step(flip=flip)
    return chain


def separable(name="separable"):
    """A depthwise-separable CNN of 30,464 weights."""
    chain = Chain(name, (28, 28, 1)).conv(24, 5, 2, "same").step()
    for filters, strides in ((48, 2), (64, 1), (96, 2), (128, 1)):
        channels = chain.type.shape[-1]
        chain.conv(channels, 3, strides, "same", groups=channels).step().conv(filters, 1).step()
    return chain.pool(2).flatten().dense(10).logits().graph()


def mnist(name="mnist"):
    """32C5-MP2-64C5-MP2-512-10."""
    chain = Chain(name, (28, 28, 1)).conv(32, 5).pool().step().conv(64, 5).pool().step()
    return chain.flatten().dense(512).step().dense(10).logits().graph()


# --- The formats. ---


@given(arrays.arrays(np.int8, arrays.array_shapes(max_side=9), elements=st.integers(-8, 7)))
def test_int4_round_trip(values):
    packed = forms.pack_int4(values)
    assert packed.dtype == np.uint8 and packed.size == -(-values.size // 2)
    halves = np.stack([packed & 15, packed >> 4], 1).reshape(-1)[: values.size]
    np.testing.assert_array_equal((halves.astype(int) ^ 8) - 8, values.reshape(-1))


@given(
    arrays.arrays(np.int8, arrays.array_shapes(max_side=9), elements=st.integers(-64, 63)),
    st.sampled_from([np.int8, np.float32]),
)
def test_decode_round_trip(values, dtype):
    values = values.astype(dtype)
    encoded, ancillary = forms.encode(values)
    bits = int(ancillary[5] & 7)
    table = ancillary[16:].view(dtype)
    assert ancillary[:5].tolist() == [0, 1, 0, 0, 1] and ancillary[5] >> 4 == 15 and not ancillary[6:16].any()
    assert len(table) == 1 << bits and encoded.nbytes == -(-values.size * bits // 8)
    stream = np.unpackbits(encoded)[: values.size * bits].reshape(-1, bits)
    indices = stream @ (1 << np.arange(bits)[::-1])
    np.testing.assert_array_equal(table[indices], values.reshape(-1))
    assert bits == max(1, int(len(np.unique(values)) - 1).bit_length())


def test_encode_refuses_what_seven_bits_cannot_name():
    with pytest.raises(InvalidArgumentError, match=r"at most 128 different values\. Received: 129"):
        forms.encode(np.arange(129, dtype=np.int16))


# --- Exactness beyond the samples. ---


@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize("weights", ["int4", "decode"])
def test_extra_graphs_are_exact(name, weights, monkeypatch):
    """Every kernel that the form holds is stored in it, however small."""
    graph = EXTRA[name](name).graph()
    for costs in ("_DECODE_COST", "_TABLE_COST", "_RESHAPE_COST", "_FIRST_RESHAPE_COST"):
        monkeypatch.setattr(forms, costs, (-(1 << 20), 0))
    artifact = tflite.emit(graph, "model", weights)
    x = inputs(graph, 4)
    for kernels in artifact.runs_on or interpreters.KERNELS:
        y = interpreters.run(artifact.main, x, kernels)
        np.testing.assert_array_equal(y, reference.run(graph, x), err_msg=kernels)


@pytest.mark.parametrize(
    "weights, kernels", [*(("int4", k) for k in interpreters.KERNELS), ("decode", "tflite_micro")]
)
def test_every_reachable_accumulator(weights, kernels):
    graph, x = every_sum_graph(), images_of_every_sum()
    artifact = tflite.emit(graph, "model", weights)
    assert artifact.sizes["weights_kept"] == 0 and len(x) == len(EVERY_SUM)
    y = interpreters.run(artifact.main, x, kernels)
    assert np.count_nonzero(y != reference.run(graph, x)) == 0
    moved = reference.run(every_sum_graph(move=1), x)
    assert np.argwhere(y != moved)[:, 1].tolist() == [5], "a threshold off by one must show"


def test_kernels_of_one_bit_and_of_three():
    """Binary kernels take one bit a weight, and codes -2..2 three."""
    for values, bits in (([-1, 1], 1), ([-2, -1, 0, 1, 2], 3)):
        chain = Chain("bits", (100,))
        kernel = chain.rng.choice(np.int8(values), (100, 60))
        graph = chain.add(g.Dense(kernel)).step().dense(5).logits().graph()
        artifact = tflite.emit(graph, "model", "decode")
        packed = 6000 * bits // 8
        assert artifact.sizes["weights"] == packed + 16 + (1 << bits) + 300
        assert verify(graph, artifact, inputs(graph, 4), MICRO).ok


ROUNDING = {
    "litert_xnnpack": "Q31 twice, half up",  # as the built-in kernels: XNNPACK leaves INT4 to them
    "litert_builtin": "Q31 twice, half up",
    "litert_reference": "Q31 twice, half away",
    "tflite_micro": "Q31 twice, half away",
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the table is of x86-64 kernels")
@pytest.mark.parametrize("kind", ["dense", "conv", "depthwise"])
def test_how_the_int4_kernels_round(kind, monkeypatch):
    monkeypatch.setattr(forms, "_RESHAPE_COST", (-(1 << 20), 0))
    graph, x = one_layer(kind)
    rng = np.random.default_rng(0)
    multiplier = np.concatenate(
        [2.0 ** rng.integers(-7, 1, 60), 1 / np.arange(2, 82), rng.uniform(0.003, 1.9, 60)]
    ).astype(np.float32)
    bias = rng.integers(-50, 50, CHANNELS).astype(np.int32)
    data = bytearray(tflite.emit(graph, "m", "int4").main)
    file, layer = linear_operator(data)
    weights, offset = (file.Subgraphs(0).Tensors(layer.Inputs(i)) for i in (1, 2))
    assert weights.Type() == schema.TensorType.INT4
    weights.Quantization().ScaleAsNumpy()[:] = offset.Quantization().ScaleAsNumpy()[:] = multiplier
    file.Buffers(weights.Buffer()).DataAsNumpy()[:] = 0x11
    file.Buffers(offset.Buffer()).DataAsNumpy().view(np.int32)[:] = bias
    sums = SUMS[:, None].astype(np.int64) + bias
    for kernels, label in ROUNDING.items():
        codes = interpreters.run(bytes(data), x, kernels).reshape(-1, CHANNELS)
        made = {name: np.clip(model(sums, ONE, multiplier), -1, 1) for name, model in rounding.MODELS.items()}
        same = [name for name, expected in made.items() if (codes == expected).all()]
        assert same == [label], kernels


def linear_operator(data):
    """(the file, its first operator with a bias)."""
    file = schema.Model.GetRootAs(data)
    graph = file.Subgraphs(0)
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    return file, next(op for op in operators if op.InputsLength() == 3)


# --- The file. ---


def buffers(data):
    """{tensor name: bytes of its constant}."""
    file = schema.Model.GetRootAs(data)
    graph = file.Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    return {t.Name().decode(): file.Buffers(t.Buffer()).DataLength() for t in tensors if t.Buffer()}


@pytest.mark.parametrize("weights, largest", [("int8", 1), ("int4", 0.72), ("decode", 0.45)])
def test_sizes_are_those_of_the_file(weights, largest):
    graph = separable()
    artifact = tflite.emit(graph, "net", weights)
    assert artifact.summary()["net.tflite"] == len(artifact.main)
    found = buffers(artifact.main)
    ends = ("/weights", "/packed") if weights == "decode" else ("/weights",)
    stored = {name: n for name, n in found.items() if name.endswith(ends) or name.startswith("table_")}
    assert artifact.sizes["weights"] == sum(stored.values())
    assert artifact.sizes["bias"] == sum(n for name, n in found.items() if name.endswith("/bias"))
    stock = len(tflite.emit(graph, "net").main)
    assert stock < 60_000 and len(artifact.main) <= largest * stock
    if weights == "int8":
        assert set(artifact.sizes) == {"weights", "bias"} and artifact.runs_on is None
    else:
        assert artifact.sizes["decoded_largest"] == 12288


def test_a_large_net_shrinks_to_little_more_than_its_weights():
    graph = mnist()
    sizes = {form: len(tflite.emit(graph, "m", form).main) for form in forms.FORMS}
    assert sizes["decode"] < 0.27 * sizes["int8"] and sizes["int4"] < 0.52 * sizes["int8"]


@pytest.mark.parametrize("weights", ["int4", "decode"])
def test_the_choice_of_a_form_is_that_of_real_files(weights, monkeypatch):
    """Over kernels of many sizes: never a larger file, and never a missed gain of much."""
    name = "a_layer_with_a_rather_long_name"
    for build in (
        lambda n: Chain(name, (n,), UNIT).dense(n).step(flip=0).dense(n).step(flip=0),
        lambda n: Chain(name, (3, 3, n), UNIT).conv(n, 1).step(flip=0).conv(n, 1).step(flip=0),
        lambda n: Chain(name, (5, 5, n), UNIT).conv(n, 3, groups=n).step(flip=0),
    ):
        for n in range(8, 60, 5):
            graph = build(n).graph()
            stock, chosen = (len(tflite.emit(graph, "m", form).main) for form in ("int8", weights))
            with monkeypatch.context() as patch:
                patch.setattr(forms.Storage, "_pays", lambda *_: True)
                forced = len(tflite.emit(graph, "m", weights).main)
            assert chosen <= stock, n
            assert min(stock, forced) > chosen - 400, n


def test_equal_graphs_give_equal_bytes():
    for weights in ("int4", "decode"):
        first, second = (tflite.emit(SAMPLES["cnn_grouped"](), "m", weights, 999).main for _ in range(2))
        assert first == second


def test_weights_too_large_for_a_form_stay_int8():
    """Codes to 31 need int8, beside an int4 layer, and a step of them may need no int8 operator."""
    chain = dense(40, 40)
    chain.add(g.Dense(chain.rng.integers(-31, 32, (40, 50)).astype(np.int8))).step()
    graph = chain.dense(3).logits().graph()
    artifact = tflite.emit(graph, "m", "int4")
    assert artifact.sizes["weights_kept"] == 2150 and artifact.sizes["weights"] == 800 + 2150
    assert verify(graph, artifact, inputs(graph, 4), interpreters.KERNELS).ok
    wide = Chain("w", (9,)).add(g.Dense(np.full((9, 2), 32, np.int8))).step().dense(2).logits().graph()
    for weights in forms.FORMS:
        artifact = tflite.emit(wide, "m", weights)
        assert verify(wide, artifact, inputs(wide, 4)).ok


# --- Cuts. ---


def arena(model, x):
    """The smallest arena, to 512 bytes, in which TFLite Micro runs the file."""
    from tflite_micro.python.tflite_micro import runtime

    def runs(size):
        try:
            interpreter = runtime.Interpreter.from_bytes(model, arena_size=size)
            interpreter.set_input(x[:1], 0)
            interpreter.invoke()
        except RuntimeError:
            return False
        return True

    low, high = 1 << 13, 1 << 20  # in less, the wheel crashes
    assert runs(high)
    while high - low > 512:
        middle = (low + high) // 2
        low, high = (low, middle) if runs(middle) else (middle, high)
    return high


@pytest.mark.parametrize("weights", ["int4", "decode"])
@pytest.mark.parametrize("kind", ["dense", "conv", "logits"])
def test_a_split_bounds_the_arena(kind, weights):
    if kind == "conv":
        graph = Chain("split", (4, 4, 30)).conv(100, 3).step().flatten().dense(3).logits().graph()
    elif kind == "dense":
        graph = dense(200, 150).dense(3).logits().graph()
    else:
        graph = dense(30, 150).dense(180).logits().graph()
    x = inputs(graph, 4)
    stock, whole = (arena(tflite.emit(graph, "m", form).main, x) for form in ("int8", weights))
    for split in (10_000, 1_300):
        artifact = tflite.emit(graph, "m", weights, split)
        assert artifact.sizes["decoded_largest"] <= split
        assert verify(graph, artifact, x, artifact.runs_on or interpreters.KERNELS).ok
        if (kind, weights) != ("logits", "int4"):  # of int16 sums, which int4 kernels cannot make
            assert artifact.sizes["weights_kept"] < 2000
            assert arena(artifact.main, x) < min(whole - 10_000, stock + split + (1 << 14))


def test_concatenations_of_more_than_ten_are_nested(monkeypatch):
    """123 parts: twelve joins of ten and one of three, of these one of ten and one of three, one of both."""
    graph = dense(90, 123).dense(3).logits().graph()
    artifact = tflite.emit(graph, "m", "decode", 90)
    assert artifact.sizes["weights_kept"] >= 90 * 123, "so many parts cost more than int8"
    monkeypatch.setattr(forms, "_PART_COST", (-(1 << 20), 0))
    artifact = tflite.emit(graph, "m", "decode", 90)
    file = schema.Model.GetRootAs(artifact.main).Subgraphs(0)
    widths = [file.Operators(i).InputsLength() for i in range(file.OperatorsLength())]
    assert artifact.sizes["decoded_largest"] == 90 and max(widths) == 10
    assert widths.count(10) == 13 and widths.count(3) == 123 + 2
    assert verify(graph, artifact, inputs(graph, 4), MICRO).ok


@pytest.mark.parametrize("channels", [9, 10, 11, 20, 21, 100, 101, 102, 111])
def test_any_number_of_parts_is_joined_in_order(channels, monkeypatch):
    """One part a channel; a group of one, as the eleventh of eleven, is joined a level up."""
    monkeypatch.setattr(forms, "_PART_COST", (-(1 << 20), 0))
    graph = dense(20, channels).dense(3).logits().graph()
    x = inputs(graph, 6)
    for weights in ("int4", "decode"):
        artifact = tflite.emit(graph, "m", weights, 20)
        assert artifact.sizes["decoded_largest"] == 20
        assert verify(graph, artifact, x, artifact.runs_on or interpreters.KERNELS).ok


def test_what_cannot_be_cut_stays_int8():
    graph = Chain("grouped", (6, 6, 40)).conv(40, 3, groups=2).step().flatten().dense(3).logits().graph()
    whole, cut = (tflite.emit(graph, "m", "decode", split) for split in (None, 7199))
    assert whole.sizes["decoded_largest"] == 7200
    assert cut.sizes["weights_kept"] >= 7200 and cut.sizes["decoded_largest"] == 1920
    assert verify(graph, cut, inputs(graph, 4), MICRO).ok
    tiny = tflite.emit(graph, "m", "decode", 1)
    assert tiny.sizes["decoded_largest"] == 0 and tiny.runs_on is None
    assert tiny.main == tflite.emit(graph, "m").main


# --- What must fail. ---


def constant(data, end):
    """The first constant whose tensor's name ends so, as an array in `data`."""
    file = schema.Model.GetRootAs(data)
    graph = file.Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    found = next(t for t in tensors if t.Buffer() and t.Name().decode().endswith(end))
    return file.Buffers(found.Buffer()).DataAsNumpy()


@pytest.mark.parametrize(
    "weights, end, place, mask",
    [
        ("int4", "dense_1/weights", 5, 0x40),  # the high half of one byte
        ("int4", "dense_1/weights", 6, 0x04),
        ("decode", "dense_1/packed", 5, 0xC0),
        ("decode", "dense_1/packed", 6, 0x03),
        ("decode", "table_0", 16, 0x40),  # the value of all weights of -1
        ("decode", "table_0", 17, 0x40),
        ("decode", "table_0", 5, 0x01),  # bits an index
    ],
)
def test_damage_shows(weights, end, place, mask):
    graph = Chain("damage", (60,)).dense(50).graph()
    graph = g.Graph((*graph.nodes, *_steps(graph)), (2,), "damage")
    artifact = tflite.emit(graph, "m", weights)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (200, 60)).astype(np.uint8)
    x[:, 10:16] *= rng.integers(0, 2, (200, 1)).astype(np.uint8)
    expected, data = reference.run(graph, x), bytearray(artifact.main)
    constant(data, end)[place] ^= mask
    for kernels in artifact.runs_on or interpreters.KERNELS:
        assert (interpreters.run(artifact.main, x, kernels) == expected).all()
        assert (interpreters.run(bytes(data), x, kernels) != expected).any(), kernels


def _steps(graph):
    """Steps in the middle of the sums, where every weight matters."""
    from keras_gxnor.spaces import DiscreteSpace

    middle = np.tile(np.int32([0, 40]), (50, 1))
    return (g.Node("step", g.Threshold(middle, np.zeros(50, bool), DiscreteSpace(1)), (1,)),)


def test_files_for_one_runtime_leave_out_what_it_does_not_read():
    """One zero point for all channels, no dynamic batch, no zeros as the bias of a last convolution."""
    graph = Chain("net", (1, 1, 60)).conv(50, 1).step().conv(30, 1).logits().graph()
    for weights, most, batch in (("int8", 50, -1), ("decode", 1, None)):
        net = schema.Model.GetRootAs(tflite.emit(graph, "m", weights).main).Subgraphs(0)
        tensors = [net.Tensors(i) for i in range(net.TensorsLength())]
        assert max(t.Quantization().ZeroPointLength() for t in tensors if t.Quantization()) == most
        assert net.Tensors(0).ShapeSignatureLength() == (0 if batch is None else 4)
        assert ("conv2d_3/bias" in [t.Name().decode() for t in tensors]) == (weights == "int8")


@pytest.mark.parametrize("largest, fits", [(7, True), (8, False)])
def test_int4_holds_up_to_seven(largest, fits):
    """8 would become -8; a kernel of codes -8..7 is left to int8 as well."""
    kernel = np.tile(np.int8([largest, -1]), (40, 20))
    file = flatbuffer.File()
    store = forms.Storage(file, "int4")
    linear = forms.Linear("n", "CONV_2D", 3, None, kernel, 1, (1.0,), np.zeros(40, np.int32), (1.0,))
    assert store._pays(linear, 1) == fits


def test_litert_refuses_what_it_cannot_decode():
    graph = dense(60, 50).graph()
    artifact = tflite.emit(graph, "m", "decode")
    assert artifact.runs_on == MICRO
    with pytest.raises(ToolError, match="litert_builtin refused the file"):
        interpreters.run(artifact.main, inputs(graph, 2), "litert_builtin")


def test_verify_names_what_it_omits():
    graph = dense(60, 50).dense(3).logits().graph()
    artifact, x = convert(graph, weights="decode"), inputs(graph, 4)
    report = verify(graph, artifact, x, limits={"c_cortex_m4": 1})
    assert report.ok and list(report.images) == ["reference", "tflite_micro", "c_host", "c_cortex_m4"]
    assert report.omitted == ("litert_xnnpack", "litert_builtin", "litert_reference")
    assert "not run, as they cannot run this artifact: litert_xnnpack, litert_builtin" in str(report)
    with pytest.raises(InvalidArgumentError, match=r"only.*Received: backends=\['litert_xnnpack'\]"):
        verify(graph, artifact, x, "litert_xnnpack")
    assert "not run" not in str(verify(graph, convert(graph, weights="int4"), x, ["litert_xnnpack"]))


@pytest.mark.parametrize("weights, split", [("int4", None), ("decode", None), ("decode", 3000)])
def test_keras_models_take_the_options(weights, split):
    layers = [keras_gxnor.GXNORDense(90, use_bias=False), keras.layers.BatchNormalization()]
    layers += [keras_gxnor.DiscreteActivation(), keras_gxnor.GXNORDense(10)]
    model = randomize(keras.Sequential([keras.Input((64,)), *layers]))
    artifact = convert(model, "tflite", IMAGE, weights=weights, split=split)
    assert artifact.sizes["weights"] < 64 * 90 + 900 and artifact.sizes["decoded_largest"] > 0
    report = verify(model, artifact, codes(model), artifact.runs_on or interpreters.KERNELS)
    assert report.ok and artifact.input_spec == IMAGE


def test_the_check_of_convert_runs_the_decoder(monkeypatch):
    graph = dense(60, 50).dense(3).logits().graph()
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro.runtime", None)
    with pytest.raises(MissingExtraError, match=r"keras_gxnor\[mcu\]"):
        convert(graph, weights="decode")
    assert convert(graph, weights="decode", check=False).runs_on == MICRO
    assert convert(graph, weights="int4").runs_on is None


@pytest.mark.parametrize(
    "target, options, words",
    [
        ("tflite", {"weights": "int2"}, r"must be one of \('int8', 'int4', 'decode'\).*'int2'"),
        ("tflite", {"weights": None}, "weights=None"),
        ("tflite", {"split": 1000}, "with weights='int4' or 'decode'.*split=1000, weights='int8'"),
        ("tflite", {"weights": "decode", "split": 0}, "split=0"),
        ("tflite", {"weights": "decode", "split": 1.5}, "split=1.5"),
        ("tflite", {"weights": "decode", "split": True}, "split=True"),
        ("tflite", {"weight": "int4"}, r"'tflite' takes the options \['weights', 'split', .*weight='int4'"),
        ("c", {"weights": "int4"}, r"must be one of \['2bit', '1.67bit'\].*weights='int4'"),
        ("c", {"split": 1000}, r"'c' takes the options \['lanes', 'weights'\]. Received: split=1000"),
    ],
)
def test_options_are_checked(target, options, words):
    with pytest.raises(InvalidArgumentError, match=words):
        convert(SAMPLES["dense_only"](), target, **options)
