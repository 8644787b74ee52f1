"""Checkpoint files: arrays and their description, checksummed, written all or nothing.

A file is, little endian: the magic, the format version (uint32), the length of the
payload (uint64), the SHA-256 of all that and the payload; then the payload: the length
of a JSON text (uint64), the text, and the bytes of the arrays one after another. The
same content always makes the same bytes: there is no time, no host and no pickle in it.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import struct

import numpy as np

from keras_gxnor.errors import CheckpointError

try:
    import fcntl
except ImportError:  # not POSIX: folders are then not locked
    fcntl = None


_MAGIC, _VERSION = b"GXNORckp", 1
_HEAD, _LENGTH, _DIGEST_SIZE = struct.Struct("<8sIQ"), struct.Struct("<Q"), 32
_TEMPORARY = ".gxnor-unfinished-"


def encode(info: dict, arrays) -> list:
    """The parts (bytes-like) of a checkpoint file, in order.

    Args:
        info: JSON-able dict.
        arrays: NumPy arrays of numbers; bfloat16 and its like are numbers too.

    Example:

    >>> from keras_gxnor.callbacks import files
    >>> data = b"".join(files.encode({"epoch": 3}, [np.array([1, 2], np.int8)]))
    >>> files.decode(data)
    ({'epoch': 3}, [array([1, 2], dtype=int8)])
    """
    arrays = [np.asarray(array, order="C") for array in arrays]
    layout = [[_dtype_name(array.dtype), list(array.shape)] for array in arrays]
    text = json.dumps([info, layout], sort_keys=True, separators=(",", ":")).encode()
    payload = [_LENGTH.pack(len(text)), text, *(a.reshape(-1).view(np.uint8) for a in arrays)]
    head = _HEAD.pack(_MAGIC, _VERSION, sum(len(part) for part in payload))
    return [head, _digest([head, *payload]), *payload]


def decode(data: bytes) -> tuple[dict, list]:
    """Inverse of `encode`: (info, arrays); the arrays are read-only views of `data`.

    Raises:
        ValueError: if a single bit is not as it was written; the message says what is wrong.
    """
    start = _HEAD.size + _DIGEST_SIZE
    if len(data) < start:
        raise ValueError(f"it has {len(data)} bytes, fewer than a header")
    magic, version, length = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("it does not begin like a checkpoint")
    if len(data) != start + length:
        raise ValueError(f"it has {len(data)} bytes instead of {start + length}")
    view = memoryview(data)
    if _digest([view[: _HEAD.size], view[start:]]) != data[_HEAD.size : start]:
        raise ValueError("its checksum does not match its content")
    if version != _VERSION:
        raise ValueError(f"it has format version {version}, and this keras_gxnor reads {_VERSION}")
    try:
        return _decode_payload(view[start:])
    except (ValueError, TypeError, struct.error, RecursionError) as error:
        raise ValueError(f"its content is malformed ({error})") from error


def _decode_payload(payload):
    (length,) = _LENGTH.unpack_from(payload)
    at = _LENGTH.size + length
    info, layout = json.loads(bytes(payload[_LENGTH.size : at]))
    arrays = []
    for name, shape in layout:
        dtype = np.dtype(name)
        size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(payload[at : at + size], dtype).reshape(shape))
        at += size
    if at != len(payload):
        raise ValueError(f"{len(payload) - at} bytes belong to no array")
    return info, arrays


def _dtype_name(dtype):
    if dtype.kind in "biufc":
        return dtype.str  # with the byte order
    if dtype.kind in "OUSMm" or dtype.names:
        raise TypeError(f"Only arrays of numbers can be saved. Received: dtype={dtype}")
    return dtype.name  # bfloat16 and its like


def _digest(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def read(path) -> tuple[dict, list]:
    """Reads a checkpoint file: (info, arrays).

    Raises:
        CheckpointError: if the file cannot be read or is damaged.
    """
    try:
        return decode(pathlib.Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}.") from error


def write(path, info: dict, arrays):
    """Writes a checkpoint file; it is at `path` whole, or not at all.

    The bytes go to another file of the same folder, are forced to the disk, and only
    then get their name; a crash leaves `path` as it was.

    Raises:
        CheckpointError: if the system refuses; no unfinished file is left.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            for part in encode(info, arrays):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint {path} could not be written: {error}. The checkpoints before it are "
            "untouched. Make room or give the folder write permission, then run the script "
            "again: it goes on from the last one."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _sync_folder(folder):
    """Forces a folder's entries to the disk, where the system knows such a thing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove_unfinished(folder):
    """Removes what a killed `write` left in `folder`. Only for the holder of its lock."""
    for path in pathlib.Path(folder).glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def lock(folder):
    """Locks `folder` for this process; the system unlocks it when the process ends.

    Args:
        folder: Path; made if missing.

    Returns:
        An open file that holds the lock until it is closed.

    Raises:
        CheckpointError: if another process holds it, or the folder cannot be made.
    """
    try:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        # Closed by the caller: it holds the lock.
        file = open(pathlib.Path(folder) / ".lock", "a")  # noqa: SIM115
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint folder {folder} cannot be used: {error}. Choose another one, or give "
            "it write permission."
        ) from error
    try:
        if fcntl:
            # Of this process alone: a forked worker that outlives it does not keep the lock.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.close()
        raise CheckpointError(
            f"Another process is training with the checkpoint folder {folder}. Wait for it, or "
            "give each run a folder of its own."
        ) from error
    except OSError:
        pass  # a file system without locks
    return file
