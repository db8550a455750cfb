"""The bytes of an image file, and of nothing that only looks like one."""

import os
import stat
from pathlib import Path

# 512 MB: a 16-bit RGB TIFF of 85 megapixels, or any photograph. A larger file is left out.
MAX_FILE_BYTES = 512_000_000

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnreadableImage(Exception):
    """An image file that cannot be decoded whole, for a ``reason`` such as "empty file"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_bytes(path: Path) -> bytes:
    """Read a file that should hold an image, following links; it never waits, nor reads on and on.

    Raises:
        UnreadableImage: The file is missing, may not be read, is not a regular file, or is larger
            than MAX_FILE_BYTES.
    """
    try:
        # Before it is opened: opening may already do something to a device.
        _check_regular(os.stat(path))
        # Without waiting, as a pipe may have taken the file's place meanwhile.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(status)
            content = file.read(status.st_size + 1)
    except OSError as error:
        raise UnreadableImage((error.strerror or str(error)).lower()) from error
    except ValueError as error:  # a NUL in the name, which a list of paths may hold
        raise UnreadableImage(str(error)) from error
    if len(content) > status.st_size:
        raise UnreadableImage(
            "grew while it was read: it is still being written, or is not an image"
        )
    return content


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise UnreadableImage(f"{kind}, not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise UnreadableImage(
            f"{status.st_size / 1e6:,.0f} MB, more than the {MAX_FILE_BYTES / 1e6:.0f} MB that are "
            "read of a file"
        )
