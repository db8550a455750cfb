"""What was found in the folder, in Markdown, for whoever trains on it."""

import numpy as np

from fishcnn.data.pictures import Pictures
from fishcnn.data.scan import Listing
from fishcnn.data.split import Split


def data_report(pictures: Pictures, listing: Listing, split: Split) -> str:
    """Describe the data: classes and sides, sizes, what was left out, and the score to beat.

    Returns:
        Markdown with a table of pictures per class and side, and every unreadable file by name.
    """
    parts = [
        f"# Pictures in {listing.root}",
        _class_table(pictures, split),
        f"Always answering the most frequent class of the training side is right on "
        f"{_majority_baseline(pictures, split)}.",
        _sizes(pictures),
        _left_out(pictures, listing),
    ]
    # File names need not be valid Unicode, but what is written to a file has to be.
    return ("\n\n".join(parts) + "\n").encode("utf-8", "backslashreplace").decode()


def _class_table(pictures: Pictures, split: Split) -> str:
    """Tabulate the pictures per class and side; the test column only where there is a test side."""
    sides = {"train": split.train, "val": split.val}
    if len(split.test):
        sides["test"] = split.test
    count = len(pictures.classes)
    counts = np.stack(
        [np.bincount(pictures.labels[rows], minlength=count) for rows in sides.values()], axis=1
    )
    rows = [
        [name.replace("|", "\\|"), *row, sum(row)]
        for name, row in zip(pictures.classes, counts.tolist(), strict=True)
    ]
    rows.append(["**all**", *counts.sum(axis=0).tolist(), int(counts.sum())])
    return "\n".join(
        [
            f"| class | {' | '.join(sides)} | all |",
            "|---|" + "---:|" * (len(sides) + 1),
            *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        ]
    )


def _majority_baseline(pictures: Pictures, split: Split) -> str:
    """Say how often the most frequent training class is right on the held-out sides."""
    majority = int(np.bincount(pictures.labels[split.train]).argmax())
    shares = [
        f"{np.mean(pictures.labels[rows] == majority):.1%} of {name}"
        for name, rows in (("val", split.val), ("test", split.test))
        if len(rows)
    ]
    return f"{' and '.join(shares)} ({pictures.classes[majority]})"


def _sizes(pictures: Pictures) -> str:
    """Describe the sizes of the originals and what they were squashed to."""
    side = pictures.images.shape[1]
    working = f"All are kept at {side} x {side} pixels ({pictures.images.nbytes / 1e6:.0f} MB)"
    narrow, wide = pictures.aspect.min(), pictures.aspect.max()
    text = f"{working}; width / height of the originals runs from {narrow:.2f} to {wide:.2f}."
    if pictures.sizes is None:
        return text
    shorter = pictures.sizes.min(axis=1)
    middle = int(np.argsort(shorter, kind="stable")[len(shorter) // 2])
    smallest, median, largest = (
        "{} x {}".format(*pictures.sizes[row])
        for row in (int(shorter.argmin()), middle, int(shorter.argmax()))
    )
    return (
        f"{text} By the shorter side the smallest is {smallest}, the median {median} and the "
        f"largest {largest}; {np.sum(shorter < side)} of {len(shorter)} had to be enlarged."
    )


def _left_out(pictures: Pictures, listing: Listing) -> str:
    """List what was found in the folder and is in no side."""
    lines = [
        f"- Unreadable pictures: {len(pictures.unreadable)}",
        *(f"  - `{bad.path.as_posix()}`: {bad.reason}" for bad in pictures.unreadable),
        f"- Empty class folders: {', '.join(listing.empty_classes) or 'none'}",
        f"- Ignored files, by their suffix or outside every class folder: {listing.ignored}",
    ]
    return "## Left out\n\n" + "\n".join(lines)
