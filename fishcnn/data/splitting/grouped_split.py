"""From decoded images to a split that no group of near-duplicates is divided by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.duplicates.finder import Duplicates, known_duplicates
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.splitting.groups import (
    grouped_by_parts,
    groups_by_name,
    merge_groups,
    parts_of_names,
)
from fishcnn.data.splitting.split import (
    Split,
    draw_split,
    inner_split,
    leaked_by_random_split,
    split_from_folders,
)
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.utils.errors import ArgumentError


@dataclass(frozen=True)
class Splitting:
    """A split, and what was looked at to make it.

    Attributes:
        split: Which image is in which split.
        groups: int64 (N,), number of the group of each image that no split separates.
        duplicates: Near-duplicates, or None where nobody looked for them.
        leaked: int64 (L,), images that have a member of their group in training although they are
            held out: by a plain random split, or, where the folder is split already, by that.
        drawn: Whether the split was drawn here.
        parts: What ``group_regex`` finds in the name of each image, None where it finds nothing;
            None without such a pattern.
    """

    split: Split
    groups: NDArray[np.int64]
    duplicates: Duplicates | None
    leaked: NDArray[np.int64]
    drawn: bool
    parts: Sequence[str | None] | None = None


def check_splittable(index: ImageIndex, settings: SplitSettings) -> None:
    """Check what of a split can be checked before the images are decoded, which can take long.

    Raises:
        ArgumentError: A setting asks to draw what is split already, or fits none of the names.
    """
    if settings.group_regex is not None:
        groups_by_name(index.paths, settings.group_regex)
    if index.splits is not None:
        _check_nothing_drawn(settings)


def split_images(
    images: ImageSet, settings: SplitSettings, whole: Callable[[], ImageSet] | None = None
) -> Splitting:
    """Split images so that no group is in two splits; or take the split that they came with.

    Args:
        images: what is split.
        settings: how.
        whole: gives the same images, squashed to squares, where they are not; called only if
            near-duplicates are looked for.

    Raises:
        ArgumentError: A setting is out of range, or asks to draw what is split already.
    """
    duplicates = None
    if settings.group_duplicates:
        duplicates = known_duplicates(whole() if whole else images)
    groups = np.arange(len(images.labels)) if duplicates is None else duplicates.groups
    parts = None
    if settings.group_regex is not None:
        parts = parts_of_names(images.paths, settings.group_regex)
        groups = merge_groups(groups, grouped_by_parts(parts))
    if images.splits is None:
        split = draw_split(images.labels, groups, settings)
        if settings.inner_split:
            split = inner_split(split, images.labels, groups, settings)
        leaked = leaked_by_random_split(images.labels, groups, settings)
        return Splitting(split, groups, duplicates, leaked, drawn=True, parts=parts)
    _check_nothing_drawn(settings)
    split = split_from_folders(images.splits)
    if settings.inner_split:
        split = inner_split(split, images.labels, groups, settings)
    held_out = np.concatenate([split.val, split.test])
    leaked = held_out[np.isin(groups[held_out], groups[split.train])]
    return Splitting(split, groups, duplicates, leaked, drawn=False, parts=parts)


def _check_nothing_drawn(settings: SplitSettings) -> None:
    for name in ("folds", "test_fraction"):
        if value := getattr(settings, name):
            raise ArgumentError(
                name,
                value,
                "draws a split, but the folder has train/ and val/ already; leave it out, or "
                "name a folder that has the classes in it",
            )
