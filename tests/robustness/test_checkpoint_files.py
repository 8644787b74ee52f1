"""Checkpoint files: every damage is noticed, and a write that fails leaves what was there."""

import errno
import os
import pathlib
import resource
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_gxnor.callbacks import files
from keras_gxnor.errors import CheckpointError, GXNORError

ARRAYS = [
    np.arange(-1, 2, dtype=np.int8).repeat(7).reshape(3, 7),
    np.array(3, np.int64),
    np.zeros((0, 4), np.float32),
    np.array([np.nan, -0.0, np.inf]),
    np.array([[True], [False]]),
    np.array([1.5, -2.0], ml_dtypes.bfloat16),
    np.array([2**32 - 1], np.uint32),
    np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
]
INFO = {"epoch": 3, "history": {"loss": [0.1, float("inf")]}, "name": "kérnel\n"}
DATA = b"".join(files.encode(INFO, ARRAYS))


def _same(found):
    info, arrays = found
    return info == INFO and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()) for a, b in zip(arrays, ARRAYS)
    )


def test_round_trip(tmp_path):
    assert _same(files.decode(DATA))
    files.write(tmp_path / "new" / "c", INFO, ARRAYS)
    assert _same(files.read(tmp_path / "new" / "c"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c"]


def test_same_content_makes_the_same_bytes():
    assert b"".join(files.encode(dict(reversed(INFO.items())), ARRAYS)) == DATA
    changed = [*ARRAYS[:-1], ARRAYS[-1] + 1]
    assert b"".join(files.encode(INFO, changed)) != DATA


def test_every_flipped_bit_is_noticed():
    for position in range(len(DATA)):
        for bit in range(8):
            damaged = bytearray(DATA)
            damaged[position] ^= 1 << bit
            with pytest.raises(ValueError):
                files.decode(bytes(damaged))


def test_every_other_length_is_noticed():
    for length in range(len(DATA)):
        with pytest.raises(ValueError):
            files.decode(DATA[:length])
    for extra in (b"\0", DATA):
        with pytest.raises(ValueError, match="bytes instead of"):
            files.decode(DATA + extra)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_of_regions_is_noticed(data):
    start = data.draw(st.integers(0, len(DATA) - 1))
    end = data.draw(st.integers(start + 1, len(DATA)))
    region = data.draw(st.binary(min_size=0, max_size=end - start))
    damaged = DATA[:start] + region + DATA[end:]
    if damaged != DATA:
        with pytest.raises(ValueError):
            files.decode(damaged)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_sealed_nonsense_is_malformed_not_a_crash(payload):
    """A file with a right checksum whose content no version of `encode` wrote."""
    head = files._HEAD.pack(files._MAGIC, files._VERSION, len(payload))
    with pytest.raises(ValueError, match="malformed"):
        files.decode(head + files._digest([head, payload]) + payload)


@pytest.mark.parametrize("layout", [[["<f4", [2**62, 4]]], [["<f4", [-1]]], [["O", [1]]], [["<f4"]], 5, []])
def test_sealed_wrong_layouts_are_malformed(layout):
    import json

    text = json.dumps([{}, layout]).encode()
    payload = files._LENGTH.pack(len(text)) + text + bytes(8)
    head = files._HEAD.pack(files._MAGIC, files._VERSION, len(payload))
    with pytest.raises(ValueError, match="malformed"):
        files.decode(head + files._digest([head, payload]) + payload)


def test_a_later_format_is_named():
    head = files._HEAD.pack(files._MAGIC, 2, 0)
    with pytest.raises(ValueError, match="format version 2"):
        files.decode(head + files._digest([head]))


def test_objects_are_refused():
    for odd in (np.array(["a"]), np.array([None]), np.array(0, "datetime64[s]")):
        with pytest.raises(TypeError, match="numbers"):
            files.encode({}, [odd])


def test_read_says_which_file(tmp_path):
    (tmp_path / "c").write_bytes(DATA[:-1])
    for path in (tmp_path / "c", tmp_path / "missing", tmp_path):
        with pytest.raises(CheckpointError, match=str(path)) as caught:
            files.read(path)
        assert isinstance(caught.value, (GXNORError, OSError))


FAULTS = {
    "open": ("builtins.open", PermissionError(errno.EACCES, "denied")),
    "fsync": ("os.fsync", OSError(errno.EIO, "broken disk")),
    "replace": ("os.replace", OSError(errno.ENOSPC, "No space left on device")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_write_leaves_what_was_there(fault, tmp_path, monkeypatch):
    files.write(tmp_path / "c", INFO, ARRAYS)
    name, error = FAULTS[fault]
    with monkeypatch.context() as patch:
        patch.setattr(name, lambda *args, **kwargs: (_ for _ in ()).throw(error))
        with pytest.raises(CheckpointError, match=f"{tmp_path}/c.*{error.strerror}"):
            files.write(tmp_path / "c", {}, [])
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert _same(files.read(tmp_path / "c"))


@pytest.mark.parametrize("limit", [0, 1, 100, 4096, 99_999])
def test_a_write_cut_short_by_the_system(limit, tmp_path):
    """A real limit of the kernel, met in the middle of the payload."""
    import signal

    files.write(tmp_path / "c", INFO, ARRAYS)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        with pytest.raises(CheckpointError, match="Make room"):
            files.write(tmp_path / "c", {}, [np.ones(100_000, np.int8)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert _same(files.read(tmp_path / "c"))


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/nowhere"])
def test_folders_that_cannot_be(folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    for use in (lambda path: files.write(path / "c", INFO, ARRAYS), files.lock):
        with pytest.raises(CheckpointError, match=folder):
            use(tmp_path / folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_unfinished_files_are_removed_and_nothing_else(tmp_path):
    for name in (".gxnor-unfinished-123", "epoch-00000-batch-00000000.gxnor", "notes.tmp"):
        (tmp_path / name).write_text("x")
    files.remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"epoch-00000-batch-00000000.gxnor", "notes.tmp"}


LOCKER = """
import fcntl, pathlib, sys
file = open(pathlib.Path(sys.argv[1]) / ".lock", "a")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("locked", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(CheckpointError, match="Another process"):
            files.lock(tmp_path)
    finally:
        other.kill()
        other.wait()
    files.lock(tmp_path).close()  # the system has taken the dead one's lock away


def test_the_new_file_is_forced_to_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: order.append(os.path.isdir(f"/proc/self/fd/{fd}")) or fsync(fd)
    )
    monkeypatch.setattr(os, "replace", lambda a, b: order.append("replace") or replace(a, b))
    files.write(pathlib.Path(tmp_path) / "c", INFO, ARRAYS)
    assert order == [False, "replace", True]
