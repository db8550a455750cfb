"""The explanation: where a trained network looks, and whether that is to be trusted."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from fishcnn.commands.explain.drawing import Tile, sheet
from fishcnn.commands.explain.examples import Example, examples, examples_sheet
from fishcnn.commands.explain.explained_images import (
    Picture,
    check_same_pictures,
    typed_pictures,
    validation_pictures,
    validation_sample,
)
from fishcnn.commands.explain.explanation_report import LISTED, Summary, report
from fishcnn.commands.explain.explanation_rows import Row, cells, columns
from fishcnn.commands.explain.explanation_stream import explained
from fishcnn.commands.explain.measurements import Measured, measure
from fishcnn.commands.explain.measurements_json import trust_content
from fishcnn.commands.explain.printed_explanation import print_summary
from fishcnn.commands.explain.question import Question, ask
from fishcnn.commands.figures import save_figure
from fishcnn.commands.image_paths import STANDARD_INPUT
from fishcnn.commands.trained_run import (
    best_device,
    find_trained,
    load_trained,
    run_datamodule,
    run_folder,
)
from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.faithfulness_curves import faithfulness_curves
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import printable

_PNGS, _TABLE, _SHEET = "pictures", "explanations.csv", "contact_sheet.png"
_CURVES, _EXAMPLES, _TRUST, _REPORT = "curves.png", "examples.png", "trust.json", "report.md"
_MOST_ON_SHEET = 200


@dataclass(frozen=True)
class _Written:
    """What is kept of the rows, of which there may be any number."""

    first: list[Row]
    tiles: list[Tile]
    total: int
    unreadable: int


def explain(config: DictConfig) -> None:
    """Explain pictures as the configuration says, and write what was found.

    Args:
        config: ``conf/explain.yaml``.

    Raises:
        FishError: a setting, the checkpoint or the pictures are at fault, or none of the pictures
            can be read; the message says which.
    """
    _check(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    classifier = load_trained(checkpoint, best_device())
    question = ask(
        classifier,
        method=config.method,
        layer=config.layer,
        target=config.target,
        against=config.against,
    )
    datamodule, remarks = _data_of_run(config, checkpoint, classifier)
    pictures, total = _pictures(config, classifier, datamodule)
    output = _output(config, checkpoint)

    written = _explain(config, classifier, pictures, total, question, output)
    measured, named = None, []
    if config.trust and datamodule is not None:
        measured = measure(
            classifier, datamodule, question, pictures=config.measured, seed=config.seed
        )
        named = examples(measured, classifier.classes)
        _write_trust(measured, named, question, classifier, checkpoint, config.seed, output)
    summary = Summary(
        checkpoint=checkpoint,
        question=question,
        pictures="a sample of the validation side" if config.input is None else str(config.input),
        rows=written.first,
        total=written.total,
        unreadable=written.unreadable,
        on_sheet=len(written.tiles),
        measured=measured,
        examples=named,
        remarks=remarks,
    )
    text = report(summary).encode("utf-8", "backslashreplace")
    (output / _REPORT).write_bytes(text)
    print_summary(
        summary, output, [name for name in (_REPORT, _SHEET, _TABLE) if (output / name).exists()]
    )
    if written.unreadable == written.total:
        raise FishError(
            f"none of the {written.total} pictures can be read; "
            f"{printable(str(output / _TABLE))} says why"
        )


def _check(config: DictConfig) -> None:
    """Check the settings before anything is read."""
    for name, low, high in (
        ("pictures", 1, _MOST_ON_SHEET),
        ("measured", 1, 2**31),
        ("seed", 0, 2**32 - 1),
    ):
        value = config[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise FishError(f"{name}={value}: wanted a whole number from {low} to {high}")
    if not isinstance(config.trust, bool):
        raise FishError(f"trust={config.trust}: wanted true or false")


def _data_of_run(
    config: DictConfig, checkpoint: Path, classifier: FishClassifier
) -> tuple[FishDataModule | None, list[str]]:
    """The pictures of the run where they are wanted, or a remark on why they are not there."""
    if config.input is not None and not config.trust:
        return None, []
    try:
        datamodule = run_datamodule(checkpoint)
        run = run_folder(checkpoint)
        assert run is not None
        check_same_pictures(datamodule, classifier.classes, run)
    except FishError as error:
        if config.input is None:
            raise
        return None, [f"Whether the maps are to be trusted could not be measured: {error}"]
    return datamodule, []


def _pictures(
    config: DictConfig, classifier: FishClassifier, datamodule: FishDataModule | None
) -> tuple[Iterator[Picture], int | None]:
    """The pictures that are meant, and how many; None for standard input, which tells nobody."""
    if config.input is None:
        assert datamodule is not None
        positions = validation_sample(datamodule, config.pictures, config.seed)
        return iter(validation_pictures(datamodule, positions)), len(positions)
    folders = datamodule.source.folders() if datamodule else None

    def listed() -> Iterator[Picture]:
        return typed_pictures(str(config.input), classifier.classes, folders)

    if config.input == STANDARD_INPUT:
        return listed(), None
    # Names alone are counted quickly, and a bar that knows its end is worth it.
    total = sum(1 for _ in listed())
    if not total:
        raise FishError(f"input={config.input}: there is no picture")
    return listed(), total


def _output(config: DictConfig, checkpoint: Path) -> Path:
    """Make the folder to write to, without the drawings of an earlier explanation."""
    if config.output:
        folder = Path(config.output).expanduser().absolute()
    else:
        folder = (run_folder(checkpoint) or checkpoint.parent) / "explanations"
    try:
        (folder / _PNGS).mkdir(parents=True, exist_ok=True)
        if (folder / _TABLE).is_file():
            with (folder / _TABLE).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    if row.get("png"):
                        (folder / _PNGS / Path(row["png"]).name).unlink(missing_ok=True)
        for name in (_TABLE, _SHEET, _CURVES, _EXAMPLES, _TRUST, _REPORT):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise FishError(
            f"output={folder} cannot be written: {error.strerror}; choose another folder by output="
        ) from error
    return folder


def _explain(
    config: DictConfig,
    classifier: FishClassifier,
    pictures: Iterator[Picture],
    total: int | None,
    question: Question,
    output: Path,
) -> _Written:
    """Write the drawings, the table and the sheet."""
    first: list[Row] = []
    tiles: list[Tile] = []
    number = unreadable = 0
    layers, classes = len(question.layers), len(classifier.classes)
    stream = explained(classifier, pictures, question, output / _PNGS, tiles=config.pictures)
    console = Console(stderr=True)
    with (output / _TABLE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns(question.layers, classes))
        for one in track(
            stream,
            "Explaining",
            total=total,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ):
            number += 1
            unreadable += one.row.error is not None
            table.writerow(cells(one.row, layers, classes))
            if len(first) < LISTED:
                first.append(one.row)
            if one.tile is not None:
                tiles.append(one.tile)
    if not number:
        raise FishError(f"input={config.input}: there is no picture")
    if tiles:
        title = "Where the network looks"
        if number - unreadable > len(tiles):
            title += f": the first {len(tiles)} of {number} pictures"
        save_figure(sheet(tiles, question, title), output / _SHEET)
    return _Written(first, tiles, number, unreadable)


def _write_trust(
    measured: Measured,
    named: list[Example],
    question: Question,
    classifier: FishClassifier,
    checkpoint: Path,
    seed: int,
    output: Path,
) -> None:
    """Write trust.json, the curves and the sheet of examples."""
    content = trust_content(measured, question, classifier.classes, str(checkpoint), seed)
    # ASCII with escapes, as file names need not be valid Unicode.
    text = json.dumps(content, indent=1, allow_nan=False)
    (output / _TRUST).write_text(text + "\n", encoding="utf-8")
    depths = () if measured.randomisation is None else measured.randomisation.depths
    figure = faithfulness_curves(
        {name: curves.deletion.numpy() for name, curves in measured.curves.items()},
        {name: curves.insertion.numpy() for name, curves in measured.curves.items()},
        [depth.layer for depth in depths],
        np.array([depth.correlation for depth in depths]),
        "Is the explanation to be trusted?",
    )
    save_figure(figure, output / _CURVES)
    if named:
        save_figure(examples_sheet(named, measured, question), output / _EXAMPLES)
