"""The folder that is a library of five systems: its files, names and manifests."""

import dataclasses
import inspect
import json
import pathlib
import re

import pytest

from keras_gxnor import graph as g
from keras_gxnor.converters import TARGETS, c_source, convert, libraries, verify
from keras_gxnor.converters.names import identifier
from keras_gxnor.errors import ArtifactError, InvalidArgumentError, VerificationError
from tests.conformance.samples import SAMPLES, Chain, inputs
from tests.unit import manifests
from tests.unit.test_names import HOSTILE

ROOT = pathlib.Path(__file__).resolve().parents[2]


def made(name="digits", sample="cnn_small", **options):
    return libraries.emit(SAMPLES[sample](), name, **options)


def hostile(text):
    """A small network whose model and layers bear that name."""
    graph = Chain("net", (5,)).dense(3).step().dense(2).logits().graph()
    nodes = tuple(dataclasses.replace(node, name=f"{text}{i}") for i, node in enumerate(graph.nodes))
    return libraries.emit(g.Graph(nodes, graph.outputs, text), text)


def judge(folder, artifact, patch):
    """Every system's verdict on a folder; all have to call the library the same."""
    package = f"gxnor_{artifact.name}"
    manifests.platformio(folder, patch)
    assert json.loads((folder / "library.json").read_text())["name"] == package
    assert str(manifests.espressif(folder, package).version) == manifests.arduino(folder)["version"]
    assert manifests.arduino(folder)["name"] == package == manifests.zephyr(folder)
    assert list(manifests.kconfig(folder, patch)) == [package.upper()]


def test_the_header_is_that_of_target_c():
    base, artifact = c_source.emit(SAMPLES["cnn_small"](), "digits"), made()
    assert (artifact.target, artifact.name) == ("library", "digits")
    assert next(iter(artifact.files)) == "src/digits.h" and artifact.main == base.main
    assert artifact.sizes == base.sizes and len(artifact.files) == 13
    assert made().files == artifact.files
    text = artifact.files["README.md"].decode("ascii")
    assert all(f"| {artifact.sizes[what]} |" in text for what in ("weights", "tables", "scratch"))
    assert all(f"| `{path}` |" in text for path in artifact.files)


def test_one_logit_is_compared_with_zero_and_not_with_itself():
    graph = Chain("net", (5,)).dense(3).step().dense(1).logits().graph()
    one, several = libraries.emit(graph, "net").files, made("net").files
    for path in ("src/net.h", "README.md", "examples/main.c", "examples/net_demo/net_demo.ino"):
        texts = [files[path].decode("ascii").split("#define NET_IMPLEMENTED")[0] for files in (one, several)]
        assert "logits[0] > 0" in texts[0] and "net_argmax(logits)" not in texts[0], path
        assert "logits[0] > 0" not in texts[1] and "net_argmax(logits)" in texts[1], path


def test_it_is_converted_and_verified_like_c(monkeypatch):
    graph = SAMPLES["cnn_small"]()
    artifact = convert(graph, "library", name="digits", version="2.10.0")
    monkeypatch.setitem(TARGETS, "c", None)  # its own header is what runs
    assert verify(graph, artifact, inputs(graph), ["c_host", "c_cortex_m4"]).ok
    broken = dataclasses.replace(graph.nodes[1].op, kernel=-graph.nodes[1].op.kernel)
    nodes = (graph.nodes[0], dataclasses.replace(graph.nodes[1], op=broken), *graph.nodes[2:])
    other = dataclasses.replace(graph, nodes=nodes)
    assert not verify(other, artifact, inputs(graph), ["c_host"]).ok
    monkeypatch.setitem(
        TARGETS, "library", lambda graph, name: dataclasses.replace(libraries.emit(other, name), graph=graph)
    )
    with pytest.raises(VerificationError, match="NOT equal"):
        convert(graph, "library")


def test_options():
    """Those of `c` by name, and the version."""
    known = list(inspect.signature(TARGETS["library"]).parameters)
    assert known == [*inspect.signature(c_source.emit).parameters, "version"]
    with pytest.raises(InvalidArgumentError, match=r"takes the options .*version.*colour='red'"):
        convert(SAMPLES["dense_only"](), "library", colour="red")
    wrong = ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-a", "1.0.0\n", "1.0.100000", "\u0661.0.0"]
    for version in (None, 1, *wrong):
        with pytest.raises(InvalidArgumentError, match="three numbers"):
            made(version=version)


