"""What was found in the folder, in Markdown, for whoever trains on it."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.inspection.findings import Finding, balance, left_out, near_duplicates
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.splitting.split import Split
from fishcnn.utils.text import printable

# A training is not the place to read more names than these.
_NAMED = 20


@dataclass(frozen=True)
class Section:
    """Findings under a headline."""

    title: str
    findings: Sequence[Finding]


def data_report(pictures: ImageSet, listing: ImageIndex, splitting: Splitting) -> str:
    """Describe the data: classes and sides, sizes, near-duplicates, balance, what was left out.

    Returns:
        Markdown with a table of pictures per class and side, and every unreadable file by name; of
        other lists the first 20.
    """
    columns = class_columns(pictures, splitting.split)
    sections = report_sections(pictures, listing, splitting)
    text = to_markdown(pictures, listing, columns, sections, named=_NAMED)
    if splitting.duplicates is None or not len(splitting.duplicates.pairs):
        return text
    root = printable(shlex.quote(f"data.root={listing.root}"))
    return f"{text}\n`python scripts/inspect_data.py {root}` shows the groups and lists all.\n"


def report_sections(pictures: ImageSet, listing: ImageIndex, splitting: Splitting) -> list[Section]:
    """Put together the sections that every report has."""
    return [
        Section("Near-duplicates", near_duplicates(pictures, splitting)),
        Section("Balance", balance(pictures, splitting.split)),
        Section("Left out", left_out(pictures, listing)),
    ]


def class_columns(pictures: ImageSet, split: Split) -> dict[str, NDArray[np.int64]]:
    """Count the pictures of each class on each side that has any, and on all.

    Returns:
        int64 (C,) by the name of the column.
    """
    count = len(pictures.classes)
    sides = {"train": split.train, "val": split.val, "test": split.test}
    columns = {
        side: np.bincount(pictures.labels[rows], minlength=count).astype(np.int64)
        for side, rows in sides.items()
        if len(rows)
    }
    return columns | {"all": np.bincount(pictures.labels, minlength=count).astype(np.int64)}


def to_markdown(
    pictures: ImageSet,
    listing: ImageIndex,
    columns: Mapping[str, NDArray[np.int64]],
    sections: Sequence[Section],
    *,
    named: int | None,
) -> str:
    """Write a report.

    Args:
        pictures: What it is about.
        listing: Where they are from.
        columns: int64 (C,) by name, for the table of classes.
        sections: What follows.
        named: So many items of a list are named, but for the ones that are always complete; None
            names all.
    """
    parts = [
        f"# ImageSet in {listing.root}",
        _class_table(pictures.classes, columns),
        sizes(pictures),
    ]
    for section in sections:
        lines = []
        for finding in section.findings:
            most = None if finding.complete else named
            lines += [f"- {finding.text}", *(f"  - {item}" for item in short(finding.items, most))]
        parts.append(f"## {section.title}\n\n" + "\n".join(lines))
    return printable("\n\n".join(parts) + "\n")


def short(items: Sequence[str], most: int | None) -> list[str]:
    """Cut a list and say by how much; None leaves it whole."""
    if most is None or len(items) <= most:
        return list(items)
    return [*items[:most], f"and {len(items) - most} more"]


def _class_table(classes: Sequence[str], columns: Mapping[str, NDArray[np.int64]]) -> str:
    counts = np.stack(list(columns.values()), axis=1)
    rows = [
        [name.replace("|", "\\|"), *row] for name, row in zip(classes, counts.tolist(), strict=True)
    ]
    rows.append(["**all**", *counts.sum(axis=0).tolist()])
    return "\n".join(
        [
            f"| class | {' | '.join(columns)} |",
            "|---|" + "---:|" * len(columns),
            *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        ]
    )


def sizes(pictures: ImageSet) -> str:
    """Describe the sizes of the originals and what they were squashed to."""
    if not len(pictures.sizes):
        return "No picture can be read."
    side = pictures.pixels.shape[1]
    narrow, wide = pictures.aspect.min(), pictures.aspect.max()
    shorter = pictures.sizes.min(axis=1)
    middle = int(np.argsort(shorter, kind="stable")[len(shorter) // 2])
    smallest, median, largest = (
        "{} x {}".format(*pictures.sizes[row])
        for row in (int(shorter.argmin()), middle, int(shorter.argmax()))
    )
    return (
        f"All are brought to {side} x {side} pixels ({pictures.pixels.nbytes / 1e6:.0f} MB kept); "
        f"width / height of the originals runs from {narrow:.2f} to {wide:.2f}. "
        f"By the shorter side the smallest is {smallest}, the median {median} and the "
        f"largest {largest}; {np.sum(shorter < side)} of {len(shorter)} had to be enlarged."
    )
