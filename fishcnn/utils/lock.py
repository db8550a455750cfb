"""One process at a time, and who it is."""

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from fishcnn.utils.errors import FishError
from fishcnn.utils.files import unwritable, write_text

_HOLDER, _LOCK = ".in-use-by", ".lock"


@contextmanager
def locked(path: Path, *, wait: float = 0.1) -> Iterator[None]:
    """Keep other processes from writing to ``path`` meanwhile, be it a file or a folder.

    The lock is a hidden file inside the folder or beside the file. The system frees it when this
    process ends, however it ends; only after a kill does the file stay behind, until another lock
    is made in that folder. On a file system that knows no locks, of which filelock warns, the file
    itself is the lock: after a kill it is removed by the next process on the same machine, and by
    hand where that is another one.

    Args:
        path: of the file or the folder.
        wait: seconds to wait for another process. Never 0: the one before may be removing the file
            just now.

    Raises:
        FishError: another process holds it; the message says which. Or the folder may not be
            written to.
    """
    holder, file = lock_files(path)
    lock = FileLock(file)
    try:
        _remove_left_behind(file.parent, but=file)
        lock.acquire(timeout=wait)
    except Timeout:
        try:
            Path(lock.lock_file).touch()  # filelock says the same of a folder that takes no files
        except OSError as error:
            raise unwritable(path, error) from error
        raise FishError(
            f"{path} is being written to by {_read(holder)}: wait until that has ended, or choose "
            "another place"
        ) from None
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        write_text(
            holder,
            f"process {os.getpid()} on {platform.node()}, {Path(sys.argv[0]).name}, {_now()}",
        )
        yield
    finally:
        with suppress(OSError):  # of a disk that has just failed, or of Windows
            holder.unlink(missing_ok=True)
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def user_of(path: Path) -> str | None:
    """Which process is writing to a file or a folder; None where none is, or none can be asked."""
    holder, file = lock_files(path)
    try:
        if file.exists():
            with FileLock(file).acquire(timeout=0):
                return None  # left behind by a kill
    except Timeout:
        return _read(holder)
    except OSError:
        return None
    return None


def lock_files(path: Path) -> tuple[Path, Path]:
    """The file that names who holds the lock of a file or a folder, and the lock."""
    folder, name = (path, "") if path.is_dir() else (path.parent, f"-{path.name}")
    return folder / f"{_HOLDER}{name}", folder / f"{_LOCK}{name}"


def _remove_left_behind(folder: Path, *, but: Path) -> None:
    """Remove the locks of processes that were killed, which nobody holds any more.

    A file without the one that names its holder may be another program's.
    """
    for holder in folder.glob(f"{_HOLDER}*"):
        file = holder.with_name(holder.name.replace(_HOLDER, _LOCK, 1))
        if file == but or not file.is_file():
            continue
        with suppress(Timeout, OSError), FileLock(file).acquire(timeout=0):
            holder.unlink(missing_ok=True)
            file.unlink(missing_ok=True)


def _read(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")
    except OSError:  # the other one is about to write it, or has ended just now
        return "another process"


def _now() -> str:
    return time.strftime("since %Y-%m-%d %H:%M:%S")
