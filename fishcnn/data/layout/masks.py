"""Masks among the images: they belong to the images of the same names and are none themselves."""

import re
from collections import defaultdict
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fishcnn.data.layout.names import MASK_WORDS, alike, is_filler, of_mask, without_fillers, words
from fishcnn.utils.errors import ArgumentError

# So many of the files in a folder of masks must have an image of the same name.
_MIN_PAIRED = 0.9
_MASK_FILE = re.compile(
    "(.*[^ _.-])[ _.-]+(?:{0})|(?:{0})[ _.-]+([^ _.-].*)".format("|".join(sorted(MASK_WORDS))),
    re.IGNORECASE | re.DOTALL,
)


class Separated(NamedTuple):
    """Images and masks, relative to the root, each in the order they came in."""

    images: list[Path]
    masks: list[Path]
    folders: frozenset[Path]  # those that hold nothing but masks


def without_masks(root: Path, files: list[Path], classes: Collection[str] = ()) -> Separated:
    """Tell images from their masks by their names; no file is opened.

    Masks are the files of a folder such as ``Koi GT/`` or ``masks/`` that are named as the images
    in ``Koi/``, in ``images/`` or around it are; and files such as ``1_mask.png`` beside ``1.jpg``.
    Folders in root that are called like one of ``classes``, as alike() puts them, hold images.

    Raises:
        ArgumentError: A folder is named as one of masks, but its files are not those of images.
    """
    inside: dict[Path, list[Path]] = defaultdict(list)
    images: list[Path] = []
    for path in files:
        folder = _mask_folder(path.parts[:-1], bool(classes) and alike(path.parts[0]) in classes)
        (images if folder is None else inside[folder]).append(path)
    masks: set[Path] = set()
    folders = set()
    around = _children(images, {folder.parent for folder in inside})
    for folder, members in inside.items():
        images_of = _named_for(folder, around[folder.parent])
        if not images_of:
            continue
        named = {_key(path, folder) for path in members}
        if len(named & images_of) >= _MIN_PAIRED * len(named):
            masks.update(members)
            folders.add(folder)
        elif words(folder.name) != ("gt",):  # a fish is called so, too
            beside = [name for name in around[folder.parent] if name]
            advice = (
                f"Did you mean {root / folder.parent / beside[0]}?"
                if len(beside) == 1
                else "Move it away; or, if these are images to learn from, choose "
                "data.layout=classes"
            )
            problem = (
                f"has {folder.as_posix()}/, named as if it held masks, but without an image of the "
                f"same name for each. {advice}"
            )
            raise ArgumentError("root", root, problem)
    masks |= _beside_their_images([path for path in files if path not in masks])
    return Separated(
        [path for path in files if path not in masks],
        [path for path in files if path in masks],
        frozenset(folders),
    )


@cache
def _mask_folder(parts: tuple[str, ...], in_class: bool) -> Path | None:
    """The outermost of nested folders that is named as one of masks."""
    for depth, part in enumerate(parts, start=1):
        if of_mask(part) is not None and not (in_class and depth == 1):
            return Path(*parts[:depth])
    return None


def _children(images: list[Path], parents: set[Path]) -> dict[Path, dict[str, list[Path]]]:
    """The images below each of some folders, by what stands next in their paths; files by ""."""
    found: dict[Path, dict[str, list[Path]]] = {parent: defaultdict(list) for parent in parents}
    for path in images if parents else ():
        for depth in range(len(path.parts)):
            if (parent := Path(*path.parts[:depth])) in found:
                last = depth == len(path.parts) - 1
                found[parent]["" if last else path.parts[depth]].append(path)
    return found


def _named_for(folder: Path, around: dict[str, list[Path]]) -> set[tuple[str, ...]]:
    """The places of the images that a folder may hold the masks of, going by its name."""
    of = without_fillers(of_mask(folder.name) or ())
    images = set()
    for name, paths in around.items():
        if not of:  # masks/Koi/1.png beside Koi/1.jpg, or Koi/masks/1.png beside Koi/1.jpg
            images |= {_key(path, folder.parent) for path in paths}
        if name and (without_fillers(words(name)) == of or (not of and is_filler(name))):
            images |= {_key(path, folder.parent / name) for path in paths}
    return images


def _key(path: Path, folder: Path) -> tuple[str, ...]:
    """The place of a file in a folder, without its suffix and a word for masks."""
    *parents, name = path.relative_to(folder).with_suffix("").parts
    return (*map(alike, parents), _image_of(name) or alike(name))


def _image_of(stem: str) -> str | None:
    """The name of the image that a file such as "1_mask" is named for; None for other files."""
    found = _MASK_FILE.fullmatch(stem)
    return alike(found[1] or found[2]) if found else None


def _beside_their_images(files: list[Path]) -> set[Path]:
    named_for = {path: image for path in files if (image := _image_of(path.stem)) is not None}
    if not named_for:
        return set()
    named = {(path.parent, alike(path.stem)) for path in files}
    return {path for path, image in named_for.items() if (path.parent, image) in named}
