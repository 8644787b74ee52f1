import builtins
import os

import pytest

from keras_gxnor.converters.artifact import Artifact
from keras_gxnor.errors import ArtifactError
from tests.conformance.samples import SAMPLES


def _artifact(files):
    return Artifact("c", "net", SAMPLES["dense_only"](), files, {"weights": 3})


def test_writes_and_summarizes(tmp_path):
    artifact = _artifact({"net.h": b"abc", "src/x.c": b"de"})
    paths = artifact.write(tmp_path / "new" / "folder")
    assert [p.read_bytes() for p in paths] == [b"abc", b"de"]
    assert repr(artifact) == "Artifact('net', 'c'; bytes: net.h 3, src/x.c 2, weights 3)"
    assert artifact.summary() == {"net.h": 3, "src/x.c": 2, "weights": 3}
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == ["net.h", "src"]


def test_never_overwrites_without_force(tmp_path):
    (tmp_path / "b.h").write_bytes(b"mine")
    artifact = _artifact({"a.h": b"1", "b.h": b"2"})
    with pytest.raises(ArtifactError, match=r"b\.h.*force=True"):
        artifact.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["b.h"]
    assert (tmp_path / "b.h").read_bytes() == b"mine"
    artifact.write(tmp_path, force=True)
    assert (tmp_path / "b.h").read_bytes() == b"2"


@pytest.mark.parametrize("path", ["../evil.h", "/tmp/evil.h", "a/../../evil.h"])
def test_never_leaves_its_folder(tmp_path, path):
    with pytest.raises(ArtifactError, match="inside"):
        _artifact({"a.h": b"1", path: b"2"}).write(tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", [1, 2])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, failing):
    """The write of the first or second file runs out of space."""
    (tmp_path / "a.h").write_bytes(b"old")
    opened, real = [], builtins.open

    def full(path, mode="r", *args, **kwargs):
        if "w" in mode:
            opened.append(path)
            if len(opened) == failing:
                raise OSError(28, "No space left on device")
        return real(path, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(ArtifactError, match="No space left"):
        _artifact({"a.h": b"1", "b.h": b"2"}).write(tmp_path, force=True)
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.h": b"old"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ArtifactError, match="Could not write"):
        _artifact({"a.h": b"1"}).write(tmp_path)


def test_an_impossible_name(tmp_path):
    with pytest.raises(ArtifactError, match="Could not write"):
        _artifact({"a.h": b"1"}).write(tmp_path / ("q" * 300))


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(ArtifactError, match="Could not write"):
        _artifact({"a.h": b"1"}).write(tmp_path / "out")
