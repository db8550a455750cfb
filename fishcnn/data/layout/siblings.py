"""The sign of a folder one level too high: sibling folders hold the same sub-folder names."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fishcnn.data.layout.names import alike, is_detail, is_filler, is_numbered, is_part
from fishcnn.utils.errors import ArgumentError

# Folders that a message names.
_NAMED = 5
# Folders are taken for classes if there are so many of them to each folder name that they share.
_CLASSES_A_NAME = 2
# A folder holds images of its own if this share of them lies directly in it.
_MIN_OWN = 0.1


def check_siblings(root: Path, base: Path, folders: Mapping[str, Sequence[Path]]) -> list[str]:
    """See whether folders that are to be classes seem to hold the classes instead.

    Folders that sort the images of one class, such as "2023", "left" or "camera 2", are no classes,
    nor are numbers such as "01" or "100CANON", unless all folders are named as splits, folds or
    places: fold1/01 and fold2/01. Where other names are shared, the outer folders are taken for the
    classes, with a warning, if they are at least twice as many as these names and not all named
    as splits, folds or places: ten species with "eye" and "fin" each. Else either may be the
    classes, as with two places of ten species each, and the folder is refused.

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
    parts_like = all(map(is_part, folders))
    held = {
        name: _folders_in([p.parts[depth:] for p in paths], parts_like)
        for name, paths in folders.items()
    }
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
    classes_like = not parts_like and len(sharing) >= _CLASSES_A_NAME * len(shared)
    if shared and (parts_like or (len(shared) > 1 and not classes_like)):
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
            f"{listed(sharing)} were taken for the classes. They hold folders of the same names, "
            f"{inner_names}; if those are the classes, bring the images of each into one folder."
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


def _folders_in(paths: Sequence[tuple[str, ...]], numbers: bool) -> dict[str, str]:
    """The folders that might be classes among those that hold the images of a folder.

    Numbers are among them only if ``numbers``.

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
    return {
        key: name
        for key, name in names.items()
        if (numbers if is_numbered(name) else not is_detail(name))
    }
