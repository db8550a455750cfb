"""The page of an inspection: what a folder holds, what is wrong with it, and what to type next."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fishcnn.commands.more_images import MoreImages
from fishcnn.commands.page_images import inline_photo
from fishcnn.commands.templates import render_page, software
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.inspection.data_findings import (
    balance,
    borders,
    conflicting,
    imbalance,
    label_conflicts,
    look_first,
    near_duplicates,
)
from fishcnn.data.inspection.data_report import MAX_NAMED, short
from fishcnn.data.inspection.inspection import Inspection
from fishcnn.plots.duplicate_sheet import restored, suspects
from fishcnn.utils.text import printable

# A page of all images of a large folder would not open; report.json lists everything.
_THUMBNAILS, _STRIPS, _FILES, _CLASSES = 12, 30, 100, 28


class Strip(NamedTuple):
    """Images that belong together.

    Attributes:
        title: what they are; empty where the section says so.
        images: data URI, path below the root, class, and whether that is in doubt.
        more: how many more there are.
    """

    title: str
    images: list[tuple[str, str, str, bool]]
    more: int


class Advice(NamedTuple):
    """What to type next.

    Attributes:
        why: in sentences; empty where there is nothing to say.
        command: trains on the images.
    """

    why: str
    command: str


class Section(NamedTuple):
    """Findings of one kind.

    Attributes:
        lines: what was found, in sentences.
        to_do: what to do about it.
        strips: images that show it.
        files: paths, each with what is wrong with it.
        more: what is left out here.
        by_class: whether the table of classes stands here.
        doubts: images whose class is in doubt: number, data URI, path, class, likely class, and its
            probability.
    """

    title: str
    lines: Sequence[str]
    to_do: str = ""
    strips: Sequence[Strip] = ()
    files: Sequence[tuple[str, str]] = ()
    more: str = ""
    by_class: bool = False
    doubts: Sequence[tuple[int, str, str, str, str, str]] = ()


def inspection_page(
    found: Inspection,
    name: str,
    sheets: Sequence[str],
    advice: Advice,
    labels: Section | None = None,
    more: MoreImages | None = None,
) -> bytes:
    """Build the page, in UTF-8.

    Args:
        found: what was found.
        name: of the folder.
        sheets: file names of the contact sheets beside the page.
        advice: what to type next.
        labels: about wrong labels, where they were looked for.
        more: what more images would bring, where that was asked.
    """
    images = found.images
    groups = found.groups()
    return render_page(
        "inspection.html",
        title=f"Images in {name}",
        images=images,
        notes=[finding.text for finding in look_first(images, found.splitting)],
        conflicts=len(label_conflicts(found.splitting.duplicates, images.labels)),
        looked_for_duplicates=found.splitting.duplicates is not None,
        groups=len(groups),
        grouped=sum(map(len, groups)),
        barred=len(found.bars),
        captions=sum(bool(bars.captions) for bars in found.bars.values()),
        spread=imbalance(images.labels, len(images.classes)),
        sections=_sections(found, groups, sheets, labels),
        columns={name: counts for name, counts in found.columns().items() if counts.any()},
        obstacles=len(found.obstacles),
        advice=advice,
        more=more,
        made_of={"folder": str(images.index.root), "software": software()},
    )


def _sections(
    found: Inspection,
    groups: Sequence[NDArray[np.int64]],
    sheets: Sequence[str],
    labels_section: Section | None,
) -> list[Section]:
    """What was found, the most harmful first."""
    images, splitting = found.images, found.splitting
    labels = images.labels
    mixed = [members for members in groups if len(np.unique(labels[members])) > 1]
    alike = groups[len(mixed) :]
    sections = []
    if found.obstacles:
        to_do = "Mend this, and inspect the folder again."
        sections.append(Section("A training would stop", [*map(str, found.obstacles)], to_do))
    if images.unreadable:
        bad = [(file.path.as_posix(), file.reason) for file in images.unreadable]
        one = len(bad) == 1
        line = f"{len(bad)} {'file has' if one else 'files have'} the name of an image and cannot "
        line += f"be read as one. A training leaves {'it' if one else 'them'} out."
        to_do = "Open each in an image viewer. If it shows, save it again as JPEG or PNG; if it "
        to_do += "does not, get the file again or delete it."
        more = _more(len(bad) - _FILES)
        sections.append(Section("Unreadable files", [line], to_do, files=bad[:_FILES], more=more))
    conflict = conflicting(images, splitting)
    if conflict:
        to_do = "Move the wrong one to its class, or delete it. A red frame: this class differs "
        to_do += "from that of most of the group; without a majority, all are framed."
        strips = [_group(images, members) for members in mixed[:_STRIPS]]
        more = _more(len(mixed) - _STRIPS)
        sections.append(Section("Label conflicts", [conflict.text], to_do, strips, more=more))
    if labels_section is not None:
        sections.append(labels_section)
    others = [one for one in near_duplicates(images, splitting) if one != conflict]
    if leaks := [one for one in others if one.rows]:
        strips = [_strip(images, one.rows) for one in leaks]
        sections.append(Section("Leaks", [one.text for one in leaks], strips=strips))
    lines = [one.text for one in balance(images, splitting.split)]
    firsts = np.unique(labels, return_index=True)[1].tolist()[:_CLASSES]
    of = len(images.classes)
    title = f"One image of each of {f'the first {len(firsts)} of ' if len(firsts) < of else ''}"
    title += f"{of} classes"
    look = [_strip(images, firsts, title, len(firsts))] if firsts else []
    sections.append(Section("Classes and their balance", lines, strips=look, by_class=True))
    # What gives a class away comes before what only some images have.
    overall, *shortcuts = borders(images, found.bars)
    bars = [*shortcuts, overall]
    lines = [one.text for one in bars]
    strips = [_strip(images, one.rows, _one_class(images, one.rows)) for one in bars if one.rows]
    sections.append(Section("Borders and watermark bars", lines, strips=strips))
    to_do = "Nothing has to be done: a training keeps each group in one split. Copies that add "
    to_do += "nothing can be deleted."
    lines = [one.text for one in others if not one.rows]
    if sheets:
        lines.append(f"To print, with conflicts first: {', '.join(sheets)} beside this page.")
    sections.append(
        Section(
            "Near-duplicates",
            lines,
            to_do if alike else "",
            [_group(images, members) for members in alike[:_STRIPS]],
            more=_more(len(alike) - _STRIPS),
        )
    )
    sections.append(Section("Sizes", [found.sizes()]))
    empty = ", ".join(images.index.empty_classes) or "none"
    names = [printable(file.as_posix()) for file in images.index.ignored_files]
    ignored = f": {', '.join(short(names, MAX_NAMED))}." if names else "."
    lines = [
        f"Empty class folders: {empty}.",
        "Files ignored, by their suffix or outside every class folder: "
        f"{images.index.ignored}{ignored}",
    ]
    return [*sections, Section("Left out", lines)]


def _more(count: int) -> str:
    return f"And {count:,} more: report.json lists them all." if count > 0 else ""


def _one_class(images: ImageSet, rows: Sequence[int]) -> str:
    names = {images.classes[images.labels[row]] for row in rows}
    return names.pop() if len(names) == 1 else "Of all classes"


def _group(images: ImageSet, members: NDArray[np.int64]) -> Strip:
    """Near-duplicates, the suspects among them first."""
    suspect = suspects(images.labels[members])
    counts = Counter(images.classes[label] for label in images.labels[members])
    title = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    first = members[np.argsort(~suspect, kind="stable")]
    return _strip(images, first.tolist(), title, doubtful=members[suspect].tolist())


def _strip(
    images: ImageSet,
    rows: Sequence[int],
    title: str = "",
    most: int = _THUMBNAILS,
    *,
    doubtful: Sequence[int] = (),
) -> Strip:
    count = min(len(rows), most)
    # Rows are sorted by class, of which some of each are shown; those in doubt come first.
    shown = [rows[i if doubtful else i * len(rows) // count] for i in range(count)]
    thumbnails = [
        (
            inline_photo(Image.fromarray(restored(square, float(images.aspect[row])))),
            images.paths[row].as_posix(),
            images.classes[images.labels[row]],
            row in doubtful,
        )
        for row, square in zip(shown, images.pixels[np.array(shown, np.int64)], strict=True)
    ]
    return Strip(title, thumbnails, len(rows) - len(shown))
