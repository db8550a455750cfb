"""What is worth knowing about a folder before anybody trains on it, one finding a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.duplicates.finder import Duplicates
from fishcnn.data.inspection.borders import Bars
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.splitting.split import Split, absent_classes
from fishcnn.utils.text import counted, markdown, markdown_code, percent, printable

# From this ratio of the largest to the smallest class on, a network may do well by forgetting the
# rare classes.
MIN_IMBALANCE = 2.0
# Bars give a class away if more than this share of its images has them, at least so many images
# have, so many times as large a share as of the other classes, and so many standard errors more
# than these: of many small classes, some have many bars by chance.
MIN_BARRED_SHARE, MIN_BARRED_IMAGES, MIN_BARRED_RATIO, MIN_BARRED_Z = 0.5, 3, 2.0, 3.0

# A group is worth a warning if it holds this share of a class, and so many images.
MIN_SWALLOWED_SHARE, MIN_SWALLOWED_IMAGES = 0.3, 6


class Finding(NamedTuple):
    """One thing that was found."""

    text: str  # a sentence in plain text, complete without the items
    items: Sequence[str] = ()  # what it is about, such as "`Koi/1.jpg`", one a line in Markdown
    complete: bool = False  # whether a short report names all the items, too
    rows: Sequence[int] = ()  # images that show it, for whoever can draw them


class Imbalance(NamedTuple):
    """How unevenly images are spread over the classes."""

    counts: NDArray[np.int64]  # (C,), images of each class
    ratio: float  # the largest of them by the smallest; infinite where a class has none
    majority: int  # label of the largest class
    baseline: float  # accuracy of always answering that, on all images


def imbalance(labels: NDArray[np.int64], num_classes: int) -> Imbalance:
    """Measure how unevenly images, of labels int64 (N,), are spread over at least one class."""
    counts = np.bincount(labels, minlength=num_classes)
    largest, smallest = int(counts.max()), int(counts.min())
    ratio = largest / smallest if smallest else float("inf")
    return Imbalance(counts, ratio, int(counts.argmax()), largest / max(len(labels), 1))


def label_conflicts(duplicates: Duplicates | None, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find pairs of near-duplicates that have different labels, int64 (Q, 2).

    Every group of more than one class has at least one.
    """
    pairs = np.empty((0, 2), np.int64) if duplicates is None else duplicates.pairs
    conflicts: NDArray[np.int64] = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    return conflicts


def look_first(images: ImageSet, splitting: Splitting) -> list[Finding]:
    """Say what should be looked at first: how folders and names were understood, huge groups."""
    findings = [Finding(remark) for remark in images.index.remarks]
    if splitting.parts is not None and (text := _misfit(images, splitting.parts)):
        findings.append(Finding(text))
    labels, groups = images.labels, splitting.groups
    sizes = np.bincount(labels, minlength=len(images.classes))
    validated = np.bincount(labels[splitting.split.val], minlength=len(images.classes))
    # Of each class, the images of its largest group.
    most = np.zeros(len(images.classes), np.int64)
    cells, counts = np.unique(groups * len(most) + labels, return_counts=True)
    np.maximum.at(most, cells % len(most), counts)
    for label, name in enumerate(images.classes):
        largest = int(most[label])
        if largest >= MIN_SWALLOWED_IMAGES and largest >= MIN_SWALLOWED_SHARE * sizes[label]:
            text = (
                f"{largest} of {sizes[label]} images of {name} are one group that no split "
                f"divides, which leaves {counted(int(validated[label]), 'image')} of it for "
                "validation. If they do not show the same, type data.group_duplicates=false"
            )
            if splitting.duplicates is None or len(splitting.duplicates.pairs) == 0:
                text = text.replace("group_duplicates=false", "group_regex=null")
            findings.append(Finding(f"{text}."))
    return findings


