"""The inspection of a folder of pictures: in the terminal, and in files that lie together."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fishcnn.commands.build import build_datamodule
from fishcnn.commands.figures import save_figure
from fishcnn.commands.settings import as_settings
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.inspection.data_report import short, sizes, to_markdown
from fishcnn.data.inspection.inspection import Inspection, inspect_images
from fishcnn.plots.duplicate_sheet import (
    DuplicateGroup,
    duplicate_sheet,
    paginate,
    shown_first,
    suspects,
)
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import printable

# A terminal shows so many items of a list and so many classes; the files have all.
_NAMED, _CLASSES = 5, 100
_SHEETS = "duplicates_{:02}.png"


def inspect_data(config: DictConfig) -> None:
    """Report on a folder, and write ``report.md``, ``report.json`` and ``duplicates_01.png`` ...

    What keeps a training from beginning, such as a class of one picture, is one of the findings.

    Args:
        config: ``conf/inspect_data.yaml``.

    Raises:
        FishError: a setting is at fault, the folder does not have one folder a class, or the output
            folder cannot be written to; the message says which.
    """
    datamodule = _datamodule(config)
    found = _inspect(datamodule)
    named = config.data.name
    name = found.images.index.root.resolve().name if named == "folder" else named
    output = _output(config.output, name)
    sheets = []
    groups = found.groups()
    pages = paginate([len(members) for members in groups])[: config.pages]
    note = _left_out(len(groups), pages)
    for number, figure in enumerate(_sheets(found, name, pages, note), start=1):
        sheets.append(output / _SHEETS.format(number))
        save_figure(figure, sheets[-1])
    columns = found.columns()
    text = to_markdown(found.images, columns, [*found.sections(), *found.lists()], named=None)
    links = "".join(f"\n![Near-duplicates]({sheet.name})\n" for sheet in sheets)
    (output / "report.md").write_text(text + links, encoding="utf-8")
    # Escaped, as file names need not be valid Unicode.
    content = json.dumps(found.to_json(), indent=1, allow_nan=False)
    (output / "report.json").write_text(content + "\n", encoding="ascii")
    _print(found, columns, note, [output / "report.md", output / "report.json", *sheets])


def _datamodule(config: DictConfig) -> FishDataModule:
    """Check the settings as a training does; the datamodule is never set up."""
    if isinstance(config.pages, bool) or not isinstance(config.pages, int) or config.pages < 0:
        raise FishError(f"pages={config.pages}: wanted a whole number, 0 or more")
    try:
        return build_datamodule(config)
    except (TypeError, ValueError) as error:
        # What no check of ours has caught: a word where a number belongs, say.
        raise FishError(f"a setting has a value of the wrong kind: {error}") from error


def _inspect(datamodule: FishDataModule) -> Inspection:
    with as_settings("data.", images_per_class="data.pictures_per_class"):
        return _look_at(datamodule)


def _look_at(datamodule: FishDataModule) -> Inspection:
    folders = datamodule.source.folders()
    obstacles = []
    try:
        images = datamodule.decode(folders)
    except FishError as error:
        if folders.masks_root is None:
            raise
        # Probably a mask is missing or does not fit: the images can be looked at all the same.
        images = datamodule.decode(replace(folders, masks_root=None))
        obstacles.append(str(error))
    settings = datamodule.split_settings
    return inspect_images(images, settings, obstacles, _naming_settings)


def _naming_settings(error: FishError) -> str:
    try:
        with as_settings("data."):
            raise error
    except FishError as named:
        return str(named)


def _output(wanted: str | None, name: str) -> Path:
    """Make the folder to write to, and clear it of an earlier inspection's sheets."""
    folder = Path(wanted).expanduser() if wanted else Path("inspections") / name
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for sheet in folder.glob(_SHEETS.format(0).replace("00", "*")):
            sheet.unlink()
    except OSError as error:
        raise FishError(
            f"output={folder} cannot be written to: {error.strerror}; choose another folder by "
            "output="
        ) from error
    return folder


def _left_out(count: int, pages: Sequence[range]) -> str:
    """Say how many of the groups are on none of the pages."""
    left = count - (pages[-1].stop if pages else 0)
    if not left:
        return ""
    be = "is" if left == 1 else "are"
    return f"{left} of {count} groups {be} not on the contact sheet; report.md lists all."


def _sheets(found: Inspection, name: str, pages: Sequence[range], note: str) -> Iterator[Figure]:
    """Draw the contact sheets, page by page; the note stands on the last one."""
    groups = found.groups()
    for number, page in enumerate(pages, start=1):
        title = f"Near-duplicates in {name}"
        if len(pages) > 1:
            title += f", page {number} of {len(pages)}"
        yield duplicate_sheet(
            [_twin_group(found, groups[index], index + 1) for index in page],
            printable(title),
            note if number == len(pages) else "",
        )


def _twin_group(found: Inspection, members: NDArray[np.int64], number: int) -> DuplicateGroup:
    pictures = found.images
    classes = Counter(pictures.classes[label] for label in pictures.labels[members])
    title = f"Group {number}: {len(members)} pictures"
    if len(classes) > 1:
        counted = ", ".join(f"{name} ({count})" for name, count in classes.most_common())
        title += f" of different classes: {counted}"
    suspect = suspects(pictures.labels[members])
    shown = shown_first(suspect)
    rows = members[shown]
    names = [pictures.classes[label] for label in pictures.labels[rows]]
    if pictures.splits is not None:
        names = [f"{name} ({pictures.splits[row]})" for name, row in zip(names, rows, strict=True)]
    return DuplicateGroup(
        title=printable(title),
        images=pictures.pixels[rows],
        aspect=pictures.aspect[rows],
        names=[printable(pictures.paths[row].name) for row in rows],
        classes=[printable(name) for name in names],
        suspect=suspect[shown],
        size=len(members),
    )


def _print(
    found: Inspection, columns: dict[str, NDArray[np.int64]], note: str, files: list[Path]
) -> None:
    console = Console(highlight=False)
    columns = {name: counts for name, counts in columns.items() if counts.any()}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("class", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right")
    for label, name in enumerate(found.images.classes[:_CLASSES]):
        numbers = (str(counts[label]) for counts in columns.values())
        table.add_row(Text(printable(name)), *numbers)
    if len(found.images.classes) > _CLASSES:
        table.add_row(f"and {len(found.images.classes) - _CLASSES} more classes")
    table.add_row("all", *(str(counts.sum()) for counts in columns.values()), style="bold")
    console.print(table)
    console.print(Text(printable(sizes(found.images))))
    for section in found.sections():
        console.print(Text(f"\n{section.title}", style="bold"))
        for finding in section.findings:
            console.print(Text(printable(finding.text)))
            for item in short(finding.items, _NAMED):
                console.print(Text(f"  {printable(item)}"), soft_wrap=True)
    console.print(f"\n{note}" if note else "")
    for file in files:
        console.print(Text(printable(str(file))), soft_wrap=True)