def test_manifests(tmp_path, monkeypatch):
    artifact = made(version="0.99999.12")
    artifact.write(tmp_path / "library")
    judge(tmp_path / "library", artifact, monkeypatch)
    assert (ROOT / "LICENSE-0BSD").read_bytes().startswith(artifact.files["LICENSE"])


def swap(old, new):
    return lambda text: text.replace(old, new)


BROKEN = [
    ("library.json", swap("gxnor_digits", "gxnor/digits"), "'name': .*not allowed"),
    ("library.json", swap("1.0.0", "1"), "'version': .*semantic"),
    ("library.json", swap("0BSD", "0BSDD"), "'license': .*SPDX"),
    ("library.json", swap('"ternary"', '"Ternary!"'), "'keywords'"),
    ("library.json", swap('"base"', '"bass"'), "'examples': .*'base'"),
    ("library.json", swap("}", ""), "Could not parse"),
    ("idf_component.yml", swap("1.0.0", "one"), '"version"'),
    ("idf_component.yml", swap("url:", "ulr:"), "ulr"),
    ("idf_component.yml", swap("https://", "x"), '"url"'),
    ("idf_component.yml", lambda text: text + "  broken", "parse|YAML"),
    ("zephyr/Kconfig", swap("bool", "bolean"), "couldn't parse"),
    ("zephyr/Kconfig", swap("help", "depends on NOWHERE\n\thelp"), "NOWHERE"),
    ("zephyr/Kconfig", swap("config GXNOR_DIGITS", "config A"), "GXNOR_DIGITS"),
    ("zephyr/module.yml", swap("cmake: .", "cmake: src"), "'src'"),
    ("zephyr/module.yml", swap("zephyr/Kconfig", "Kconfig"), "'Kconfig'"),
    ("zephyr/module.yml", swap("build:", "built:"), "'built'"),
    ("library.properties", swap("name=gxnor", "name=Arduino"), "Arduino_digits"),
    ("library.properties", swap("name=gxnor", "name=_"), "__digits"),
    ("library.properties", swap("Data Processing", "Neural Networks"), "Neural Networks"),
    ("library.properties", swap("maintainer=", "maintained="), "'maintained'"),
    ("library.properties", swap("paragraph=", "paragraph=\n"), "'paragraph='"),
    ("library.properties", swap("digits.h", "other.h"), "other.h"),
    ("keywords.txt", swap("\t", " "), "digits_run KEYWORD2"),
    ("keywords.txt", swap("digits_run", "digits_walk"), "no digits_walk"),
    ("keywords.txt", swap("KEYWORD2", "KEYWORD"), "digits_run\tKEYWORD"),
]


@pytest.mark.parametrize("path, change, message", BROKEN, ids=range(len(BROKEN)))
def test_broken_manifests_are_refused(path, change, message, tmp_path, monkeypatch):
    artifact = made()
    text = artifact.files[path].decode("ascii")
    assert change(text) != text
    broken = dataclasses.replace(artifact, files={**artifact.files, path: change(text).encode()})
    broken.write(tmp_path / "library")
    with pytest.raises(Exception, match=message):
        judge(tmp_path / "library", broken, monkeypatch)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_names_give_valid_folders(number, tmp_path, monkeypatch):
    """Whatever model and layers are called: plain files inside the folder, and manifests all systems take."""
    text = HOSTILE[number]
    artifact = hostile(text)
    assert artifact.name == identifier(text) and len({path.lower() for path in artifact.files}) == 13
    for path, data in artifact.files.items():
        assert re.fullmatch(r"([A-Za-z0-9_]+/)*[A-Za-z0-9_]+(\.[a-z]+)?", path)
        assert re.fullmatch(rb"[\n\t -~]*", data), path
    folder = tmp_path / "outer" / "library"
    artifact.write(folder)
    assert manifests.paths(tmp_path) == {f"outer/library/{path}" for path in artifact.files}
    judge(folder, artifact, monkeypatch)


def test_names_that_become_one_are_not_mixed(tmp_path):
    one, two = hostile("a b"), hostile("a_b")
    assert one.name == two.name == "a_b"
    one.write(tmp_path)
    with pytest.raises(ArtifactError, match="Would overwrite"):
        two.write(tmp_path)


def test_headers_of_arduino_are_not_hidden():
    """`arduino.h` in a library would be found for <Arduino.h> where file names know no case."""
    for word in ("Arduino", "SPI", "Wire", "WiFi", "Servo", "EEPROM", "SD", "Binary"):
        assert next(iter(made(word).files)) == f"src/{word.lower()}_model.h"