def _misfit(images: ImageSet, parts: Sequence[str | None]) -> str | None:
    """Say how the pattern fails that groups by names; None where it finds a group in each name."""
    named = [part for part in parts if part is not None]
    if len(named) < len(parts):
        stems = [path.stem for path in images.paths]
        fits = next(stem for stem, part in zip(stems, parts, strict=True) if part is not None)
        other = next(stem for stem, part in zip(stems, parts, strict=True) if part is None)
        return (
            f"data.group_regex matches {len(named)} of {counted(len(parts), 'file name')}, such as "
            f"{fits}. Each of the others, such as {other}, is a group of its own."
        )
    if len(set(named)) == len(named):
        return (
            "data.group_regex puts no two images together: what it finds in each of the "
            f"{counted(len(named), 'file name')}, such as {named[0]}, is in no other."
        )
    return None


def near_duplicates(images: ImageSet, splitting: Splitting) -> list[Finding]:
    """Say what groups there are, what they would have leaked, and whose labels disagree."""
    duplicates, total = splitting.duplicates, len(images.paths)
    if duplicates is None:
        text = "Near-duplicates were not looked for (data.group_duplicates=false)."
    elif groups := duplicates.larger_than_one():
        sizes = [len(members) for members in groups]
        text = f"{counted(len(groups), 'group')} of near-duplicates, with {sum(sizes)} of "
        text += f"{counted(total, 'image')} in {'it' if len(groups) == 1 else 'them'}"
        text += f"; the largest has {max(sizes)}." if max(sizes) > 2 else "."
    else:
        text = "No near-duplicates."
    findings = [Finding(text)]
    if duplicates is None or not np.array_equal(duplicates.groups, splitting.groups):
        counts = np.bincount(splitting.groups)
        together = counts[counts > 1]
        if len(together):
            text = f"data.group_regex keeps {together.sum()} images together in "
            findings.append(Finding(f"{text}{counted(len(together), 'group')}."))
    if splitting.groups.max(initial=-1) + 1 < total:
        findings += _leaks(images, splitting)
    if splitting.drawn:
        for name, rows in (("validation", splitting.split.val), ("test", splitting.split.test)):
            absent = absent_classes(images.labels, rows)
            if len(rows) and len(absent):
                classes = ", ".join(images.classes[label] for label in absent)
                text = f"Classes without a {name} image, as they have too few groups: {classes}."
                findings.append(Finding(text))
    if conflict := conflicting(images, splitting):
        findings.append(conflict)
    elif duplicates is not None and len(duplicates.pairs):
        findings.append(Finding("All near-duplicates agree in their class."))
    return findings


def conflicting(images: ImageSet, splitting: Splitting) -> Finding | None:
    """Say which near-duplicates disagree in their class, if any do."""
    conflicts = label_conflicts(splitting.duplicates, images.labels)
    if not len(conflicts):
        return None
    text = f"Label conflicts: {counted(len(conflicts), 'pair')} of near-duplicates in different "
    text += "classes. Look at each: one of the two is probably in the wrong folder."
    return Finding(text, [" and ".join(quoted(images, pair)) for pair in conflicts])


def _leaks(images: ImageSet, splitting: Splitting) -> list[Finding]:
    split, leaked = splitting.split, splitting.leaked
    if not splitting.drawn and not len(leaked):
        return [Finding("No held-out image belongs to a group that is in train/ as well.")]
    if not len(leaked):
        return []
    if splitting.drawn:
        text = (
            f"Leaks: a plain random split would have validated on {counted(len(leaked), 'image')} "
            "after training on another of the same group; here no split divides a group."
        )
        return [Finding(text)]
    text = (
        f"Leaks: {len(leaked)} of {counted(len(split.val) + len(split.test), 'held-out image')} "
        "belong to a group that is in train/ as well: they measure what the network remembers. "
        "Remove them."
    )
    return [Finding(text, quoted(images, leaked), rows=leaked.tolist())]


