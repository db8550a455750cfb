"""Files that are whole or not there: written beside their target and renamed onto it."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fishcnn.utils.errors import FishError
from fishcnn.utils.text import normalised


class Unwritable(FishError):
    """A file or folder cannot be written.

    Attributes:
        error: of the system.
        wanted: bytes that were to be written, at least; None where that is unknown.
    """

    def __init__(self, message: str, error: OSError, wanted: int | None) -> None:
        super().__init__(message)
        self.error = error
        self.wanted = wanted


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What a disk answers a person, who can put it right.
OF_DISK = (*_FULL, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def replacing(path: Path, *, wanted: int | None = None) -> Iterator[Path]:
    """Give a path to write to, and let what was written there take the place of ``path``.

    The file is written beside its target, on the same file system, brought to the disk and renamed
    in one step: whatever happens meanwhile, ``path`` is the old file or the new one. Nothing stays
    behind an error; what stays behind a kill is overwritten next time. One process at a time
    (:func:`fishcnn.utils.lock.locked`).

    Args:
        path: the target, in a folder that is there. A link is followed.
        wanted: bytes that will be written, for the message about a full disk.

    Yields:
        A path with the suffix of the target.

    Raises:
        FishError: the target is not a regular file, or the disk is full or may not be written to.
    """
    target = regular_target(path)
    unfinished = target.with_name(f".unfinished-{target.name}")
    try:
        yield unfinished
        with unfinished.open("r+b") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError as error:
        wanted = wanted or _size(unfinished)
        _remove(unfinished)
        raise unwritable(path, error, wanted=wanted) from error
    finally:
        _remove(unfinished)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file in one step, see :func:`replacing`.

    Raises:
        FishError: it cannot be written; the message says what is wanted and what is free.
    """
    with replacing(path, wanted=memoryview(content).nbytes) as unfinished:
        unfinished.write_bytes(content)


def write_text(path: Path, text: str, *, encoding: str = "utf-8", errors: str = "strict") -> None:
    """Write a text file in one step, with the line ends as they are; see :func:`write_bytes`."""
    write_bytes(path, text.encode(encoding, errors))


def as_on_disk(root: Path, path: Path) -> Path:
    """Find a file below a folder, though the disk may write its name in another form of Unicode.

    An archive from a Mac does, for one. Where there is none, the path is as it was.
    """
    found = root
    for part in path.parts:
        if not os.path.lexists(found / part):
            try:
                names = {normalised(name): name for name in os.listdir(found)}
            except OSError:
                return root / path
            part = names.get(normalised(part), part)
        found /= part
    return found if os.path.lexists(found) else root / path


def made_folder(folder: Path) -> Path:
    """A folder, which is made if it is not there.

    Raises:
        FishError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def regular_target(path: Path) -> Path:
    """Where a file is written: what a link leads to.

    Raises:
        FishError: something lies there that is not a regular file, a device say.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except OSError:
        return target  # not there yet, or writing will say why
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise FishError(f"{path} is {kind} and is not replaced: name another file")
    return target


def found_below(folder: Path, name: str) -> Iterator[Path]:
    """Files and folders of this name, or relative path, at any depth, as ``Path.rglob`` finds them.

    For folders that other processes make and remove meanwhile, at which that fails before Python
    3.13. Links to folders on the way there are not followed, those in ``name`` are.
    """
    for place, _, _ in os.walk(folder):
        path = Path(place, name)
        if path.exists():
            yield path


def all_below(folder: Path) -> Iterator[Path]:
    """All files and folders below a folder, in which others may remove some meanwhile."""
    for place, folders, files in os.walk(folder):
        yield from map(Path(place).joinpath, folders + files)


def unwritable(path: Path, error: OSError, *, wanted: int | None = None) -> Unwritable:
    """Say why a file or folder cannot be written, and what to do.

    Args:
        path: what was to be written.
        error: of the system.
        wanted: bytes that were to be written, at least; None where that is unknown.
    """
    if error.errno in _FULL:
        folder = path.parent
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        more = f"{megabytes(wanted)} wanted, " if wanted else ""
        message = (
            f"cannot write {path}: the disk of {folder} is full ({more}{megabytes(free)} free); "
            "free some space or choose another folder"
        )
    else:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot write {path}: {reason}; choose a folder that you may write to"
    return Unwritable(message, error, wanted)


def megabytes(count: int) -> str:
    """Bytes for people: ``0.3 MB``."""
    return f"{count / 1e6:,.1f} MB"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _remove(path: Path) -> None:
    with suppress(OSError):  # of a disk that has just failed: that failure is what must be told
        path.unlink(missing_ok=True)
