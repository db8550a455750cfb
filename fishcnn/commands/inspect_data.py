"""The inspection of a folder of images: in the terminal, and in files that lie together."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.table import Column
from rich.text import Text

from fishcnn.commands.build import build_datamodule
from fishcnn.commands.command_line import training_on
from fishcnn.commands.figures import save_figure
from fishcnn.commands.inspection_page import Advice, inspection_page
from fishcnn.commands.label_judges import Judge, find_judge
from fishcnn.commands.label_report import SHEETS, LabelReport
from fishcnn.commands.label_section import label_lines, label_section
from fishcnn.commands.label_table import DIGEST, NUMBERS, LabelTable
from fishcnn.commands.more_images import check_learning_curve, look_ahead, more_images
from fishcnn.commands.output_folder import all_or_nothing, name_of_data, output_folder
from fishcnn.commands.probed_images import check_probe, probed_images
from fishcnn.commands.settings import as_settings, check_settings
from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.resize import SQUASH
from fishcnn.data.inspection.data_report import WARNINGS, short
from fishcnn.data.inspection.inspection import Inspection, inspect_images
from fishcnn.models.pretrained.efficientnet_lite import installed
from fishcnn.plots.duplicate_sheet import (
    DuplicateGroup,
    duplicate_sheet,
    paginate,
    shown_first,
    suspects,
)
from fishcnn.training.diagnosis import FEW_IMAGES
from fishcnn.training.probe.forecast import Forecast
from fishcnn.training.probe.out_of_fold import ProbedImages
from fishcnn.utils import stopping
from fishcnn.utils.checks import flag, whole
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.files import write_bytes, write_text
from fishcnn.utils.machine import user_path
from fishcnn.utils.text import printable

# A terminal shows so many items of a list and so many classes; the files have all.
_NAMED, _CLASSES = 5, 100
_PAGE, _SHEETS = "report.html", "duplicates_{}.png"


@dataclass(frozen=True)
class _Report:
    """What an inspection has come to.

    Attributes:
        name: of the folder.
        found: in it.
        advice: what to type next.
        table: of labels, as an earlier inspection has left it.
        labels: those that may be wrong; None where nobody has looked for them.
        ahead: the learning curve; None where it was not asked for.
    """

    name: str
    found: Inspection
    advice: Advice
    table: LabelTable
    labels: LabelReport | None
    ahead: Forecast | None


def check_inspect_data(config: DictConfig) -> tuple[FishDataModule, Judge | None]:
    """Check the settings of an inspection, or raise a FishError that names one.

    Returns:
        What they say: the images, and who is asked for wrong labels, if anybody.
    """
    check_settings(config, {"pages": whole(0), "learning_curve": flag})
    judge = find_judge(typed(config.labels))
    check_learning_curve(config)
    if config.learning_curve or (judge and judge.is_probe):
        check_probe(config)
    return build_datamodule(config), judge


def inspect_data(config: DictConfig) -> None:
    """Report on a folder, and write ``report.html``, ``report.json`` and ``duplicates_01.png`` ...

    With ``labels=true``, ``labels.csv`` and ``labels_01.png`` ... as well.

    What keeps a training from beginning, such as a class of one image, is one of the findings.

    Raises:
        FishError: a setting is at fault, the folder does not have one folder a class, or the output
            folder cannot be written to; the message says which.
    """
    with stopping.telling(lambda: "; nothing was written"):
        datamodule, judge = check_inspect_data(config)
    name = name_of_data(config.data, "is packed: inspect the folder that it is of")
    root = config.data.get("root")
    root = root and str(user_path(root).resolve())
    with output_folder(config.output, Path("inspections") / name) as output:
        table = LabelTable(output, config.data.get("labels"))
        if judge:
            table.check_replaceable()
        found = _inspect(datamodule)

        @cache
        def probed() -> ProbedImages:
            return probed_images(config, found.images, found.splitting.groups)

        report = _Report(
            name,
            found,
            _advice(found, root, rendered=config.data.name == "synthetic"),
            table,
            judge.report(found.images, probed, corrected=config.data.labels is not None)
            if judge and len(found.images.paths)
            else None,
            look_ahead(found, probed) if config.learning_curve else None,
        )
        _write(report, config.pages, output)


def _advice(found: Inspection, root: str | None, *, rendered: bool) -> Advice:
    """What to begin with: of rendered images any number is enough."""
    if rendered or len(found.images.paths) >= FEW_IMAGES:
        return Advice("", training_on(root, "best"))
    why = "With fewer than some thousand images, begin with what a pretrained network sees in them."
    if not installed():
        why += " Before that, type: pip install 'fishcnn[pretrained]'"
    return Advice(why, training_on(root, "probe"))


def _write(report: _Report, most_pages: int, output: Path) -> None:
    """Write the files and print what they say; those of an earlier inspection go."""
    name, found, table, labels = report.name, report.found, report.table, report.labels
    content, section, tables, more = found.to_json(), None, [], None
    with all_or_nothing(output, lambda: _earlier(output, table)) as folder:
        sheets, note = _write_sheets(found, name, most_pages, folder)
        if labels:
            write_bytes(folder / table.file.name, labels.table())
            label_sheets = labels.write_sheets(folder, name, most_pages)
            section = label_section(labels, table.file, label_sheets)
            tables = [table.file.name, *label_sheets]
            content |= {"label_issues": labels.to_json(), DIGEST: table.digest(labels)}
        if report.ahead:
            content |= {"learning_curve": report.ahead.to_json()}
            more = more_images(report.ahead)
        # Escaped, as file names need not be valid Unicode.
        write_text(folder / NUMBERS, json.dumps(content, indent=1, allow_nan=False) + "\n")
        page = inspection_page(found, name, sheets, report.advice, section, more)
        write_bytes(folder / _PAGE, page)
        if labels:
            table.check_replaceable()
    _print(report, note, [output / file for file in (_PAGE, NUMBERS, *tables, *sheets)])


def _write_sheets(
    found: Inspection, name: str, most_pages: int, folder: Path
) -> tuple[list[str], str]:
    """Write near-duplicates on sheets; returns the names of these, and what they leave out."""
    groups = found.groups()
    pages = paginate([len(members) for members in groups])[:most_pages]
    left, sheets = len(groups) - (pages[-1].stop if pages else 0), []
    note = f"The contact sheets leave out {left} of {len(groups)} groups; {NUMBERS} lists them all."
    note = note if left else ""
    for number, page in enumerate(pages, start=1):
        title = f"Near-duplicates in {name}"
        if len(pages) > 1:
            title += f", page {number} of {len(pages)}"
        shown = [_group(found.images, groups[index], index + 1) for index in page]
        figure = duplicate_sheet(shown, printable(title), note if number == len(pages) else "")
        sheets.append(_SHEETS.format(f"{number:02}"))
        save_figure(figure, folder / sheets[-1])
    return sheets, note


def _earlier(output: Path, table: LabelTable) -> Iterator[Path]:
    """What an earlier inspection has left in a folder, and nothing else."""
    if (output / NUMBERS).is_file():
        yield output / "report.md"  # of an earlier version
    if table.replaceable():
        yield table.file
    for sheets in (_SHEETS, SHEETS):
        yield from output.glob(sheets.format("[0-9]*"))


@as_settings("data.", images_per_class="data.pictures_per_class")
def _inspect(datamodule: FishDataModule) -> Inspection:
    folders = datamodule.source.folders()
    obstacles = []
    try:
        images = datamodule.decode(folders, SQUASH)  # whole, however they are trained on
    except FishError as error:
        if folders.masks_root is None:
            raise
        # Probably a mask is missing or does not fit: the images can be looked at all the same.
        images = datamodule.decode(folders._replace(masks_root=None), SQUASH)
        obstacles.append(error)
    found = inspect_images(images, datamodule.split_settings, datamodule.resize)
    return replace(found, obstacles=[*map(_naming_settings, [*obstacles, *found.obstacles])])


def _naming_settings(error: FishError) -> FishError:
    try:
        with as_settings("data."):
            raise error
    except FishError as named:
        return named


def _group(images: ImageSet, members: NDArray[np.int64], number: int) -> DuplicateGroup:
    classes = Counter(images.classes[label] for label in images.labels[members])
    title = f"Group {number}: {len(members)} images"
    if len(classes) > 1:
        counted = ", ".join(f"{name} ({count})" for name, count in classes.most_common())
        title += f" of different classes: {counted}"
    suspect = suspects(images.labels[members])
    shown = shown_first(suspect)
    rows = members[shown]
    names = [images.classes[label] for label in images.labels[rows]]
    if images.splits is not None:
        names = [f"{name} ({images.splits[row]})" for name, row in zip(names, rows, strict=True)]
    return DuplicateGroup(
        title=printable(title),
        images=images.pixels[rows],
        aspect=images.aspect[rows],
        names=[printable(images.paths[row].as_posix()) for row in rows],
        classes=[printable(name) for name in names],
        suspect=suspect[shown],
        size=len(members),
    )


def _print(report: _Report, note: str, files: list[Path]) -> None:
    found = report.found
    console = Terminal(highlight=False)
    sections = found.sections()
    for finding in sections.pop(WARNINGS, []):
        console.print(Text(f"Warning: {printable(finding.text)}", style="bold"))
    columns = {name: counts for name, counts in found.columns().items() if counts.any()}
    counted = (Column(name, justify="right") for name in columns)
    table = plain_table(Column("class", overflow="fold"), *counted)
    for label, name in enumerate(found.images.classes[:_CLASSES]):
        numbers = (str(counts[label]) for counts in columns.values())
        table.add_row(Text(printable(name)), *numbers)
    if len(found.images.classes) > _CLASSES:
        table.add_row(f"and {len(found.images.classes) - _CLASSES} more classes")
    table.add_row("all", *(str(counts.sum()) for counts in columns.values()), style="bold")
    console.print(table)
    console.print(Text(printable(found.sizes())))
    for title, findings in sections.items():
        console.print(Text(f"\n{title}", style="bold"))
        for finding in findings:
            console.print(Text(printable(finding.text)))
            for item in short(finding.items, _NAMED):
                console.print(Text(f"  {printable(item)}"), soft_wrap=True)
    if report.labels:
        console.print(Text("\nWrong labels", style="bold"))
        first, *shown, words, setting = label_lines(report.labels, report.table.file)
        console.print(Text(first))
        print_raw(console, [f"  {line}" for line in shown])
        console.print(Text(words))
        print_raw(console, [f"  {setting}"])
    if report.ahead:
        console.print(Text("\nMore images", style="bold"))
        for sentence in report.ahead.sentences():
            console.print(Text(sentence))
    console.print(f"\n{note}" if note else "")
    print_raw(console, files)
    console.print(Text(f"\n{report.advice.why}" if report.advice.why else ""))
    print_raw(console, ["Then train:", f"  {report.advice.command}"])
