"""The files below a folder: one walk for whoever looks for images in folders."""

import os
from collections.abc import Iterator

# Left behind by file managers and archivers; nobody wants to read about them.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def is_visible(name: str) -> bool:
    """Whether a file or folder is meant for people."""
    return not name.startswith(".") and name.lower() not in _LITTER


def walk(root: str, visited: set[str] | None = None) -> Iterator[tuple[str, OSError | None]]:
    """List the visible files below a folder, sorted as whole paths are, one folder at a time.

    Links are followed, but every folder is gone through once, by whatever names it can be reached:
    by its own one where that lies below root, or else by the first. Links to a folder around
    themselves are passed over. So links neither lead in circles nor multiply the images.

    Args:
        root: The folder; paths begin with it.
        visited: Real paths of folders that other walks have gone through; those of this one are
            added.

    Yields:
        The path of a file and None; or of a folder that cannot be listed, and why.
    """
    visited = set() if visited is None else visited
    top = os.path.realpath(root)
    # What is left to do, the next at the end: a path, and the real path where it is a folder.
    left: list[tuple[str, str | None]] = [(root, top)]
    while left:
        path, real = left.pop()
        if real is None:
            yield path, None
            continue
        if real in visited:
            continue
        visited.add(real)
        try:
            with os.scandir(path) as entries:
                found = [(e.name, _is_folder(e), e.is_symlink()) for e in entries]
        except OSError as error:
            yield path, error
            continue
        # With the slash, names sort as whole paths do.
        found.sort(key=lambda one: one[0] + "/" if one[1] else one[0], reverse=True)
        for name, is_folder, is_link in found:
            if not is_visible(name):
                continue
            inner, target = os.path.join(path, name), None
            if is_folder:
                target = os.path.realpath(inner) if is_link else os.path.join(real, name)
                if is_link and (_lies_in(real, target) or _has_own_name(target, top)):
                    continue
            left.append((inner, target))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say; reading it will say why
        return False


def _lies_in(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(os.path.join(outer, ""))


def _has_own_name(target: str, top: str) -> bool:
    """Whether a walk from ``top`` comes to a folder without following a link."""
    if not _lies_in(target, top):
        return False
    return all(map(is_visible, os.path.relpath(target, top).split(os.sep)))
