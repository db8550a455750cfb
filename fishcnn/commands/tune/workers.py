"""The processes that share a search: which of them are still alive, on this machine or another."""

import os
import platform
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fishcnn.utils.files import made_folder, write_text
from fishcnn.utils.lock import locked, user_of
from fishcnn.utils.run_folder import WORKERS

# A process says so often that it is alive, and is taken for dead after so long a silence.
_BEAT_SECONDS, SILENT_SECONDS = 20.0, 180.0


@contextmanager
def working(folder: Path) -> Iterator[str]:
    """Be known as alive to the other processes of a search meanwhile.

    A file in its folder is locked, which the system undoes however this process ends. Between
    machines not every file system knows locks, so that a thread touches the file as well.

    Yields:
        The name of this process.

    Raises:
        FishError: the folder cannot be written to.
    """
    name = f"{platform.node() or 'machine'}-{os.getpid()}-{secrets.token_hex(3)}"
    file = made_folder(folder / WORKERS) / name
    write_text(file, "")
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_SECONDS):
            with suppress(OSError):
                os.utime(file)

    try:
        with locked(file):
            threading.Thread(target=beat, daemon=True).start()
            yield name
    finally:
        ended.set()
        with suppress(OSError):  # of a disk that has just failed
            file.unlink(missing_ok=True)


def is_alive(folder: Path, name: str, *, asking: str) -> bool:
    """Whether a process that works, or has worked, in the folder of a search is there.

    Args:
        folder: of the search.
        name: of the process.
        asking: the process that wants to know, which is alive.
    """
    file, own = folder / WORKERS / name, folder / WORKERS / asking
    if name == asking or user_of(file):
        return True
    if _machine(name) == _machine(asking):
        return False
    try:
        os.utime(own)  # by the clock of the disk, not of either machine
        return own.stat().st_mtime - file.stat().st_mtime < SILENT_SECONDS
    except OSError:
        return False


def _machine(name: str) -> str:
    return name.rsplit("-", 2)[0]
