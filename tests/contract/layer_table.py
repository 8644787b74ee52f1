"""The table of docs/models.md: which layers train, and what runs them exported. Every cell is tried.

`python -m tests.contract.layer_table` writes it anew; test_layer_table.py compares, row by row.
"""

import dataclasses
import pathlib
import re

import keras
import numpy as np

import keras_gxnor as gx
from keras_gxnor import InputSpec, converters
from keras_gxnor.errors import GXNORError, UnsupportedLayerError
from keras_gxnor.kernels import DiscreteVariable

K = keras.layers
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- made by tests/contract/layer_table.py -->", "<!-- end -->"
HEAD = ("layer", "trains", "TFLite", "TFLM", "C", "instead")
TARGETS = {
    "TFLite": ("tflite", ("litert_xnnpack", "litert_builtin", "litert_reference")),
    "TFLM": ("tflite", ("tflite_micro",)),
    "C": ("c", ("c_host",)),
}
_SAMPLES = 16
_SPEC = InputSpec("uint8", 1 / 128, 128)
_TOKENS = InputSpec("uint8", 1.0, 0)


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer in a small network.

    Attributes:
        label: What the table calls it.
        build: Makes the layer, or None.
        shape: Of the network's input.
        around: How the layer stands in the network, one of the functions below.
        spec: What the device feeds.
    """

    label: str
    build: object
    shape: tuple
    around: object
    spec: InputSpec = _SPEC


def _step():
    return [K.BatchNormalization(), gx.DiscreteActivation()]


def _end(x, classes=3):
    return gx.GXNORDense(classes)(K.Flatten()(x) if len(x.shape) > 2 else x)


def kernel(layer, x):
    """The layer, batch normalization, activation."""
    for part in [layer, *_step()]:
        x = part(x)
    return _end(x)


def codes(layer, x):
    """The layer reads an activation, and its result is read by the last kernel."""
    for part in [*_step(), layer]:
        x = part(x)
    return _end(x)


def sums(layer, x):
    """The layer stands between a kernel and its activation."""
    before = {2: lambda: gx.GXNORDense(8), 3: lambda: gx.GXNORConv1D(8, 3), 4: lambda: gx.GXNORConv2D(8, 3)}
    for part in [before[len(x.shape)](), layer, *_step()]:
        x = part(x)
    return _end(x)


def activation(layer, x):
    """The layer takes the place of the activation."""
    for part in [gx.GXNORDense(8), K.BatchNormalization(), layer]:
        x = part(x)
    return _end(x)


def merge(layer, x):
    """The layer merges two activations."""
    parts = []
    for part in (gx.GXNORDense(6), gx.GXNORDense(6)):
        y = part(x)
        for step in _step():
            y = step(y)
        parts.append(y)
    return _end(layer(parts))


def first(layer, x):
    """The layer reads the input."""
    return _end(gx.DiscreteActivation()(K.BatchNormalization()(gx.GXNORDense(8)(layer(x)))))


def last(layer, x):
    """The layer makes the output."""
    return layer(gx.GXNORDense(3)(x))


FLAT, SEQUENCE, IMAGE = (12,), (10, 4), (8, 8, 3)


def _rows():
    ours = [
        Row("GXNORDense", lambda: gx.GXNORDense(8), FLAT, kernel),
        Row('GXNORDense(kernel_space="int8")', lambda: gx.GXNORDense(8, kernel_space="int8"), FLAT, kernel),
        Row("GXNORConv1D", lambda: gx.GXNORConv1D(6, 3), SEQUENCE, kernel),
        Row("GXNORConv2D", lambda: gx.GXNORConv2D(6, 3), IMAGE, kernel),
        Row("GXNORDepthwiseConv1D", lambda: gx.GXNORDepthwiseConv1D(3), SEQUENCE, kernel),
        Row("GXNORDepthwiseConv2D", lambda: gx.GXNORDepthwiseConv2D(3), IMAGE, kernel),
        Row("GXNORSeparableConv1D", lambda: gx.GXNORSeparableConv1D(6, 3), SEQUENCE, kernel),
        Row("GXNORSeparableConv2D", lambda: gx.GXNORSeparableConv2D(6, 3), IMAGE, kernel),
        Row("GXNORConv2DTranspose", lambda: gx.GXNORConv2DTranspose(4, 3, 2), (4, 4, 3), kernel),
        Row("GXNOREmbedding", lambda: gx.GXNOREmbedding(256, 6), (5,), first, _TOKENS),
        Row("DiscreteActivation", gx.DiscreteActivation, FLAT, activation),
        Row('DiscreteActivation("binary")', lambda: gx.DiscreteActivation("binary"), FLAT, activation),
        Row('DiscreteActivation("z3")', lambda: gx.DiscreteActivation("z3"), FLAT, activation),
        Row('DiscreteActivation("uint8")', lambda: gx.DiscreteActivation("uint8"), FLAT, activation),
    ]
    if hasattr(gx, "GXNORSimpleRNN"):
        ours.append(Row("GXNORSimpleRNN", lambda: gx.GXNORSimpleRNN(6), SEQUENCE, codes))
    return [*ours, *_keras_rows(), *_refused_rows()]


def _plain(make, shape, around, label=None):
    return Row(label or make.__name__, make, shape, around)


def _keras_rows():
    return [
        _plain(K.BatchNormalization, FLAT, sums),
        _plain(K.MaxPooling1D, SEQUENCE, sums),
        _plain(K.MaxPooling2D, IMAGE, sums),
        Row("AveragePooling1D", lambda: K.AveragePooling1D(2), SEQUENCE, codes),
        Row("AveragePooling2D", lambda: K.AveragePooling2D(2), IMAGE, codes),
        _plain(K.GlobalMaxPooling1D, SEQUENCE, codes),
        _plain(K.GlobalMaxPooling2D, IMAGE, codes),
        _plain(K.GlobalAveragePooling1D, SEQUENCE, codes),
        _plain(K.GlobalAveragePooling2D, IMAGE, codes),
        _plain(K.ZeroPadding1D, SEQUENCE, codes),
        _plain(K.ZeroPadding2D, IMAGE, codes),
        _plain(K.Cropping1D, SEQUENCE, codes),
        _plain(K.Cropping2D, IMAGE, codes),
        _plain(K.UpSampling1D, SEQUENCE, codes),
        _plain(K.UpSampling2D, (4, 4, 3), codes),
        Row("Reshape", lambda: K.Reshape((2, 2, 3)), FLAT, codes),
        Row("Permute", lambda: K.Permute((2, 1)), (1, 6), codes),
        _plain(K.Flatten, IMAGE, codes),
        Row("RepeatVector", lambda: K.RepeatVector(2), FLAT, codes),
        _plain(K.Add, FLAT, merge),
        _plain(K.Subtract, FLAT, merge),
        _plain(K.Concatenate, FLAT, merge),
        _plain(K.Average, FLAT, merge),
        _plain(K.Maximum, FLAT, merge),
        _plain(K.Multiply, FLAT, merge),
        Row("Rescaling", lambda: K.Rescaling(1 / 2), FLAT, sums),
        Row("Dropout", lambda: K.Dropout(0.1), FLAT, codes),
        Row("GaussianNoise", lambda: K.GaussianNoise(0.1), FLAT, first),
        Row("Identity", K.Identity, FLAT, codes),
    ]


def _refused_rows():
    return [
        Row("Dense (float kernel)", lambda: K.Dense(8), FLAT, kernel),
        Row("Conv2D (float kernel)", lambda: K.Conv2D(6, 3), IMAGE, kernel),
        _plain(K.ReLU, FLAT, activation),
        Row('Activation("tanh")', lambda: K.Activation("tanh"), FLAT, activation),
        _plain(K.PReLU, FLAT, activation),
        _plain(K.Softmax, FLAT, last),
        _plain(K.LayerNormalization, FLAT, sums),
        Row("GroupNormalization", lambda: K.GroupNormalization(2), FLAT, sums),
        Row("LSTM", lambda: K.LSTM(6), SEQUENCE, codes),
        Row("Conv3D (float kernel)", lambda: K.Conv3D(2, 2), (4, 4, 4, 1), codes),
    ]


def model_of(row) -> keras.Model:
    """The network of a row."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(row.shape)
    return keras.Model(inputs, row.around(row.build(), inputs), name="net")


