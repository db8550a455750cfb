"""A folder of pictures to a list of paths and labels; no picture is opened here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.utils.errors import FishError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
    # Pillow may not read these, but then their files are named in the report.
    | {".avif", ".heic", ".heif", ".jp2"}
)
# Left behind by file managers and archivers; nobody wants to read about them.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_SIDES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LAYOUT = "expected one folder a class with the pictures inside"


@dataclass(frozen=True)
class ImageIndex:
    """The pictures of a folder, in an order that is the same on every machine.

    Attributes:
        root: The folder that was scanned.
        classes: Class names, sorted; a label is an index into them.
        paths: N paths relative to root, sorted as POSIX strings.
        labels: int64 (N,), 0 <= label < len(classes).
        splits: "train", "val" or "test" for every path where the folder is split, else None.
        empty_classes: Folders relative to root that hold no picture and were left out.
        ignored: Files that are no picture by their suffix or lie outside every class folder.
    """

    root: Path
    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    splits: tuple[str, ...] | None
    empty_classes: tuple[str, ...]
    ignored: int


def scan_folder(root: Path) -> ImageIndex:
    """List the pictures under root, one folder a class, or train/ and val/ (and test/) of such.

    ImageSet deeper inside a class folder belong to that class. Hidden files and the litter of file
    managers are passed over. A file counts as a picture by its suffix, in any case.

    Raises:
        FishError: There is no such folder, or it does not have this layout with at least two
            classes; the message says what is there instead.
    """
    root = root.expanduser()
    if not root.exists():
        raise FishError(f"data.root={root} does not exist; {_LAYOUT}.")
    if not root.is_dir():
        raise FishError(f"data.root={root} is a file; {_LAYOUT}.")
    files = sorted(_visible_files(root), key=Path.as_posix)
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        raise FishError(
            f"data.root={root} holds no picture, only {len(files)} other file(s); {_LAYOUT}."
        )
    sides = _side_folders(root, pictures)
    # Where the class name stands in a path: Koi/1.jpg or train/Koi/1.jpg.
    depth = 1 if sides else 0
    if sides:
        pictures = [path for path in pictures if path.parts[0] in sides]
    pictures = [path for path in pictures if len(path.parts) > depth + 1]
    names = [path.parts[depth] for path in pictures]
    classes = tuple(sorted(set(names)))
    if sides:
        _check_classes_of_sides(root, pictures, sides)
    elif len(classes) < 2:
        raise _too_few_classes(root, classes, len(pictures))
    label_of_class = {name: label for label, name in enumerate(classes)}
    class_folders = [f for top in sides or [""] for f in _visible_folders(root / top)]
    filled = {root.joinpath(*path.parts[: depth + 1]) for path in pictures}
    empty = sorted(f.relative_to(root).as_posix() for f in class_folders if f not in filled)
    return ImageIndex(
        root=root,
        classes=classes,
        paths=tuple(pictures),
        labels=np.array([label_of_class[name] for name in names], dtype=np.int64),
        splits=tuple(sides[path.parts[0]] for path in pictures) if sides else None,
        empty_classes=tuple(empty),
        ignored=len(files) - len(pictures),
    )


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _LITTER


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and _is_visible(p.name))


def _visible_files(root: Path) -> Iterator[Path]:
    """Yield every file below root that is not hidden, relative to root."""

    def refuse(error: OSError) -> None:
        raise FishError(f"data.root={root}: cannot list {error.filename}: {error.strerror}.")

    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        here = Path(folder)
        # A class folder may be a link to elsewhere, but a link to a folder around it has no end.
        subfolders[:] = [
            name
            for name in subfolders
            if _is_visible(name) and not here.resolve().is_relative_to((here / name).resolve())
        ]
        yield from (here.relative_to(root) / name for name in names if _is_visible(name))


def _side_folders(root: Path, pictures: list[Path]) -> dict[str, str]:
    """Map the names of root's train, val and test folders to these three; {} if not split.

    Raises:
        FishError: The folder is split, but not so that a fit could use it.
    """
    folders = [folder.name for folder in _visible_folders(root)]
    sides = {name: _SIDES[name.lower()] for name in folders if name.lower() in _SIDES}
    found = list(sides.values())
    if "train" not in found or len(folders) == 1:
        return {}
    names = ", ".join(f"{name}/" for name in sides)
    if len(found) > len(set(found)):
        raise FishError(f"data.root={root} has {names}: keep one folder each for train, val, test.")
    if "val" not in found:
        if len(sides) < len(folders):
            return {}
        train = next(name for name, side in sides.items() if side == "train")
        raise FishError(
            f"data.root={root} has {names} but no val/. Add a val/ folder with the same classes, "
            f"or type data.root={root / train} to have its pictures split."
        )
    for name, side in sides.items():
        if side != "test" and not any(p.parts[0] == name and len(p.parts) > 2 for p in pictures):
            raise FishError(
                f"data.root={root} has {names} but no class folder with pictures in {root / name}; "
                "expected one folder a class inside each."
            )
    return sides


def _check_classes_of_sides(root: Path, pictures: list[Path], sides: dict[str, str]) -> None:
    """Raise a FishError if val/ or test/ has a class that train/ does not have."""
    classes = {
        name: sorted({path.parts[1] for path in pictures if path.parts[0] == name})
        for name in sides
    }
    train = next(name for name, side in sides.items() if side == "train")
    for name, held_out in classes.items():
        unknown = sorted(set(held_out) - set(classes[train]))
        if unknown:
            raise FishError(
                f"data.root={root}: {name}/ has classes that {train}/ does not have: "
                f"{', '.join(unknown)}. {train}/ has {', '.join(classes[train])}; "
                f"{name}/ has {', '.join(held_out)}."
            )
    if len(classes[train]) < 2:
        raise FishError(
            f"data.root={root}: {train}/ has only one class with pictures, {classes[train][0]}; "
            "expected at least two class folders."
        )


def _too_few_classes(root: Path, classes: tuple[str, ...], count: int) -> FishError:
    """Say what a folder with pictures but without two classes seems to be instead."""
    if not classes:
        return FishError(
            f"data.root={root} has pictures directly in it and none in a sub-folder; {_LAYOUT}."
        )
    # An unpacked archive often has the folder once more inside itself.
    inner = root / classes[0]
    while len(folders := _visible_folders(inner)) == 1:
        inner = folders[0]
    if len(folders) > 1:
        return FishError(
            f"data.root={root} has pictures in only one folder, {classes[0]}, which holds more "
            f"folders; did you mean data.root={inner}?"
        )
    return FishError(
        f"data.root={root} has only one class with pictures, {classes[0]} ({count} picture(s)); "
        "expected at least two class folders."
    )
