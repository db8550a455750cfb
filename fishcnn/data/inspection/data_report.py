"""What was found in the folder, in Markdown, for whoever trains on it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.resize import CROP, LETTERBOX, SQUASH
from fishcnn.data.inspection.data_findings import (
    Finding,
    balance,
    left_out,
    look_first,
    near_duplicates,
)
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.splitting.split import Split
from fishcnn.utils.text import for_shells, markdown, markdown_code, printable

_SHAPES = {
    SQUASH: "squashed to that shape",
    LETTERBOX: "in their own shape on their mean colour",
    CROP: "cut off at the ends of their longer side",
}

# Of a long list, the report of a training names so many items.
MAX_NAMED = 20
# Of what should be complete. More are in the report of an inspection.
MOST_NAMED = 1000
# The headline of what stands before everything else.
WARNINGS = "Warnings"


def data_report(images: ImageSet, splitting: Splitting, typed: Sequence[str] = ()) -> str:
    """Describe the data: classes and splits, sizes, near-duplicates, balance, what was left out.

    ``typed`` are the settings with which an inspection of the folder counts the same.

    Returns:
        Markdown with a table of images per class and split, and every unreadable file by name, up
        to the first 1000; of other lists the first 20.
    """
    blocks = [_section(*section) for section in report_sections(images, splitting).items()]
    table = _class_table(images.classes, class_columns(images, splitting.split))
    # Warnings, if there are any, stand before everything else.
    first = 1 if blocks[0].startswith(f"## {WARNINGS}") else 0
    title = f"# Images in {markdown(str(images.index.root))}"
    parts = [title, *blocks[:first], table, sizes(images, images.resize), *blocks[first:]]
    text = printable("\n\n".join(parts) + "\n")
    if splitting.duplicates is None or not len(splitting.duplicates.pairs):
        return text
    settings = printable(for_shells([f"data.root={images.index.root}", *typed]))
    command = markdown_code(f"python scripts/inspect_data.py {settings}")
    return f"{text}\n{command} shows all the groups as images.\n"


def report_sections(images: ImageSet, splitting: Splitting) -> dict[str, list[Finding]]:
    """Put together what every report has: findings by headline; warnings only if there are any."""
    first = look_first(images, splitting)
    return {
        **({WARNINGS: first} if first else {}),
        "Near-duplicates": near_duplicates(images, splitting),
        "Balance": balance(images, splitting.split),
        "Left out": left_out(images),
    }


def class_columns(images: ImageSet, split: Split) -> dict[str, NDArray[np.int64]]:
    """Count the images of each class in each split that has any, and in all; int64 (C,) by name."""
    splits = {name: images.labels[rows] for name, rows in vars(split).items() if len(rows)}
    return {
        name: np.bincount(labels, minlength=len(images.classes))
        for name, labels in (splits | {"all": images.labels}).items()
    }


def _section(title: str, findings: Sequence[Finding]) -> str:
    lines = []
    for finding in findings:
        items = short(finding.items, MOST_NAMED if finding.complete else MAX_NAMED)
        lines += [f"- {markdown(finding.text)}", *(f"  - {item}" for item in items)]
    return f"## {title}\n\n" + "\n".join(lines)


def short(items: Sequence[str], most: int) -> list[str]:
    """Cut a list and say by how much."""
    if len(items) <= most:
        return list(items)
    return [*items[:most], f"and {len(items) - most} more"]


def _class_table(classes: Sequence[str], columns: Mapping[str, NDArray[np.int64]]) -> str:
    counts = np.stack(list(columns.values()), axis=1)
    names = [*map(markdown, classes), "**all**"]
    rows = [[name, *row] for name, row in zip(names, [*counts, counts.sum(axis=0)], strict=True)]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (["class", *columns], *rows)]
    return "\n".join([lines[0], "|---|" + "---:|" * len(columns), *lines[1:]])


def sizes(images: ImageSet, resize: str) -> str:
    """Describe the sizes of the originals and what a training brings them to by ``resize``.

    Images that are inspected are squashed, whatever the training does.
    """
    if not len(images.sizes):
        return "No image can be read."
    side = images.pixels.shape[1]
    shorter = images.sizes.min(axis=1)
    fitted = images.sizes.max(axis=1) if resize == LETTERBOX else shorter
    by_size = np.argsort(shorter, kind="stable")
    smallest, median, largest = (
        "{} x {}".format(*images.sizes[row])
        for row in (by_size[0], by_size[len(by_size) // 2], int(shorter.argmax()))
    )
    return (
        f"All are brought to {side} x {side} pixels ({images.pixels.nbytes / 1e6:.0f} MB kept), "
        f"{_SHAPES[resize]}; "
        f"width / height of the originals runs from {images.aspect.min():.2f} to "
        f"{images.aspect.max():.2f}. By the shorter side the smallest is {smallest}, the median "
        f"{median} and the largest {largest}; {np.sum(fitted < side)} of {len(fitted)} had to be "
        "enlarged."
    )