def trains(model, row) -> bool:
    """Whether every discrete kernel moves in one `fit`, and the loss is a number."""
    rng = np.random.default_rng(0)
    q = rng.integers(0, 256, (2 * _SAMPLES, *row.shape))
    x = ((q - row.spec.zero_point) * row.spec.scale).astype(np.float32)
    y = np.sign(rng.normal(size=(len(x), *model.output_shape[1:]))).astype(np.float32)
    kernels = [v for v in model.trainable_variables if isinstance(v, DiscreteVariable)]
    before = [np.asarray(v.numpy()) for v in kernels]
    model.compile(gx.DSTOptimizer(1.0, seed=1), "squared_hinge", run_eagerly=True)
    losses = model.fit(x, y, batch_size=_SAMPLES, epochs=2, verbose=0).history["loss"]
    moved = [not np.array_equal(old, v.numpy()) for old, v in zip(before, kernels)]
    return bool(moved) and all(moved) and bool(np.isfinite(losses).all())


def cells(row) -> tuple[str, ...]:
    """The row of the table: every cell is what happened just now."""
    model = model_of(row)
    found, instead = ["yes" if trains(model, row) else "no"], ""
    q = np.random.default_rng(1).integers(0, 256, (_SAMPLES, *row.shape)).astype(np.uint8)
    made = {}
    for target, backends in TARGETS.values():
        try:
            if target not in made:
                made[target] = converters.convert(model, target, row.spec, check=False)
            report = converters.verify(model, made[target], q, backends)
            found.append("yes" if report.ok else "WRONG")
        except GXNORError as error:
            found.append("no")
            instead = instead or _remedy(error)
    return (f"`{row.label}`" if "float" not in row.label else row.label, *found, instead)


def _remedy(error) -> str:
    if not isinstance(error, UnsupportedLayerError):
        return str(error).split(". ")[0]
    match = re.search(r"Nearest supported form: (.*?)\.?$", str(error))
    return match[1] if match else str(error).split(". ")[0]


def text(rows) -> str:
    """The table in Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def written() -> dict[str, str]:
    """{first cell: line} of the table in the docs."""
    part = DOCS.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    return {line.split(" | ")[0].strip("| "): line for line in part.strip().splitlines()[2:]}


ROWS = _rows()


if __name__ == "__main__":
    head, rest = DOCS.read_text(encoding="utf-8").split(BEGIN)
    DOCS.write_text(f"{head}{BEGIN}\n{text(map(cells, ROWS))}\n{END}{rest.split(END)[1]}", encoding="utf-8")
