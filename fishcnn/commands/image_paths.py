"""What ``input=`` means: a file, a folder, a glob or standard input, to paths one at a time.

No list of all paths is ever made: at most the names of one folder are held in memory.
"""

import fnmatch
import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from fishcnn.data.image_folder import IMAGE_SUFFIXES
from fishcnn.utils.errors import FishError

STANDARD_INPUT = "-"


def image_paths(typed: str) -> Iterator[str]:
    """List the images that a person means, in an order that is the same every time.

    Args:
        typed: one of these, looked at in this order:

            - ``-``: a path on each line of standard input, in its order; empty lines are passed
              over;
            - a file, whatever its suffix;
            - a folder: every image below it by its suffix, sorted; hidden files and folders are
              passed over, links are followed. A folder that cannot be listed stands for itself;
            - a glob, in which ``**`` stands for folders at any depth, links not followed: every
              file that matches, whatever its suffix, and, where there is no ``**``, every image
              below a folder that matches.

    Returns:
        Paths, relative where ``typed`` is.

    Raises:
        FishError: there is no such file, or no glob matches.
    """
    if typed == STANDARD_INPUT:
        lines = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        return (os.fsdecode(line) for line in lines if line)
    path = os.path.expanduser(typed)
    if os.path.isdir(path):
        return _below(path, ())
    if os.path.lexists(path):
        return iter([path])
    if not glob.has_magic(path):
        raise FishError(f"input={typed}: there is no such file or folder in {os.getcwd()}")
    parts = PurePath(path).parts
    return _matching("", parts, deep="**" in parts)


def count_images(typed: str) -> int | None:
    """Count the images that a person means, at least one; None for standard input."""
    if typed == STANDARD_INPUT:
        return None
    total = sum(1 for _ in image_paths(typed))
    if not total:
        raise FishError(f"input={typed}: no image found")
    return total


def _below(folder: str, around: tuple[str, ...]) -> Iterator[str]:
    """Yield the images below a folder; ``around`` are the real paths of the folders around it."""
    here = os.path.realpath(folder)
    if here in around:
        return  # a link to a folder around itself has no end
    try:
        with os.scandir(folder) as entries:
            # With the slash, names sort as whole paths do.
            names = sorted(e.name + "/" if e.is_dir() else e.name for e in entries)
    except OSError:
        yield folder  # reading it as an image will say why
        return
    for name in names:
        path = os.path.join(folder, name)
        if name.startswith("."):
            continue
        if name.endswith("/"):
            yield from _below(path[:-1], (*around, here))
        elif os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
            yield path


def _matching(folder: str, parts: Sequence[str], *, deep: bool) -> Iterator[str]:
    """Yield what the parts of a glob match in a folder, "" for where the user stands.

    Where the glob is ``deep``, its ``**`` comes to every folder by itself.
    """
    if not parts:
        if not os.path.isdir(folder):
            yield folder
        elif not deep:
            yield from _below(folder, ())
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        # A last ** is everything below.
        yield from _matching(folder, rest or ["*"], deep=deep)
        for name in _names(folder, "*"):
            inner = os.path.join(folder, name)
            if os.path.isdir(inner) and not os.path.islink(inner):
                yield from _matching(inner, parts, deep=deep)
    elif glob.has_magic(part):
        for name in _names(folder, part):
            yield from _matching(os.path.join(folder, name), rest, deep=deep)
    elif os.path.lexists(literal := os.path.join(folder, part)):
        yield from _matching(literal, rest, deep=deep)


def _names(folder: str, pattern: str) -> list[str]:
    """The names in a folder that match, sorted; hidden ones only where the pattern is."""
    try:
        names = os.listdir(folder or os.curdir)
    except OSError:  # a file, or a folder that cannot be listed: nothing matches there
        return []
    hidden = pattern.startswith(".")
    return sorted(n for n in fnmatch.filter(names, pattern) if hidden or not n.startswith("."))
