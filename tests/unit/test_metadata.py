"""What a .tflite says about itself, and what it cannot be made to say."""

import json

import numpy as np
import pytest

from keras_gxnor import reference
from keras_gxnor.converters import interpreters, metadata, read_tflite, runtime_versions, tflite
from keras_gxnor.errors import InvalidArgumentError, ModelFileError
from keras_gxnor.version import __version__
from tests.conformance.samples import SAMPLES, inputs

GRAPH = SAMPLES["cnn_small"]()
CLASSES = GRAPH.check()[-1].shape[-1]
NAMES = tuple(f"class {i}" for i in range(CLASSES))


def _emit(**options):
    return tflite.emit(GRAPH, "net", **options).main


def test_round_trip():
    found = read_tflite(_emit(labels=NAMES, version="1.2"))
    assert (found.name, found.version, found.labels) == ("net", "1.2", NAMES)
    assert found.producer == f"keras_gxnor {__version__}"
    spec = GRAPH.input.spec
    about = json.loads(found.metadata[metadata.ENTRY])
    assert about["inputs"] == [{
        "dtype": spec.dtype, "scale": spec.scale, "zero_point": spec.zero_point,
        "shape": list(GRAPH.input.shape),
    }]  # fmt: skip
    assert set(about) == {"format", "inputs", "labels", "name", "producer", "version"}


def test_the_entry_is_canonical_and_the_file_deterministic():
    first, second = (_emit(labels=list(NAMES), version="1.2") for _ in range(2))
    assert first == second
    assert first != _emit(labels=NAMES, version="1.3") and first != _emit(labels=NAMES[::-1], version="1.2")
    data = read_tflite(first).metadata[metadata.ENTRY]
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode("ascii")


def test_nothing_is_claimed_that_was_not_given():
    found = read_tflite(_emit())
    assert (found.version, found.labels) == (None, ())
    assert not {"labels", "version"} & set(json.loads(found.metadata[metadata.ENTRY]))


@pytest.mark.parametrize("kernels", interpreters.KERNELS)
def test_every_runtime_computes_the_same_with_metadata(kernels):
    x = inputs(GRAPH, 8)
    y = interpreters.run(_emit(labels=NAMES, version="1" * 1000), x, kernels)
    np.testing.assert_array_equal(y, reference.run(GRAPH, x))


@pytest.mark.parametrize(
    "label",
    ["日本語", "naïve", "🦊👩‍🚒", '"; DROP TABLE', "\\u0000", "</script>", "a,b", "%s{}",
     "x" * 10_000, "עברית", "../../etc"],
)
def test_hostile_labels_come_back_as_they_were(label):
    names = (label, *NAMES[1:])
    found = read_tflite(_emit(labels=names, version=label))
    assert found.labels == names and found.version == label
    assert all(line.isprintable() for line in str(found).split("\n"))


@pytest.mark.parametrize(
    "labels, words",
    [
        (NAMES[1:], f"each of the {CLASSES} classes.*Received: {CLASSES - 1} labels"),
        ([*NAMES, "more"], f"Received: {CLASSES + 1} labels"),
        ([], "Received: 0 labels"),
        ([NAMES[1], *NAMES[1:]], "unique.*'class 1' at 0 and 1"),
        ("x" * CLASSES, "sequence"),
        (b"x" * CLASSES, "sequence"),
        (set(NAMES), "sequence"),
        (dict.fromkeys(NAMES), "sequence"),
        (CLASSES, "sequence"),
        (np.array([NAMES]), "sequence"),
        ([*NAMES[:2], 2, *NAMES[3:]], r"`labels\[2\]`.*Received: 2"),
        ([None, *NAMES[1:]], "Received: None"),
        ([b"bytes", *NAMES[1:]], "Received: b'bytes'"),
        (["", *NAMES[1:]], "blank"),
        ([" ", *NAMES[1:]], "blank"),
        (["a\nb", *NAMES[1:]], "control characters"),
        (["a\0", *NAMES[1:]], "control characters"),
        (["\x1b[2J", *NAMES[1:]], "control characters"),
        (["\u2028", *NAMES[1:]], "control characters"),
        (["\ud800", *NAMES[1:]], "control characters"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, words):
    with pytest.raises(InvalidArgumentError, match=words):
        _emit(labels=labels)


@pytest.mark.parametrize("version", [1, 1.0, b"1", "", "1\n2", ["1"]])
def test_versions_are_strings(version):
    with pytest.raises(InvalidArgumentError, match="`version`"):
        _emit(version=version)


def test_an_array_of_strings_will_do():
    assert read_tflite(_emit(labels=np.array(NAMES))).labels == NAMES


# --- Entries of unknown origin. ---

SOUND = b'{"format":1,"name":"a","producer":"b"}'


def test_parse():
    found = metadata.parse(SOUND)
    assert found == {"name": "a", "producer": "b", "version": None, "labels": (), "inputs": ()}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"5", b"{}", b"\xff\xfe", SOUND[:-1], b"[" * 100_000, b"9" * 5000,
        SOUND.replace(b"1", b'"1"'), SOUND.replace(b'"a"', b"5"),
        SOUND[:-1] + b',"labels":"abc"}', SOUND[:-1] + b',"labels":[1]}', SOUND[:-1] + b',"version":1}',
        SOUND[:-1] + b',"inputs":5}', SOUND[:-1] + b',"inputs":[{"dtype":"int8"}]}',
        SOUND[:-1] + b',"inputs":[{"dtype":"int8","scale":NaN,"shape":[1],"zero_point":0}]}',
        SOUND[:-1] + b',"inputs":[{"dtype":"int8","scale":0.5,"shape":[true],"zero_point":0}]}',
    ],
)  # fmt: skip
def test_parse_refuses_what_entry_never_writes(data):
    with pytest.raises(ModelFileError, match=metadata.ENTRY):
        metadata.parse(data)


# --- min_runtime_version ---


@pytest.mark.parametrize(
    "codes, version",
    [
        ([("CONV_2D", 3), ("RESHAPE", 1)], "1.14.0"),
        ([("CAST", 3), ("CONV_2D", 6)], "2.9.0"),  # 2.10 is later than 2.9: numbers, not text
        ([("CONV_2D", 6), ("FULLY_CONNECTED", 10)], "2.11.0"),
        ([("FULLY_CONNECTED", 12), ("MUL", 1)], "2.17.0"),
        ([("ADD", 99)], None),
        ([("ADD", 0)], None),
        ([("CUSTOM_THING", 1), ("ADD", 1)], None),
        ([], None),
    ],
)
def test_the_oldest_runtime(codes, version):
    assert runtime_versions.oldest(codes) == version
    text = {} if version is None else {"min_runtime_version": version.encode().ljust(16, b"\0")}
    assert runtime_versions.entry(codes) == text


@pytest.mark.parametrize("name", SAMPLES)
def test_every_operator_we_emit_has_a_runtime(name):
    found = read_tflite(tflite.emit(SAMPLES[name](), "net").main)
    codes = [(operator.name, operator.version) for operator in found.operators]
    assert found.min_runtime_version == runtime_versions.oldest(codes) is not None
