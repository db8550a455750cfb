"""A folder of images to an index of their paths and labels; no image is opened here."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from fishcnn.data.folder_walk import is_visible, walk
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.layout.folders import Placed, Placement, by_class_folder, place_images
from fishcnn.data.layout.masks import without_masks
from fishcnn.data.layout.names import alike
from fishcnn.data.relative_paths import RelativePaths
from fishcnn.data.streaming.packed_images import told_as_packed
from fishcnn.utils.checks import check_arguments, choice
from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.machine import user_path
from fishcnn.utils.text import by_looks, normalised

LAYOUTS = ("auto", "classes")

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
    # Pillow may not read these, but then their files are named in the report.
    | {".avif", ".heic", ".heif", ".jp2"}
)
_LAYOUT = "expected one folder a class with the images inside"


def scan_folder(
    root: Path,
    masks_root: Path | None = None,
    *,
    layout: str = "auto",
    known_classes: Collection[str] = (),
) -> ImageIndex:
    """List the images under root, one folder a class, or train/ and val/ (and test/) of such.

    Images deeper inside a class folder belong to that class. Hidden files and the litter of file
    managers are passed over, and so are masks, by their names. A file counts as an image by its
    suffix, in any case.

    Args:
        root: The folder.
        masks_root: Folder of their masks, or None; it is not looked into.
        layout: "auto", or "classes" if every folder in root is a class, whatever it is called or
            holds.
        known_classes: If every folder with images in root is called like one of these, they are the
            classes as well.

    Raises:
        ArgumentError: There is no such folder, or it does not have this layout with at least two
            classes; the message says what is there instead.
    """
    check_arguments(locals(), {"layout": choice(*LAYOUTS)})
    root = user_path(root)
    if not root.exists():
        raise ArgumentError("root", root, f"does not exist; {_LAYOUT}")
    if not root.is_dir():
        raise ArgumentError("root", root, f"is a file; {_LAYOUT}")
    files = sorted(_visible_files(root), key=lambda path: by_looks(path.as_posix()))
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        problem = f"has no image, only {len(files)} other file(s); {_LAYOUT}"
        raise ArgumentError("root", root, told_as_packed(root) or problem)
    tops = {path.parts[0] for path in images if len(path.parts) > 1}
    masks: list[Path] = []
    mask_folders: frozenset[Path] = frozenset()
    known = set(map(alike, known_classes))
    if layout != "classes":
        images, masks, mask_folders = without_masks(root, images, known)
    of_classes = {alike(name) for name in {p.parts[0] for p in images if len(p.parts) > 1}}
    if layout == "classes" or (of_classes and of_classes <= known):
        placement = Placement(by_class_folder(images), [])
    else:
        empty = [folder.name for folder in _visible_folders(root) if folder.name not in tops]
        placement = place_images(root, images, empty)
    placed, remarks = placement
    names = _class_names(root, placed)
    classes = tuple(sorted(set(names), key=by_looks))
    if len(classes) < 2:
        raise _too_few_classes(root, placed, classes)
    if masks:
        remarks = [f"{_masks(masks, mask_folders)} were left out.", *remarks]
    label_of_class = {name: label for label, name in enumerate(classes)}
    folders = {image.folder for image in placed}
    empty_classes = (
        {
            folder.relative_to(root)
            for parent in {folder.parent for folder in folders}
            for folder in _visible_folders(root / parent)
        }
        - folders
        - mask_folders
    )
    taken = {*(image.path for image in placed), *masks}
    splits = [image.split for image in placed if image.split]
    return ImageIndex(
        root=root,
        classes=classes,
        paths=RelativePaths.of(image.path for image in placed),
        labels=np.array([label_of_class[name] for name in names], dtype=np.int64),
        splits=tuple(splits) or None,
        empty_classes=tuple(sorted(folder.as_posix() for folder in empty_classes)),
        ignored=len(files) - len(placed) - len(masks),
        masks_root=masks_root,
        ignored_files=RelativePaths.of(file for file in files if file not in taken),
        remarks=(*remarks, *_look_alike(classes)),
    )


def _visible_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and is_visible(p.name))


def _visible_files(root: Path) -> Iterator[Path]:
    """Yield every file below root that is not hidden, relative to root."""
    inside = len(os.path.join(root, ""))
    for path, error in walk(str(root)):
        if error is not None:
            raise ArgumentError("root", root, f"cannot list {path}: {error.strerror}") from error
        yield Path(path[inside:])


def _class_names(root: Path, placed: Sequence[Placed]) -> list[str]:
    """Name the class of each image as train/ spells it, or as its folder is called.

    Raises:
        ArgumentError: val/ or test/ has a class that train/ does not have.
    """
    names = [image.folder.name for image in placed]
    known = {image.folder.name for image in placed if image.split == "train"}
    spellings = defaultdict(set)
    for name in known:
        spellings[alike(name)].add(name)
    spelt = {}
    for name in set(names) - known if known else ():
        if len(same := spellings[alike(name)]) == 1:
            (spelt[name],) = same
    unknown: dict[Path, set[str]] = defaultdict(set)
    for name, image in zip(names, placed, strict=True):
        if known and name not in known and name not in spelt:
            unknown[image.folder.parent].add(name)
    for folder in sorted(unknown):
        train = next(image.folder.parent for image in placed if image.split == "train")
        held_out = sorted({i.folder.name for i in placed if i.folder.parent == folder})
        if folder == train:  # a split in every class folder
            problem = f"has no training image in {', '.join(sorted(unknown[folder]))}"
            raise ArgumentError("root", root, problem)
        problem = (
            f"{folder.as_posix()}/ has classes that {train.as_posix()}/ does not have: "
            f"{', '.join(sorted(unknown[folder]))}; {train.as_posix()}/ has "
            f"{', '.join(sorted(known))}; {folder.as_posix()}/ has {', '.join(held_out)}"
        )
        raise ArgumentError("root", root, problem)
    return [spelt.get(name, name) for name in names]


def _masks(masks: Sequence[Path], folders: Collection[Path]) -> str:
    example = min(folders or masks, key=Path.as_posix).as_posix()
    return f"{len(masks)} masks, such as {example}{'/' if folders else ''},"


def _look_alike(classes: Sequence[str]) -> list[str]:
    """Warn of classes that differ only in capitals, spaces, or how Unicode puts their letters."""
    spellings = defaultdict(list)
    for name in classes:
        spellings[alike(name)].append(name)
    return [
        f"The class folders {' and '.join(_told_apart(names))} look alike, and count as "
        f"{len(names)} classes. If they are one, move all the images into one of them and delete "
        "the other."
        for names in spellings.values()
        if len(names) > 1
    ]


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names with a mark on those that look just like another on the screen."""
    told = []
    for name in names:
        twins = [other for other in names if normalised(other) == normalised(name)]
        mark = ""
        if len(twins) > 1:
            lengths = {len(twin) for twin in twins}
            mark = f"{len(name)} characters" if len(lengths) == len(twins) else ascii(name)
            if name != normalised(name):
                mark += ", accents written apart from their letters as on a Mac"
        told.append(f'"{name}"' + (f" ({mark})" if mark else ""))
    return told


def _too_few_classes(
    root: Path, placed: Sequence[Placed], classes: tuple[str, ...]
) -> ArgumentError:
    """Say what a folder with images but without two classes seems to be instead."""
    if not classes:
        problem = f"has images directly in it and none in a sub-folder; {_LAYOUT}"
        return ArgumentError("root", root, problem)
    if placed[0].split:
        train = next(i.folder.parent for i in placed if i.split == "train").as_posix()
        problem = (
            f"{train}/ has only one class with images, {classes[0]}; expected at least two class "
            "folders"
        )
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
            f"has only one class with images, {classes[0]} ({len(placed)} image(s)); expected at "
            "least two class folders"
        )
    return ArgumentError("root", root, problem)
