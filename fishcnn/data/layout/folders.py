"""Which folder level names the classes, and which, if any, the split."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fishcnn.data.layout.names import is_filler, split_name, without_fillers, words
from fishcnn.data.layout.siblings import check_siblings, listed
from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.text import by_looks


class Placed(NamedTuple):
    """An image whose class is known."""

    path: Path  # relative to the root
    folder: Path  # that of its class, or of its class in its split, relative to the root
    split: str | None  # "train", "val" or "test"


class Placement(NamedTuple):
    """Images in the order they came in, and what a person should know of how they were placed."""

    images: list[Placed]
    remarks: list[str]


def place_images(root: Path, images: Sequence[Path], empty: Iterable[str]) -> Placement:
    """Find the class of each image, and its split where the folder is split already.

    Understood are class folders; class folders in the folders of a split, whose names say so; and
    the folders of a split in every class folder. Images in no class folder are left out.

    Args:
        root: For the messages.
        images: Paths relative to root, sorted.
        empty: Names of folders in root without an image.

    Raises:
        ArgumentError: The folder is split, but not so that a fit could use it; or it is not clear
            which folders are the classes.
    """
    tops = _by_folder(images, Path())
    if splits := _split_folders(root, tops, empty):
        return _in_splits(root, tops, splits)
    if len(tops) > 1 and (placed := _split_in_classes(root, tops)):
        return Placement(sorted(placed, key=lambda image: by_looks(image.path.as_posix())), [])
    remarks = _check_split_names(root, tops) if len(tops) > 1 else []
    remarks += check_siblings(root, Path(), tops)
    return Placement(by_class_folder(images), remarks)


def by_class_folder(images: Sequence[Path]) -> list[Placed]:
    """Take every folder of the root for a class, whatever it is called or holds."""
    folders = {name: Path(name) for name in {path.parts[0] for path in images}}
    return [Placed(path, folders[path.parts[0]], None) for path in images if len(path.parts) > 1]


def _by_folder(images: Iterable[Path], base: Path) -> dict[str, list[Path]]:
    """The images of each folder in base, which all of them lie in, however deep."""
    depth = len(base.parts)
    found: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        if len(path.parts) > depth + 1:
            found[path.parts[depth]].append(path)
    return dict(found)


def _split_folders(
    root: Path, tops: Mapping[str, Sequence[Path]], empty: Iterable[str]
) -> dict[str, str]:
    """Map the names of root's train, val and test folders to these three; {} if not split."""
    of_rest: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in sorted({*tops, *empty}):
        if found := split_name(name):
            of_rest[found.rest][name] = found.split
    whole = {rest: names for rest, names in of_rest.items() if _has_train_and_another(names)}
    if () in whole:
        splits = whole[()]
    elif len(whole) == 1 and tops.keys() == (splits := next(iter(whole.values()))).keys():
        folders = [set(_by_folder(tops[name], Path(name))) for name in splits]
        if not set.intersection(*folders):  # Koi_train/1.jpg and Koi_val/1.jpg
            return {}
    else:
        return {}
    if _may_be_classes(tops, splits):
        return {}
    names = listed(splits)
    if len(splits) > len(set(splits.values())):
        raise ArgumentError("root", root, f"has {names}; keep one folder each for train, val, test")
    if "val" not in splits.values():
        train = next(name for name, split in splits.items() if split == "train")
        problem = (
            f"has {names} but no val/; add a val/ folder with the same classes, or name "
            f"{root / train} to have its images split"
        )
        raise ArgumentError("root", root, problem)
    return splits


def _has_train_and_another(splits: Mapping[str, str]) -> bool:
    return "train" in splits.values() and len(set(splits.values())) > 1


def _may_be_classes(tops: Mapping[str, Sequence[Path]], named: Iterable[str]) -> bool:
    """Whether folders named as splits may be classes: valid/, or "Test fish/", beside Koi/.

    They hold no folders, and either there is but one, or each has a word beside that of a split.
    """
    named = set(named)
    alone = len(named) == 1 or all(len(words(name)) > 1 for name in named)
    flat = not any(_by_folder(tops.get(name, []), Path(name)) for name in named)
    return alone and flat and len(tops.keys() - named) > 0


