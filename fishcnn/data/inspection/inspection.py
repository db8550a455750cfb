"""A folder looked at from all sides, whether or not a training could begin with it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet, Pixels
from fishcnn.data.decoding.loading import check_enough
from fishcnn.data.duplicates.finder import Duplicates
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.inspection.borders import Bars, find_bars
from fishcnn.data.inspection.data_report import Section, class_columns, report_sections
from fishcnn.data.inspection.findings import (
    Finding,
    borders,
    group_members,
    imbalance,
    label_conflicts,
    leaked_pictures,
)
from fishcnn.data.splitting.grouped_split import (
    SplitSettings,
    Splitting,
    known_duplicates,
    split_images,
)
from fishcnn.data.splitting.groups import leaked_by_random_split
from fishcnn.data.splitting.split import Split
from fishcnn.utils.errors import FishError
from fishcnn.utils.progress import track

# ImageSet read at a time, and the number above which a progress bar can be read.
_BATCH, _SHOW_PROGRESS_ABOVE = 256, 2000


@dataclass(frozen=True)
class Inspection:
    """What was found in a folder.

    Attributes:
        listing: Its files.
        pictures: The readable ones.
        splitting: How a training would split them; with three empty sides if it could not.
        bars: The bars of the pictures that have any, by row; their masks are left out.
        obstacles: The errors that a training would stop with.
    """

    listing: ImageIndex
    pictures: ImageSet
    splitting: Splitting
    bars: dict[int, Bars]
    obstacles: tuple[str, ...]

    def groups(self) -> list[NDArray[np.int64]]:
        """Near-duplicates: those in different classes first, then the larger groups."""
        duplicates = self.splitting.duplicates
        if duplicates is None or not len(self.pictures.paths):
            return []
        labels = self.pictures.labels
        return sorted(
            duplicates.larger_than_one(),
            key=lambda members: (len(np.unique(labels[members])) == 1, -len(members)),
        )

    def columns(self) -> dict[str, NDArray[np.int64]]:
        """Numbers of each class, int64 (C,): sides, all, then what only some classes may have."""
        listing, count = self.listing, len(self.pictures.classes)
        label_of = dict(zip(listing.paths, listing.labels.tolist(), strict=True))
        unreadable = [label_of[bad.path] for bad in self.pictures.unreadable]
        twins = np.concatenate([np.empty(0, np.int64), *self.groups()])
        more = {
            "unreadable": np.array(unreadable, np.int64),
            "in groups": self.pictures.labels[twins],
            "with bars": self.pictures.labels[sorted(self.bars)],
        }
        return class_columns(self.pictures, self.splitting.split) | {
            name: np.bincount(labels, minlength=count).astype(np.int64)
            for name, labels in more.items()
        }

    def sections(self) -> list[Section]:
        """All findings."""
        obstacles = [Finding(f"It would stop with: {text}") for text in self.obstacles]
        return [
            Section("Training", obstacles or [Finding("Nothing keeps it from beginning.")]),
            *report_sections(self.pictures, self.listing, self.splitting),
            Section("Borders and bars", borders(self.pictures, self.bars)),
        ]

    def lists(self) -> list[Section]:
        """What is too long for a terminal."""
        listed = []
        if groups := self.groups():
            listed.append(group_members(self.pictures, groups))
        if self.splitting.drawn and len(self.splitting.leaked):
            listed.append(leaked_pictures(self.pictures, self.splitting.leaked))
        return [Section("Lists", listed)] if listed else []

    def to_json(self) -> dict[str, Any]:
        """Everything as plain lists, dicts, numbers and strings; paths are relative to the root."""
        pictures, splitting = self.pictures, self.splitting
        paths = [path.as_posix() for path in pictures.paths]
        class_of = [pictures.classes[label] for label in pictures.labels]
        uneven = imbalance(pictures.labels, len(pictures.classes))
        columns = {name: counts.tolist() for name, counts in self.columns().items()}
        return {
            "root": str(self.listing.root),
            "classes": {
                name: {
                    column.replace(" ", "_"): counts[label] for column, counts in columns.items()
                }
                for label, name in enumerate(pictures.classes)
            },
            "unreadable": [
                {"path": bad.path.as_posix(), "reason": bad.reason} for bad in pictures.unreadable
            ],
            "empty_classes": list(self.listing.empty_classes),
            "duplicate_groups": None
            if splitting.duplicates is None
            else [[paths[row] for row in members] for members in self.groups()],
            "label_conflicts": [
                {"paths": [paths[i], paths[j]], "classes": [class_of[i], class_of[j]]}
                for i, j in label_conflicts(splitting.duplicates, pictures.labels).tolist()
            ],
            "split_by_folders": not splitting.drawn,
            "leaked_by_random_split": [paths[row] for row in splitting.leaked],
            "imbalance": {
                "counts": dict(zip(pictures.classes, uneven.counts.tolist(), strict=True)),
                # JSON has no infinity.
                "ratio": uneven.ratio if np.isfinite(uneven.ratio) else None,
                "majority_class": pictures.classes[uneven.majority],
                "majority_baseline": uneven.baseline,
            },
            "bars": [
                {
                    "path": paths[row],
                    "class": class_of[row],
                    **{side: getattr(bars, side) for side in ("top", "bottom", "left", "right")},
                    "captions": list(bars.captions),
                }
                for row, bars in sorted(self.bars.items())
            ],
            "training_stops_with": list(self.obstacles),
        }


def inspect_images(
    pictures: ImageSet, listing: ImageIndex, settings: SplitSettings, obstacles: Sequence[str] = ()
) -> Inspection:
    """Look at the pictures of a folder from all sides.

    Args:
        pictures: What could be read.
        listing: Where they are from.
        settings: How a training would split them.
        obstacles: What was in its way before.
    """
    stops = list(obstacles)
    splitting = None
    try:
        check_enough(pictures)
    except FishError as error:
        stops.append(str(error))
    try:
        if len(pictures.paths):
            splitting = split_images(pictures, settings)
    except FishError as error:
        stops.append(str(error))
    if splitting is None:
        splitting = _without_split(pictures, settings)
    elif not len(splitting.split.val) and not stops:
        stops.append(f"there is no readable picture for validation in {listing.root}")
    return Inspection(listing, pictures, splitting, find_all_bars(pictures.pixels), tuple(stops))


def _without_split(pictures: ImageSet, settings: SplitSettings) -> Splitting:
    """Look for near-duplicates among pictures that cannot be split as the settings say."""
    settings = replace(settings, folds=None, fold=0, test_fraction=0.0, group_regex=None)
    if len(pictures.paths) and pictures.splits is not None:
        return split_images(pictures, settings)
    nothing = np.empty(0, np.int64)
    duplicates = None
    groups = np.arange(len(pictures.paths), dtype=np.int64)
    if settings.group_duplicates:
        duplicates = Duplicates(np.empty((0, 2), np.int64), nothing)
        if len(groups):
            duplicates = known_duplicates(pictures)
        groups = duplicates.groups
    leaked = leaked_by_random_split(
        pictures.labels, groups, val_fraction=settings.held_out, seed=settings.seed
    )
    return Splitting(Split(nothing, nothing, nothing), groups, duplicates, leaked, drawn=True)


def find_all_bars(images: Pixels) -> dict[int, Bars]:
    """Find the bars of N pictures.

    Args:
        images: uint8 (N, S, S, 3).

    Returns:
        The bars of those that have any, by row, without their masks, which take as much as the
        pictures.
    """
    count = images.shape[0]
    found = {}
    for start in track(
        range(0, count, _BATCH),
        "Looking for bars",
        show=count > _SHOW_PROGRESS_ABOVE,
    ):
        rows = np.arange(start, min(start + _BATCH, count))
        for row, image in zip(rows.tolist(), images[rows], strict=True):
            if bars := find_bars(image):
                found[row] = replace(bars, mask=np.empty((0, 0), np.bool_))
    return found
