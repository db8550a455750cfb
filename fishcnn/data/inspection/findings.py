"""What there is to say of a folder before anybody trains on it, one finding a sentence."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.duplicates.finder import Duplicates
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.inspection.borders import Bars
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.splitting.split import Split, absent_classes

# From this ratio on, a network may do well by forgetting the rare classes.
_IMBALANCED = 2.0
# Bars give a class away if they are in more than this share of its pictures, in at least so many,
# and so many times as often as elsewhere.
_MOSTLY, _FEWEST, _MORE_OFTEN = 0.5, 3, 2.0


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        text: A sentence, complete without the items.
        items: What it is about, such as ``"`Koi/1.jpg`"``, one a line.
        complete: Whether a short report names all the items, too.
    """

    text: str
    items: tuple[str, ...] = ()
    complete: bool = False


@dataclass(frozen=True)
class Imbalance:
    """How unevenly pictures are spread over the classes.

    Attributes:
        counts: int64 (C,), pictures of each class.
        ratio: The largest of them by the smallest; infinite where a class has none.
        majority: Label of the largest class.
        baseline: Accuracy of always answering that, on all pictures.
    """

    counts: NDArray[np.int64]
    ratio: float
    majority: int
    baseline: float


def imbalance(labels: NDArray[np.int64], num_classes: int) -> Imbalance:
    """Measure how unevenly pictures are spread over the classes.

    Args:
        labels: int64 (N,), 0 <= label < num_classes.
        num_classes: At least 1; a class may have no picture.
    """
    counts = np.bincount(labels, minlength=num_classes).astype(np.int64)
    largest, smallest = int(counts.max()), int(counts.min())
    return Imbalance(
        counts=counts,
        ratio=largest / smallest if smallest else float("inf"),
        majority=int(counts.argmax()),
        baseline=largest / max(len(labels), 1),
    )


