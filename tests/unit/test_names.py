import re

import pytest

from keras_gxnor.converters.names import MAX_COMMENT, MAX_IDENTIFIER, comment, identifier

HOSTILE = [
    *("", " ", "_", "__init__", "int", "INT", "while", "class", "template", "_Bool", "restrict", "main"),
    *("3x3", "0", "-1", "a b", "a-b", "a.b", "A_B", "a__b", "_a_", "*/", "/*", "//", "*/ int x; /*"),
    *('"', "'", '");system("x', "a\\", "a\nb", "a\r\n#error b", "a\0b", "\t", "??/", "%s%n", "$(x)", "`x`"),
    *("../../etc/passwd", "/etc/passwd", "C:\\x", "con", "NUL", "com1", "math", "stdio", "string.h"),
    *("gxnor", "gxnor_dot", "GXNOR net", "Ünï-cødé", "模型", "🙂", "\u202eabc", "\ud800", "ß", "K", "i̇"),
    *("x" * 10_000, "é" * 10_000, "a" * 39 + "_b", "a" * 40, "a" * 41, "{{ 7*7 }}", "{% raw %}", "#define X"),
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_becomes_a_portable_identifier(text):
    name = identifier(text)
    assert re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
    assert len(name) <= MAX_IDENTIFIER
    assert name not in ("int", "while", "class", "main", "con", "nul", "com1", "math", "stdio", "template")
    assert name.split("_")[0] != "gxnor"
    assert identifier(text) == name
    assert identifier(name) == name


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_cannot_leave_a_comment(text):
    safe = comment(text)
    assert (safe.isascii() and safe.isprintable()) or safe == ""
    assert not any(mark in safe for mark in ("*", "\\", "?", "//", "\n", "\r"))
    assert len(safe) <= MAX_COMMENT


def test_usual_names_stay_as_they_are():
    assert identifier("mnist_cnn_2") == "mnist_cnn_2"
    assert comment("block_1/conv2d: 3x3 (a+b) #2") == "block_1/conv2d: 3x3 (a+b) #2"


def test_long_names_stay_apart():
    assert identifier("x" * 100 + "a") != identifier("x" * 100 + "b")
