"""A folder of images to an index of their paths and labels; no image is opened here."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fishcnn.data.image_index import ImageIndex
from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.machine import user_path

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
    # Pillow may not read these, but then their files are named in the report.
    | {".avif", ".heic", ".heif", ".jp2"}
)
# Left behind by file managers and archivers; nobody wants to read about them.
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LAYOUT = "expected one folder a class with the images inside"


def scan_folder(root: Path, masks_root: Path | None = None) -> ImageIndex:
    """List the images under root, one folder a class, or train/ and val/ (and test/) of such.

    Images deeper inside a class folder belong to that class. Hidden files and the litter of file
    managers are passed over. A file counts as an image by its suffix, in any case.

    Args:
        root: The folder.
        masks_root: Folder of their masks, or None; it is not looked into.

    Raises:
        ArgumentError: There is no such folder, or it does not have this layout with at least two
            classes; the message says what is there instead.
    """
    root = user_path(root)
    if not root.exists():
        raise ArgumentError("root", root, f"does not exist; {_LAYOUT}")
    if not root.is_dir():
        raise ArgumentError("root", root, f"is a file; {_LAYOUT}")
    files = sorted(_visible_files(root), key=Path.as_posix)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        problem = f"has no image, only {len(files)} other file(s); {_LAYOUT}"
        raise ArgumentError("root", root, problem)
    splits = _split_folders(root, images)
    # Where the class name stands in a path: Koi/1.jpg or train/Koi/1.jpg.
    depth = 1 if splits else 0
    if splits:
        images = [path for path in images if path.parts[0] in splits]
    images = [path for path in images if len(path.parts) > depth + 1]
    names = [path.parts[depth] for path in images]
    classes = tuple(sorted(set(names)))
    if splits:
        _check_classes_of_splits(root, images, splits)
    elif len(classes) < 2:
        raise _too_few_classes(root, classes, len(images))
    label_of_class = {name: label for label, name in enumerate(classes)}
    class_folders = [f for top in splits or [""] for f in _visible_folders(root / top)]
    filled = {root.joinpath(*path.parts[: depth + 1]) for path in images}
    empty = sorted(f.relative_to(root).as_posix() for f in class_folders if f not in filled)
    return ImageIndex(
        root=root,
        classes=classes,
        paths=tuple(images),
        labels=np.array([label_of_class[name] for name in names], dtype=np.int64),
        splits=tuple(splits[path.parts[0]] for path in images) if splits else None,
        empty_classes=tuple(empty),
        ignored=len(files) - len(images),
        masks_root=masks_root,
    )


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _LITTER


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and _is_visible(p.name))


def _visible_files(root: Path) -> Iterator[Path]:
    """Yield every file below root that is not hidden, relative to root."""

    def refuse(error: OSError) -> None:
        raise ArgumentError("root", root, f"cannot list {error.filename}: {error.strerror}")

    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        here = Path(folder)
        # A class folder may be a link to elsewhere, but a link to a folder around it has no end.
        subfolders[:] = [
            name
            for name in subfolders
            if _is_visible(name) and not here.resolve().is_relative_to((here / name).resolve())
        ]
        yield from (here.relative_to(root) / name for name in names if _is_visible(name))


def _split_folders(root: Path, images: list[Path]) -> dict[str, str]:
    """Map the names of root's train, val and test folders to these three; {} if not split.

    Raises:
        ArgumentError: The folder is split, but not so that a fit could use it.
    """
    folders = [folder.name for folder in _visible_folders(root)]
    splits = {name: _SPLITS[name.lower()] for name in folders if name.lower() in _SPLITS}
    found = list(splits.values())
    if "train" not in found or len(folders) == 1:
        return {}
    names = ", ".join(f"{name}/" for name in splits)
    if len(found) > len(set(found)):
        raise ArgumentError("root", root, f"has {names}; keep one folder each for train, val, test")
    if "val" not in found:
        if len(splits) < len(folders):
            return {}
        train = next(name for name, split in splits.items() if split == "train")
        problem = (
            f"has {names} but no val/; add a val/ folder with the same classes, or name "
            f"{root / train} to have its images split"
        )
        raise ArgumentError("root", root, problem)
    for name, split in splits.items():
        if split != "test" and not any(p.parts[0] == name and len(p.parts) > 2 for p in images):
            problem = (
                f"has {names} but no class folder with images in {root / name}; expected one "
                "folder a class inside each"
            )
            raise ArgumentError("root", root, problem)
    return splits


def _check_classes_of_splits(root: Path, images: list[Path], splits: dict[str, str]) -> None:
    """Raise an ArgumentError if val/ or test/ has a class that train/ does not have."""
    classes = {
        name: sorted({path.parts[1] for path in images if path.parts[0] == name}) for name in splits
    }
    train = next(name for name, split in splits.items() if split == "train")
    known = classes[train]
    for name, held_out in classes.items():
        if unknown := sorted(set(held_out) - set(known)):
            problem = (
                f"{name}/ has classes that {train}/ does not have: {', '.join(unknown)}; {train}/ "
                f"has {', '.join(known)}; {name}/ has {', '.join(held_out)}"
            )
            raise ArgumentError("root", root, problem)
    if len(known) < 2:
        problem = f"{train}/ has only one class with images, {known[0]}; expected at least two "
        raise ArgumentError("root", root, problem + "class folders")


def _too_few_classes(root: Path, classes: tuple[str, ...], count: int) -> ArgumentError:
    """Say what a folder with images but without two classes seems to be instead."""
    if not classes:
        problem = f"has images directly in it and none in a sub-folder; {_LAYOUT}"
        return ArgumentError("root", root, problem)
    # An unpacked archive often has the folder once more inside itself.
    inner = root / classes[0]
    while len(folders := _visible_folders(inner)) == 1:
        inner = folders[0]
    if len(folders) > 1:
        problem = (
            f"has images in only one folder, {classes[0]}, which holds more folders; did you mean "
            f"{inner}?"
        )
    else:
        problem = (
            f"has only one class with images, {classes[0]} ({count} image(s)); expected at least "
            "two class folders"
        )
    return ArgumentError("root", root, problem)