def label_conflicts(duplicates: Duplicates | None, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the near-duplicates that have different labels.

    Returns:
        int64 (Q, 2), the pairs in question; every group of more than one class has at least one.
    """
    if duplicates is None:
        return np.empty((0, 2), np.int64)
    pairs = duplicates.pairs
    conflicts: NDArray[np.int64] = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    return conflicts


def near_duplicates(pictures: ImageSet, splitting: Splitting) -> list[Finding]:
    """Say what groups there are, what they would have leaked, and whose labels disagree."""
    duplicates, total = splitting.duplicates, len(pictures.paths)
    findings = []
    if duplicates is None:
        findings.append(
            Finding("Near-duplicates were not looked for, as data.group_duplicates=false says.")
        )
    elif groups := duplicates.larger_than_one():
        sizes = [len(members) for members in groups]
        findings.append(
            Finding(
                f"{_count(len(groups), 'group')} of near-duplicates, with {sum(sizes)} of "
                f"{_count(total, 'picture')} in {'it' if len(groups) == 1 else 'them'}"
                + (f"; the largest has {max(sizes)}." if max(sizes) > 2 else ".")
            )
        )
    else:
        findings.append(Finding("No near-duplicates."))
    if duplicates is None or not np.array_equal(duplicates.groups, splitting.groups):
        counts = np.bincount(splitting.groups)
        together = counts[counts > 1]
        if len(together):
            findings.append(
                Finding(
                    f"With data.group_regex, {together.sum()} pictures in "
                    f"{_count(len(together), 'group')} stay together."
                )
            )
    if splitting.groups.max(initial=-1) + 1 < total:
        findings.append(_leaks(pictures, splitting))
    if splitting.drawn:
        findings += _absent(pictures, splitting.split)
    if duplicates is not None and len(duplicates.pairs):
        findings.append(_conflicts(pictures, duplicates))
    return findings


def _leaks(pictures: ImageSet, splitting: Splitting) -> Finding:
    split, leaked = splitting.split, splitting.leaked
    if not splitting.drawn:
        held_out = len(split.val) + len(split.test)
        if not len(leaked):
            return Finding("No held-out picture belongs to a group that is in train/ as well.")
        return Finding(
            f"Leaks: {len(leaked)} of {_count(held_out, 'held-out picture')} belong to a group "
            "that is in train/ as well, so that they measure memory. Remove them.",
            tuple(_quoted(pictures, leaked)),
        )
    return Finding(
        f"Leaks: a plain random split would have validated on {_count(len(leaked), 'picture')} "
        "after training on another of the same group; here each group stays on one side."
        if len(leaked)
        else "A plain random split would have leaked nothing, by luck."
    )


def _absent(pictures: ImageSet, split: Split) -> list[Finding]:
    """Name the classes that a drawn side is without."""
    findings = []
    for name, side in (("validation", split.val), ("test", split.test)):
        absent = absent_classes(pictures.labels, side)
        if len(side) and len(absent):
            classes = ", ".join(pictures.classes[label] for label in absent)
            findings.append(
                Finding(f"Classes without a {name} picture, for want of groups: {classes}.")
            )
    return findings


def _conflicts(pictures: ImageSet, duplicates: Duplicates) -> Finding:
    conflicts = label_conflicts(duplicates, pictures.labels)
    if not len(conflicts):
        return Finding("All near-duplicates agree in their class.")
    return Finding(
        f"Label conflicts: {_count(len(conflicts), 'pair')} of near-duplicates in different "
        "classes. Look at each: one of the two is probably in the wrong folder.",
        tuple(" and ".join(_quoted(pictures, pair)) for pair in conflicts),
    )


def balance(pictures: ImageSet, split: Split) -> list[Finding]:
    """Say how unequal the classes are, and what always answering the most frequent one scores."""
    classes = pictures.classes
    found = imbalance(pictures.labels, len(classes))
    largest, smallest = found.majority, int(found.counts.argmin())
    if found.ratio == 1:
        text = f"Every class has {_count(int(found.counts[0]), 'picture')}."
    elif not found.counts[smallest]:
        empty = [classes[label] for label in np.flatnonzero(found.counts == 0)]
        text = f"Classes without a readable picture: {', '.join(empty)}."
    else:
        text = (
            f"The largest class, {classes[largest]} ({found.counts[largest]}), has "
            f"{found.ratio:.1f} times the pictures of the smallest, {classes[smallest]} "
            f"({found.counts[smallest]})."
        )
        if found.ratio >= _IMBALANCED:
            text += " data.balance=sampler or data.balance=loss gives rare classes their weight."
    findings = [Finding(text)]
    if len(pictures.labels):
        findings.append(Finding(_majority_baseline(pictures, split, found)))
    return findings


def _majority_baseline(pictures: ImageSet, split: Split, found: Imbalance) -> str:
    if not len(split.val):
        name = pictures.classes[found.majority]
        return (
            f"Always answering {name}, the most frequent class, is right on {found.baseline:.1%}."
        )
    majority = int(np.bincount(pictures.labels[split.train]).argmax())
    shares = [
        f"{np.mean(pictures.labels[rows] == majority):.1%} of {name}"
        for name, rows in (("val", split.val), ("test", split.test))
        if len(rows)
    ]
    return (
        "Always answering the most frequent class of the training side is right on "
        f"{' and '.join(shares)} ({pictures.classes[majority]})."
    )


def borders(pictures: ImageSet, bars: Mapping[int, Bars]) -> list[Finding]:
    """Say which pictures have bars, and which classes a network could tell by them.

    Args:
        pictures: N of them.
        bars: What :func:`~.borders.find_bars` found, by row, where it found any.
    """
    total = len(pictures.paths)
    if not bars:
        return [Finding("No picture has a border of constant colour or a caption bar.")]
    rows = sorted(bars)
    items = [f"{_quoted(pictures, [row])[0]}: {_extent(bars[row])}" for row in rows]
    text = (
        f"{len(rows)} of {_count(total, 'picture')} have a border of constant colour or a caption "
        f"bar, {sum(bool(bars[row].captions) for row in rows)} of them with text."
    )
    findings = [Finding(text, tuple(items))]
    counts = np.bincount(pictures.labels, minlength=len(pictures.classes))
    barred = np.bincount(pictures.labels[rows], minlength=len(pictures.classes))
    for label in np.flatnonzero((barred > _MOSTLY * counts) & (barred >= _FEWEST)):
        share = barred[label] / counts[label]
        elsewhere = (len(rows) - barred[label]) / max(total - counts[label], 1)
        if share >= _MORE_OFTEN * elsewhere:
            name = pictures.classes[label]
            findings.append(
                Finding(
                    f"A shortcut in waiting: {barred[label]} of {counts[label]} pictures of {name} "
                    f"have bars, but {elsewhere:.0%} of the others. A network can tell {name} by "
                    "them: crop them off, or find other pictures."
                )
            )
    return findings


def _extent(bars: Bars) -> str:
    sides = {"top": bars.top, "bottom": bars.bottom, "left": bars.left, "right": bars.right}
    return ", ".join(
        f"{side} {share:.0%}{' with text' if side in bars.captions else ''}"
        for side, share in sides.items()
        if share
    )


def left_out(pictures: ImageSet, listing: ImageIndex) -> list[Finding]:
    """Name what was found in the folder and is on no side."""
    return [
        Finding(
            f"Unreadable pictures: {len(pictures.unreadable)}",
            tuple(f"`{bad.path.as_posix()}`: {bad.reason}" for bad in pictures.unreadable),
            complete=True,
        ),
        Finding(f"Empty class folders: {', '.join(listing.empty_classes) or 'none'}"),
        Finding(f"Ignored files, by their suffix or outside every class folder: {listing.ignored}"),
    ]


def group_members(pictures: ImageSet, groups: Sequence[NDArray[np.int64]]) -> Finding:
    """List the members of every group of near-duplicates, and how many of which class if mixed."""
    items = []
    for members in groups:
        classes = Counter(pictures.classes[label] for label in pictures.labels[members])
        counted = ", ".join(f"{name} {count}" for name, count in classes.most_common())
        mixed = f" (**{counted}**)" if len(classes) > 1 else ""
        items.append(", ".join(_quoted(pictures, members)) + mixed)
    return Finding(f"Groups of near-duplicates: {len(groups)}", tuple(items))


def leaked_pictures(pictures: ImageSet, leaked: NDArray[np.int64]) -> Finding:
    """List the pictures that a plain random split leaks."""
    return Finding(
        f"What a plain random split would have leaked: {_count(len(leaked), 'picture')}",
        tuple(_quoted(pictures, leaked)),
    )


def _quoted(pictures: ImageSet, rows: NDArray[np.int64] | Sequence[int]) -> list[str]:
    return [f"`{pictures.paths[row].as_posix()}`" for row in rows]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
