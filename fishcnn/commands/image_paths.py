"""What ``input=`` means: a file, a folder, a glob or standard input, to paths one at a time.

No list of all paths is ever made: at most the names of one folder are held in memory.
"""

import fnmatch
import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from fishcnn.data.folder_walk import walk
from fishcnn.data.image_folder import IMAGE_SUFFIXES
from fishcnn.utils.errors import FishError
from fishcnn.utils.streams import paths_of_lines

# In place of a file: standard input or output.
STREAM = "-"


def image_paths(typed: str) -> Iterator[str]:
    """List the images that a person means, in an order that is the same every time.

    Args:
        typed: one of these, looked at in this order:

            - ``-``: a path on each line of standard input, in its order, in any encoding that
              :func:`~fishcnn.utils.streams.paths_of_lines` reads; empty lines are passed over;
            - a file, whatever its suffix;
            - a folder: every image below it by its suffix, sorted, in every visible folder once, as
              :func:`walk` goes through them. A folder that cannot be listed stands for itself;
            - a glob, in which ``**`` stands for folders at any depth, links not followed: every
              file that matches, whatever its suffix, and, where there is no ``**``, every image
              below a folder that matches.

    Returns:
        Paths, relative where ``typed`` is.

    Raises:
        FishError: there is no such file, or no glob matches.
    """
    if typed == STREAM:
        return paths_of_lines(sys.stdin.buffer)
    path = os.path.expanduser(typed)
    if os.path.isdir(path):
        return _below(path, set())
    if os.path.lexists(path):
        return iter([path])
    if not glob.has_magic(path):
        where = "" if os.path.isabs(path) else f" in {os.getcwd()}"
        raise FishError(f"input={typed}: there is no such file or folder{where}")
    parts = PurePath(path).parts
    return _matching("", parts, set(), deep="**" in parts)


def count_images(typed: str) -> int | None:
    """Count the images that a person means, at least one; None for standard input."""
    if typed == STREAM:
        return None
    total = sum(1 for _ in image_paths(typed))
    if not total:
        raise FishError(f"input={typed}: no image found")
    return total


def _below(folder: str, visited: set[str]) -> Iterator[str]:
    """Yield the images below a folder; reading one that cannot be listed will say why."""
    for path, error in walk(folder, visited):
        if error is not None or os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES:
            yield path


def _matching(folder: str, parts: Sequence[str], visited: set[str], *, deep: bool) -> Iterator[str]:
    """Yield what the parts of a glob match in a folder, "" for where the user stands.

    Where the glob is ``deep``, its ``**`` comes to every folder by itself; otherwise the folders
    that match are gone through, but none that was ``visited``.
    """
    if not parts:
        if not os.path.isdir(folder):
            yield folder
        elif not deep:
            yield from _below(folder, visited)
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        # A last ** is everything below.
        yield from _matching(folder, rest or ["*"], visited, deep=deep)
        for name in _names(folder, "*"):
            inner = os.path.join(folder, name)
            if os.path.isdir(inner) and not os.path.islink(inner):
                yield from _matching(inner, parts, visited, deep=deep)
    elif glob.has_magic(part):
        for name in _names(folder, part):
            yield from _matching(os.path.join(folder, name), rest, visited, deep=deep)
    elif os.path.lexists(literal := os.path.join(folder, part)):
        yield from _matching(literal, rest, visited, deep=deep)


def _names(folder: str, pattern: str) -> list[str]:
    """The names in a folder that match, sorted; hidden ones only where the pattern is."""
    try:
        names = os.listdir(folder or os.curdir)
    except OSError:  # a file, or a folder that cannot be listed: nothing matches there
        return []
    hidden = pattern.startswith(".")
    return sorted(n for n in fnmatch.filter(names, pattern) if hidden or not n.startswith("."))
