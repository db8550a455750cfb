"""The sign of a folder one level too high: sibling folders hold the same sub-folder names."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fishcnn.data.layout.names import alike, is_detail, is_filler
from fishcnn.utils.errors import ArgumentError

# Folders that a message names.
_NAMED = 5
# A folder holds images of its own if this share of them lies directly in it.
_MIN_OWN = 0.1


def check_siblings(root: Path, base: Path, folders: Mapping[str, Sequence[Path]]) -> list[str]:
    """See whether folders that are to be classes seem to hold the classes instead.

    Folders that sort the images of one class, such as "2023", "left" or "camera 2", are no classes.

    Args:
        root: For the message.
        base: Where the folders are, relative to root.
        folders: The images of each, relative to root.

    Returns:
        What a person should know, where it is not clear that they are the classes.

    Raises:
        ArgumentError: At least two of them hold folders of the same names.
    """
    depth = len(base.parts) + 1
    held = {name: _folders_in([p.parts[depth:] for p in paths]) for name, paths in folders.items()}
    holders: dict[str, list[str]] = defaultdict(list)
    spelt = {}
    for name, inner in held.items():
        for key, spelling in inner.items():
            holders[key].append(name)
            spelt[key] = spelling
    shared = sorted(key for key, names in holders.items() if len(names) > 1)
    sharing = [name for name, inner in held.items() if inner.keys() & set(shared)]
    if all(len(held[name]) == 1 for name in sharing):  # Koi/specimens and Rui/specimens
        shared = []
    inner_names = listed([spelt[key] for key in shared])
    if len(shared) > 1 or (shared and all(map(is_detail, sharing))):
        largest = max(sharing, key=lambda name: (is_filler(name), len(folders[name])))
        parents = listed([(base / name).as_posix() for name in sharing])
        problem = (
            f"has {parents}, which hold folders of the same names, {inner_names}. If {inner_names} "
            f"are the classes, did you mean {root / base / largest}? Or bring the images of each "
            "class into one folder. If they are inside a split, rename the folders around them to "
            f"train/, val/ and test/. If {parents} are the classes, choose data.layout=classes"
        )
        raise ArgumentError("root", root, problem)
    if shared:
        return [
            f"The classes {listed(sharing)} hold folders of the same name, {inner_names}. If that "
            "is a class, bring its images into one folder."
        ]
    if folders and all(len(inner) > 1 for inner in held.values()):
        some = listed([name for inner in held.values() for name in inner.values()])
        return [
            f"The classes {listed(folders)} hold no images of their own, only folders ({some}). If "
            f"those are the classes, move them up into one folder."
        ]
    return []


def listed(names: Iterable[str]) -> str:
    """Folder names for a message, the first few of them."""
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"{name}/" for name in names[:_NAMED]) + more


def _folders_in(paths: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The folders that might be classes among those that hold the images of a folder.

    Returns:
        Their names by what makes them alike; {} where enough images lie beside them.
    """
    names: dict[str, str] = {}
    while sum(len(parts) == 1 for parts in paths) < _MIN_OWN * len(paths):
        paths = [parts for parts in paths if len(parts) > 1]
        names = {alike(parts[0]): parts[0] for parts in paths}
        if len(names) > 1:
            break
        # A folder that holds nothing but another one says less than what is in that.
        paths = [parts[1:] for parts in paths]
    return {key: name for key, name in names.items() if not is_detail(name)}
