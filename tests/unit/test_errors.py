import sys

import pytest
import tensorflow as tf

from keras_gxnor import errors
from keras_gxnor.converters import convert
from tests.conformance.samples import SAMPLES, inputs

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.GXNORError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_passes_through_a_traced_function(kind):
    @tf.function
    def fails(x):
        raise kind("layer `a` is wrong")

    with pytest.raises(kind, match="layer `a` is wrong"):
        fails(tf.constant(1))


@pytest.mark.parametrize(
    "target, module, extra",
    [("tflite", "ai_edge_litert", "export"), ("tflite", "flatbuffers", "export"), ("c", "jinja2", "export")],
)
def test_missing_extras_say_how_to_install_them(monkeypatch, target, module, extra):
    for loaded in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.MissingExtraError) as caught:
        convert(SAMPLES["dense_only"](), target, check=False)
    assert f'pip install "keras_gxnor[{extra}]" (in a clone: pip install ".[{extra}]")' in str(caught.value)
    assert "\n" not in str(caught.value) and isinstance(caught.value, ImportError)


@pytest.mark.parametrize("module", ["ziglang", "unicorn", "elftools"])
def test_missing_emulator_parts(monkeypatch, module):
    from keras_gxnor.converters import c_source, emulator

    artifact = c_source.emit(SAMPLES["dense_only"](), "net")
    for loaded in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.MissingExtraError, match=r"keras_gxnor\[mcu\]"):
        emulator.run(artifact, inputs(artifact.graph))
