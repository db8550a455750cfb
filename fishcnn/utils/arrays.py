"""Arrays in a file that says itself whether it is as it was written."""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHECKSUM = "checksum"


class DamagedFile(Exception):
    """A file is not what has once been written to it; the message says in a few words why."""


def write_arrays(file: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays to an ``.npz`` file, whatever its suffix, and bring it to the disk."""
    named: dict[str, Any] = {**arrays, _CHECKSUM: np.uint32(_checksum(arrays))}
    with file.open("wb") as stream:
        np.savez(stream, **named)
        stream.flush()
        os.fsync(stream.fileno())


def replace_arrays(file: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays beside a file and let them take its place; processes that do it do not meet.

    Raises:
        OSError: the disk is full, say; the file is what it was.
    """
    new = file.with_suffix(f".new{os.getpid()}")
    try:
        write_arrays(new, **arrays)
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` has written, all of it or nothing.

    Raises:
        DamagedFile: it is something else by now.
        OSError: it cannot be read.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        written = arrays.pop(_CHECKSUM)
        intact = written.shape == () and int(written) == _checksum(arrays)
    except OSError:
        raise
    except Exception as error:  # what zipfile and NumPy say of junk is of almost any type
        reason = str(error).split("\n")[0] or type(error).__name__
        raise DamagedFile(reason) from error
    if not intact:
        raise DamagedFile("its checksum is another one")
    return arrays


def _checksum(arrays: dict[str, NDArray[Any]]) -> int:
    """Of names, types, shapes and values: each member of a zip file has only one of its own."""
    checksum = 0
    for name, array in sorted(arrays.items()):
        head = repr((name, array.dtype.descr, array.shape)).encode()
        checksum = zlib.crc32(np.ascontiguousarray(array).data, zlib.crc32(head, checksum))
    return checksum