def _in_splits(
    root: Path, tops: Mapping[str, Sequence[Path]], splits: Mapping[str, str]
) -> Placement:
    """Place the images of train/Koi/1.jpg or train/images/Koi/1.jpg."""
    placed, remarks = [], []
    for name, split in splits.items():
        base = Path(name)
        folders = _by_folder(tops.get(name, []), base)
        if len(folders) == 1 and is_filler(only := next(iter(folders))):
            base /= only
            folders = _by_folder(tops[name], base)
        if split == "train":
            remarks = check_siblings(root, base, folders)
        if not folders and split != "test":
            problem = (
                f"has {listed(splits)} but no class folder with images in {root / name}; expected "
                "one folder a class inside each"
            )
            raise ArgumentError("root", root, problem)
        for folder, paths in folders.items():
            of_class = base / folder
            placed += [Placed(path, of_class, split) for path in paths]
    if others := {name: paths for name, paths in tops.items() if name not in splits}:
        count = sum(map(len, others.values()))
        remarks.append(
            f"{count} image(s) in {listed(others)} beside {listed(splits)} are in no split and "
            "were left out."
        )
    return Placement(sorted(placed, key=lambda image: by_looks(image.path.as_posix())), remarks)


def _split_in_classes(root: Path, tops: Mapping[str, Sequence[Path]]) -> list[Placed]:
    """Place the images of Koi/train/1.jpg; [] where no folder holds a split."""
    splits: dict[str, dict[str, str]] = {}
    for top, paths in tops.items():
        own_words = without_fillers(words(top))
        splits[top] = {
            name: found.split
            for name in _by_folder(paths, Path(top))
            if (found := split_name(name)) and found.rest in ((), own_words)
        }
    split_tops = [top for top, names in splits.items() if _has_train_and_another(names)]
    if not split_tops:
        return []
    first = split_tops[0]
    holds = f"has {listed(splits[first])} in {listed(split_tops)}"
    placed = []
    deeper: dict[str, list[Path]] = {}
    for top, paths in tops.items():
        names = splits[top]
        inside = [path for path in paths if path.parts[1] in names and len(path.parts) > 2]
        twice = len(names) > len(set(names.values()))
        if len(inside) < len(paths) or "train" not in names.values() or twice:
            problem = (
                f"{holds}, but {top}/ does not hold one folder each of a split and nothing else. "
                f"If {listed(split_tops)} are classes, give all folders in {root} the same split; "
                f"if not, did you mean {root / first}?"
            )
            raise ArgumentError("root", root, problem)
        deeper[top] = [Path(top, *path.parts[2:]) for path in inside]
        placed += [Placed(path, Path(top), names[path.parts[1]]) for path in inside]
    check_siblings(root, Path(), deeper)
    if not any(image.split == "val" for image in placed):
        problem = (
            f"{holds} but no val/ in any; add a val/ to the classes, or move the images of each "
            "class into one folder to have them split"
        )
        raise ArgumentError("root", root, problem)
    return placed


def _check_split_names(root: Path, tops: Mapping[str, Sequence[Path]]) -> list[str]:
    """Warn of folders that are named as splits, but make up none; refuse them if hardly classes."""
    found = {name: split for name in tops if (split := split_name(name))}
    partners: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for meaning in found.values():
        partners[meaning.rest].add(meaning.split)
    named = [
        name
        for name, (_, rest) in found.items()
        if not rest or ("train" in partners[rest] and len(partners[rest]) > 1)
    ]
    if not named:
        return []
    if _may_be_classes(tops, named):
        return [
            f"{listed(named)} were taken for classes. If they are a split, bring the images into "
            "train/CLASS/ and val/CLASS/."
        ]
    others = [name for name in tops if name not in named]
    beside = f" beside {listed(others)}" if others else ""
    holds_classes = [name for name in named if len(_by_folder(tops[name], Path(name))) > 1]
    meant = f" Did you mean {root / holds_classes[0]}?" if holds_classes else ""
    problem = (
        f"has {listed(named)}{beside}, named as a split, but not one that is understood.{meant} "
        "Bring the images into train/CLASS/, val/CLASS/ and test/CLASS/, or into one folder a "
        "class to have them split; or, if these names are classes, choose data.layout=classes"
    )
    raise ArgumentError("root", root, problem)
