"""A folder inspected in every respect, whether or not a training could begin with it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet, Pixels
from fishcnn.data.decoding.loading import check_enough
from fishcnn.data.duplicates.finder import known_duplicates
from fishcnn.data.inspection.borders import Bars, find_bars
from fishcnn.data.inspection.data_findings import (
    Finding,
    borders,
    conflicting,
    imbalance,
    label_conflicts,
)
from fishcnn.data.inspection.data_report import WARNINGS, class_columns, report_sections, sizes
from fishcnn.data.splitting.grouped_split import Splitting, split_images
from fishcnn.data.splitting.split import Split, leaked_by_random_split
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.utils.errors import FishError
from fishcnn.utils.progress import track

# Images read at a time, and the number above which a progress bar can be read.
_BATCH, _SHOW_PROGRESS_ABOVE = 256, 2000


@dataclass(frozen=True)
class Inspection:
    """What was found in a folder."""

    images: ImageSet  # the readable ones, squashed
    resize: str  # how a training would bring them to squares, one of RESIZES
    splitting: Splitting  # as a training would split them; with three empty splits if it could not
    bars: dict[int, Bars]  # of the images that have any, by row; their masks are left out
    obstacles: Sequence[FishError]  # what a training would stop with

    def groups(self) -> list[NDArray[np.int64]]:
        """Near-duplicates: those in different classes first, then the larger groups."""
        duplicates, labels = self.splitting.duplicates, self.images.labels
        if duplicates is None or not len(labels):
            return []
        return sorted(
            duplicates.larger_than_one(),
            key=lambda members: (len(np.unique(labels[members])) == 1, -len(members)),
        )

    def sizes(self) -> str:
        """Sizes of the originals, and what a training would bring them to."""
        return sizes(self.images, self.resize)

    def columns(self) -> dict[str, NDArray[np.int64]]:
        """Numbers of each class, int64 (C,): splits, all, then what only some classes may have."""
        images = self.images
        grouped = np.concatenate([np.empty(0, np.int64), *self.groups()])
        more = {
            "unreadable": images.index.labels[list(images.index.reasons)],
            "in groups": images.labels[grouped],
            "with bars": images.labels[sorted(self.bars)],
        }
        return class_columns(images, self.splitting.split) | {
            name: np.bincount(labels, minlength=len(images.classes))
            for name, labels in more.items()
        }

    def sections(self) -> dict[str, list[Finding]]:
        """All findings by headline."""
        obstacles = [Finding(f"It would stop with: {error}") for error in self.obstacles]
        sections = report_sections(self.images, self.splitting)
        first = {title: sections.pop(title) for title in (WARNINGS,) if title in sections}
        conflicts = conflicting(self.images, self.splitting)
        look = [
            *(["the warnings"] if first else []),
            *(["the label conflicts"] if conflicts else []),
            *(["the unreadable images"] if self.images.unreadable else []),
        ]
        begins = (
            f"A training can start; look at {' and '.join(look)} first."
            if look
            else ("A training can start.")
        )
        # What would stop it comes first; that nothing would is the conclusion.
        return {
            **first,
            **({"Training": obstacles} if obstacles else {}),
            **sections,
            "Borders and bars": borders(self.images, self.bars),
            **({} if obstacles else {"Training": [Finding(begins)]}),
        }

    def to_json(self) -> dict[str, Any]:
        """Everything as plain lists, dicts, numbers and strings; paths are relative to the root."""
        images, splitting, classes = self.images, self.splitting, self.images.classes
        paths = [path.as_posix() for path in images.paths]
        class_of = [classes[label] for label in images.labels]
        uneven = imbalance(images.labels, len(classes))
        columns = {
            name.replace(" ", "_"): counts.tolist() for name, counts in self.columns().items()
        }
        return {
            "root": str(self.images.index.root),
            "classes": {
                name: {column: counts[label] for column, counts in columns.items()}
                for label, name in enumerate(classes)
            },
            "unreadable": [
                {"path": bad.path.as_posix(), "reason": bad.reason} for bad in images.unreadable
            ],
            "empty_classes": list(self.images.index.empty_classes),
            "duplicate_groups": None
            if splitting.duplicates is None
            else [[paths[row] for row in members] for members in self.groups()],
            "label_conflicts": [
                {"paths": [paths[i], paths[j]], "classes": [class_of[i], class_of[j]]}
                for i, j in label_conflicts(splitting.duplicates, images.labels).tolist()
            ],
            "split_by_folders": not splitting.drawn,
            "leaked_by_random_split": [paths[row] for row in splitting.leaked],
            "imbalance": {
                "counts": dict(zip(classes, uneven.counts.tolist(), strict=True)),
                # JSON has no infinity.
                "ratio": uneven.ratio if np.isfinite(uneven.ratio) else None,
                "majority_class": classes[uneven.majority],
                "majority_baseline": uneven.baseline,
            },
            "bars": [
                {"path": paths[row], "class": class_of[row]}
                | bars.extents
                | {"captions": list(bars.captions)}
                for row, bars in sorted(self.bars.items())
            ],
            "warnings": [finding.text for finding in self.sections().get(WARNINGS, [])],
            "training_stops_with": [str(error) for error in self.obstacles],
        }


def inspect_images(images: ImageSet, settings: SplitSettings, resize: str) -> Inspection:
    """Look at the images of a folder in every respect, split as a training would split them.

    They are squashed, so that nothing is missing; a training would ``resize`` them.
    """
    obstacles = []
    splitting = None
    try:
        check_enough(images)
    except FishError as error:
        obstacles.append(error)
    try:
        if len(images.paths):
            splitting = split_images(images, settings)
    except FishError as error:
        obstacles.append(error)
    if splitting is None:
        splitting = _without_split(images, settings)
    elif not len(splitting.split.val) and not obstacles:
        obstacles.append(FishError(f"no image for validation can be read in {images.index.root}"))
    return Inspection(images, resize, splitting, _find_all_bars(images.pixels), obstacles)


def _without_split(images: ImageSet, settings: SplitSettings) -> Splitting:
    """Look for near-duplicates among images that cannot be split as the settings say."""
    if len(images.paths) and images.splits is not None:
        plain = replace(settings, folds=None, fold=0, test_fraction=0.0, group_regex=None)
        return split_images(images, plain)
    nothing = np.empty(0, np.int64)
    duplicates = known_duplicates(images) if settings.group_duplicates else None
    groups = np.arange(len(images.paths)) if duplicates is None else duplicates.groups
    leaked = leaked_by_random_split(images.labels, groups, replace(settings, folds=None))
    return Splitting(Split(nothing, nothing, nothing), groups, duplicates, leaked, drawn=True)


def _find_all_bars(images: Pixels) -> dict[int, Bars]:
    """Find the bars of images by row; without the masks, which take as much as the images."""
    count = images.shape[0]
    found = {}
    starts = range(0, count, _BATCH)
    show = count > _SHOW_PROGRESS_ABOVE
    for start in track(starts, "Looking for bars", total=count, step=_BATCH, show=show):
        rows = np.arange(start, min(start + _BATCH, count))
        for row, image in zip(rows.tolist(), images[rows], strict=True):
            if bars := find_bars(image):
                found[row] = bars._replace(mask=np.empty((0, 0), np.bool_))
    return found
