"""Whether drawn files are still what was drawn."""

import json
import zlib
from pathlib import Path
from typing import Any

from fishcnn.utils.files import write_text

_LIST = "settings.json"
_KINDS = ("pictures", "masks")


def write_list(folder: Path, settings: dict[str, Any], *, into: Path | None = None) -> None:
    """Write down what a folder was drawn with, and a checksum of each of its files.

    Args:
        folder: where the list is written.
        settings: what its files were drawn with.
        into: a folder with more files, whose place those of ``folder`` will take.
    """
    places = {name: place for place in (into, folder) if place for name in _names(place)}
    files = {name: _checksum(places[name] / name) for name in sorted(places)}
    write_text(folder / _LIST, json.dumps(settings | {"files": files}, indent=2) + "\n")


def damaged_files(folder: Path, settings: dict[str, Any], wanted: list[str]) -> list[str] | None:
    """Find the files that are missing or have been changed; None where all of them are in doubt.

    Files that have not been written to since the list was are not read for it.

    Args:
        folder: where they were drawn.
        settings: what they were drawn with.
        wanted: all of them, by relative path.
    """
    try:
        content = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        files = content.pop("files", None)
        if content != settings or (files is not None and not files.keys() >= set(wanted)):
            return None
        written = (folder / _LIST).stat().st_mtime_ns
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    if files is None:  # drawn by a version that wrote no checksums
        return [name for name in wanted if not (folder / name).is_file()]
    return [name for name in wanted if not _sound(folder / name, files[name], written)]


def _sound(file: Path, checksum: int, written: int) -> bool:
    try:
        stat = file.stat()
        touched = max(stat.st_mtime_ns, stat.st_ctime_ns) > written
        return stat.st_size > 0 and (not touched or _checksum(file) == checksum)
    except OSError:
        return False


def _checksum(file: Path) -> int:
    return zlib.crc32(file.read_bytes())


def _names(folder: Path) -> list[str]:
    files = (file for kind in _KINDS for file in (folder / kind).rglob("*.*"))
    return sorted(file.relative_to(folder).as_posix() for file in files if file.is_file())