def balance(images: ImageSet, split: Split) -> list[Finding]:
    """Say how unequal the classes are, and what always answering the most frequent one scores."""
    classes = images.classes
    found = imbalance(images.labels, len(classes))
    smallest = int(found.counts.argmin())
    if found.ratio == 1:
        text = f"Every class has {counted(int(found.counts[0]), 'image')}."
    elif not found.counts[smallest]:
        empty = [classes[label] for label in np.flatnonzero(found.counts == 0)]
        text = f"Classes without a readable image: {', '.join(empty)}."
    elif f"{found.ratio:.1f}" == "1.0":
        text = f"Every class has {found.counts[smallest]} to {found.counts.max()} images."
    else:
        text = (
            f"The largest class, {classes[found.majority]} ({found.counts[found.majority]}), has "
            f"{found.ratio:.1f} times as many images as the smallest, {classes[smallest]} "
            f"({found.counts[smallest]})."
        )
        if found.ratio >= MIN_IMBALANCE:
            text += " data.balance=sampler or data.balance=loss gives rare classes more weight."
    findings = [Finding(text)]
    if len(split.val):
        majority = int(np.bincount(images.labels[split.train]).argmax())
        shares = [
            f"{percent(np.mean(images.labels[rows] == majority))} of {name}"
            for name, rows in (("val", split.val), ("test", split.test))
            if len(rows)
        ]
        text = f"{classes[majority]}, the most frequent class in training, is right on "
        findings.append(Finding(f"Always answering {text}{' and '.join(shares)}."))
    elif len(images.labels):
        text = f"{classes[found.majority]}, the most frequent class, is right on "
        findings.append(Finding(f"Always answering {text}{percent(found.baseline)}."))
    return findings


def borders(images: ImageSet, bars: Mapping[int, Bars]) -> list[Finding]:
    """Say which images have bars, by row, and which classes a network could tell by them."""
    total, num_classes = len(images.paths), len(images.classes)
    if not bars:
        return [Finding("No image has a border of constant colour or a caption bar.")]
    rows = sorted(bars)
    items = [
        f"{name}: "
        + ", ".join(
            f"{edge} {percent(share, 0)}{' with text' if edge in bars[row].captions else ''}"
            for edge, share in bars[row].extents.items()
            if share
        )
        for row, name in zip(rows, quoted(images, rows), strict=True)
    ]
    text = (
        f"{len(rows)} of {counted(total, 'image')} have a border of constant colour or a caption "
        f"bar, {sum(bool(bars[row].captions) for row in rows)} of them with text."
    )
    findings = [Finding(text, items, rows=rows)]
    counts = np.bincount(images.labels, minlength=num_classes)
    barred = np.bincount(images.labels[rows], minlength=num_classes)
    often = (barred > MIN_BARRED_SHARE * counts) & (barred >= MIN_BARRED_IMAGES)
    for label in np.flatnonzero(often):
        share = barred[label] / counts[label]
        elsewhere = (len(rows) - barred[label]) / max(total - counts[label], 1)
        error = np.sqrt(elsewhere * (1 - elsewhere) / counts[label])
        if share >= max(MIN_BARRED_RATIO * elsewhere, elsewhere + MIN_BARRED_Z * error):
            name = images.classes[label]
            text = (
                f"Possible shortcut: {barred[label]} of {counts[label]} images of {name} have "
                f"bars, against {percent(elsewhere, 0)} of the others. A network can recognise "
                f"{name} by them: crop them off, or find other images."
            )
            own = [row for row in rows if images.labels[row] == label]
            findings.append(Finding(text, rows=own))
    return findings


def left_out(images: ImageSet) -> list[Finding]:
    """Name what was found in the folder and is in no split."""
    unreadable = [
        f"{markdown_code(bad.path.as_posix())}: {markdown(bad.reason)}" for bad in images.unreadable
    ]
    return [
        Finding(f"Unreadable images: {len(unreadable)}", unreadable, complete=True),
        *_corrected(images),
        Finding(f"Empty class folders: {', '.join(images.index.empty_classes) or 'none'}"),
        Finding(
            f"Ignored files, by their suffix or outside every class folder: {images.index.ignored}",
            [markdown_code(file.as_posix()) for file in images.index.ignored_files],
        ),
    ]


def _corrected(images: ImageSet) -> list[Finding]:
    if not images.dropped:
        return []
    dropped = [markdown_code(printable(path.as_posix())) for path in images.dropped]
    return [Finding(f"Left out by data.labels: {len(dropped)}", dropped)]


def quoted(images: ImageSet, rows: Iterable[int]) -> list[str]:
    """Paths of images as code in Markdown."""
    return [markdown_code(images.paths[row].as_posix()) for row in rows]
