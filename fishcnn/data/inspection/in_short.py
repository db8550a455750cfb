"""What was found in a folder, in one line: how much there is of what a reader should look at."""

import numpy as np

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.inspection.data_findings import imbalance, label_conflicts
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.utils.text import counted


def images_in_short(images: ImageSet, splitting: Splitting) -> str:
    """Count classes, images, groups and splits.

    For example::

        20 classes, 930 images in 812 groups (744 train, 186 val)
    """
    total, groups = len(images.paths), len(np.unique(splitting.groups))
    splits = [f"{len(rows)} {name}" for name, rows in vars(splitting.split).items() if len(rows)]
    grouped = f"in {groups} groups" if groups < total else "none grouped"
    comma = " " if groups < total else ", "
    return f"{len(images.classes)} classes, {total} images{comma}{grouped} ({', '.join(splits)})"


def findings_in_short(images: ImageSet, splitting: Splitting) -> str:
    """Count what the report describes.

    For example::

        9 label conflicts, 211 near-duplicates in 98 groups, 1 unreadable file, 12 to 150 images a
        class
    """
    duplicates = splitting.duplicates
    if duplicates is None:
        parts = ["near-duplicates not looked for"]
    else:
        groups = duplicates.larger_than_one()
        copies = _count(sum(map(len, groups)), "near-duplicate")
        parts = [
            _count(len(label_conflicts(duplicates, images.labels)), "label conflict"),
            f"{copies} in {_count(len(groups), 'group')}" if groups else copies,
        ]
    if not splitting.drawn:
        held_out = len(splitting.split.val) + len(splitting.split.test)
        parts.append(f"{len(splitting.leaked)} of {held_out} held-out images leaked")
    parts.append(_count(len(images.unreadable), "unreadable file"))
    counts = imbalance(images.labels, len(images.classes)).counts
    spread = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else counts.max()
    return ", ".join([*parts, f"{spread} images a class"])


def _count(number: int, noun: str) -> str:
    return counted(number, noun) if number else f"no {noun}s"
