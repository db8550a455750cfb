"""Explain what a trained network does: where it looks, and whether its maps are faithful."""

import csv
import itertools
import json
import logging
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from fishcnn.cam.methods import METHODS
from fishcnn.commands.explain.drawing import (
    Pixels,
    Tile,
    drawing,
    named_panels,
    photograph,
    sheet,
    tile,
)
from fishcnn.commands.explain.explained_images import (
    ImageFile,
    as_validated,
    decode_batches,
    sampled_files,
    typed_files,
    validation_sample,
)
from fishcnn.commands.explain.explanation_report import (
    LISTED,
    Explanation,
    explanation_page,
    print_explanation,
)
from fishcnn.commands.explain.explanation_rows import Row, cells, columns, make_row
from fishcnn.commands.explain.measurements import Measured, as_json, measure
from fishcnn.commands.explain.question import (
    Question,
    answer,
    ask,
    words_that_are_classes,
)
from fishcnn.commands.figures import save_figure
from fishcnn.commands.image_paths import count_images
from fishcnn.commands.images_of_run import check_packed_from, run_datamodule, warn_unused
from fishcnn.commands.labelled_images import split_of_run
from fishcnn.commands.output_folder import all_or_nothing, output_folder
from fishcnn.commands.page_images import inline_chart, inline_photo
from fishcnn.commands.settings import check_settings
from fishcnn.commands.trained_run import (
    best_device,
    find_trained,
    load_trained,
)
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.decode import Decoded
from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.cam_sheet import OVERLAYS
from fishcnn.plots.faithfulness_curves import faithfulness_curves
from fishcnn.utils import run_folder as names
from fishcnn.utils.checks import choice, flag, whole
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import write_bytes, write_text
from fishcnn.utils.progress import track
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import printable

_FILES = (
    names.EXPLANATION_TABLE,
    names.EXPLANATION_SHEET,
    names.EXPLANATION_CURVES,
    names.EXPLANATION_EXAMPLES,
    names.EXPLANATION_MEASUREMENTS,
    names.EXPLANATION_PAGE,
)
_SETTINGS = {
    "method": choice(*METHODS),
    "overlay": choice(*OVERLAYS),
    "pictures": whole(1, 200),
    "measured": whole(1, 2**31),
    "seed": whole(0, 2**32 - 1),
    "trust": flag,
}
_MAX_NAME = 60  # letters of up to four bytes: file systems take 255 bytes

log = logging.getLogger(__name__)


def check_explain(config: DictConfig) -> None:
    """Check the settings of an explanation, or raise a FishError that names one."""
    check_settings(config, _SETTINGS)


def explain(config: DictConfig) -> None:
    """Explain images and write what was found, by ``conf/explain.yaml``.

    Raises:
        FishError: a setting, the checkpoint or the images are at fault, or none of the images can
            be read; the message says which.
    """
    check_explain(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    run = RunFolder.of(checkpoint) or RunFolder(checkpoint.parent)
    with output_folder(config.output, run.explanations) as output:
        explanation = _write(config, checkpoint, output)
    printed = (names.EXPLANATION_PAGE, names.EXPLANATION_SHEET, names.EXPLANATION_TABLE)
    print_explanation(explanation, [output / name for name in printed if (output / name).exists()])
    if explanation.unreadable == explanation.total:
        file = printable(str(output / names.EXPLANATION_TABLE))
        raise FishError(f"no image can be read; {file} says why")


def _write(config: DictConfig, checkpoint: Path, output: Path) -> Explanation:
    """Write the files of an explanation, all of them or none."""
    classifier = load_trained(checkpoint, best_device())
    question = ask(
        classifier,
        method=config.method,
        layer=config.layer,
        target=config.target,
        against=config.against,
        overlay=config.overlay,
    )
    datamodule, remarks = _data_of_run(config, checkpoint, classifier)
    remarks += words_that_are_classes(question, classifier.classes)
    if config.input is None:
        assert datamodule is not None
        check_packed_from(datamodule.place, datamodule.source.folders().root)
        chosen = validation_sample(datamodule, config.pictures, config.seed)
        total: int | None = len(chosen)
        files = iter(sampled_files(datamodule, chosen))
    else:
        total = count_images(config.input)
        folders = datamodule.source.folders() if datamodule else None
        files = typed_files(config.input, classifier.classes, folders)
    about = "a sample of the validation split" if config.input is None else config.input
    explanation = Explanation(checkpoint, question, about, remarks=remarks)
    if config.trust and datamodule is not None:
        log.info(
            "After the images, it is measured on validation images whether the maps are faithful "
            "and where they lie; on a CPU this takes minutes. To skip it, type trust=false."
        )
    with all_or_nothing(output, lambda: _earlier(output)) as folder:
        images = output / names.EXPLANATION_IMAGES
        if images.exists() and not images.is_dir():
            raise FishError(
                f"{images} is not a folder: move it away, or choose another folder by output="
            )
        _explain(explanation, classifier, files, total, folder, on_sheet=config.pictures)
        if not explanation.total:
            raise FishError(f"input={config.input}: no image found")
        if config.trust and datamodule is not None:
            explanation.measured = measured = measure(
                classifier, datamodule, question, images=config.measured, seed=config.seed
            )
            head = {"checkpoint": str(checkpoint), "seed": config.seed}
            # ASCII with escapes, as file names need not be valid Unicode.
            text = json.dumps(head | as_json(measured), indent=1, allow_nan=False)
            write_text(folder / names.EXPLANATION_MEASUREMENTS, text + "\n")
            _draw(explanation, measured, folder)
        write_bytes(folder / names.EXPLANATION_PAGE, explanation_page(explanation))
    return explanation


def _data_of_run(
    config: DictConfig, checkpoint: Path, classifier: FishClassifier
) -> tuple[FishDataModule | None, list[str]]:
    """The images of the run where they are wanted, or a remark on why they are not there."""
    if config.input is not None and not config.trust:
        warn_unused(config.data)
        return None, []
    try:
        datamodule = run_datamodule(checkpoint, config.data)
        run = RunFolder.of(checkpoint)
        assert run is not None
        split_of_run(datamodule, "val", classifier.classes, run, instead="input")
    except FishError as error:
        if config.input is None:
            raise
        return None, [f"It could not be measured whether the maps are faithful: {error}"]
    return datamodule, []


def _earlier(output: Path) -> Iterator[Path]:
    """What an earlier explanation has left in a folder, and nothing else."""
    table = output / names.EXPLANATION_TABLE
    if table.is_file():
        yield output / "report.md"  # of an earlier version
        # Whatever may have become of the table.
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
        for row in csv.DictReader(lines):
            if row.get("png"):
                yield output / names.EXPLANATION_IMAGES / Path(row["png"]).name
    yield from (output / name for name in _FILES)


def _explain(
    explanation: Explanation,
    classifier: FishClassifier,
    files: Iterator[ImageFile],
    total: int | None,
    output: Path,
    *,
    on_sheet: int,
) -> None:
    """Write the drawings, the table and the sheet, with a batch of images in memory at a time."""
    question = explanation.question
    tiles: list[Tile] = []
    (output / names.EXPLANATION_IMAGES).mkdir()
    with (output / names.EXPLANATION_TABLE).open("w", encoding="utf-8", newline="") as file:
        head = columns(question.layers, len(classifier.classes))
        table = csv.DictWriter(file, head, lineterminator="\n")
        table.writeheader()
        rows = _rows(classifier, files, question)
        for row, maps in track(rows, "Explaining", total=total, show=sys.stderr.isatty()):
            table.writerow(cells(row, question.layers))
            panels: dict[str, Pixels] = {}
            if row.png is not None:
                photo = photograph(Path(row.path), question.resize)
                figure = drawing(photo, maps, row, question)
                save_figure(figure, output / names.EXPLANATION_IMAGES / row.png)
                if len(tiles) < on_sheet:
                    tiles.append(tile(photo, maps, row, question))
                if explanation.total < LISTED:
                    panels = named_panels(photo, maps, question)
            explanation.add(row, panels)
    if tiles:
        title = "Where the network looks"
        if explanation.total - explanation.unreadable > len(tiles):
            title += f": the first {len(tiles)} of {explanation.total} images"
        save_figure(sheet(tiles, question, title), output / names.EXPLANATION_SHEET)


def _rows(
    classifier: FishClassifier, files: Iterator[ImageFile], question: Question
) -> Iterator[tuple[Row, NDArray[np.float32]]]:
    """Yield what is said of each image, and its maps ``(L, S, S)``; none where it is unreadable."""
    classes = classifier.classes
    numbers = itertools.count(1)
    for batch in decode_batches(files, classifier.square):
        readable = [(file, one) for file, one in batch if isinstance(one, Decoded)]
        if readable:
            images, masks = as_validated([one for _, one in readable], classifier.image_size)
            labels = _labels([file for file, _ in readable], question)
            found = answer(classifier, images.to(classifier.device), labels, question)
        positions = itertools.count()
        for (file, one), number in zip(batch, numbers, strict=False):
            if isinstance(one, Decoded):
                k, png = next(positions), _png_name(number, file.path)
                yield make_row(classes, file, found, k, masks[k], png), found.maps[k].numpy()
            else:
                true = None if file.label is None else classes[file.label]
                yield Row(file.path, true, error=one), np.empty(0, np.float32)


def _labels(files: Sequence[ImageFile], question: Question) -> Tensor:
    """True classes, int64 ``(N,)``; -1 for one that is not known where nobody asks for it."""
    for file in files:
        if question.needs_labels and file.label is None:
            raise FishError(
                f"{question.needs_labels}=true: the true class of {printable(file.path)} is not "
                "known, as its folder is not named after a class; choose predicted or a class"
            )
    return torch.tensor([-1 if file.label is None else file.label for file in files])


def _png_name(number: int, path: str) -> str:
    """A name that any file system takes, and that sorts as the rows do."""
    stem = re.sub(r"[^\w.-]+", "_", printable(Path(path).stem))[:_MAX_NAME]
    return f"{number:05d}-{stem}.png"


def _draw(explanation: Explanation, measured: Measured, output: Path) -> None:
    """Draw the curves, and the images that show what was found."""
    question = measured.question
    depths = () if measured.randomisation is None else measured.randomisation.depths
    curves = {name: scores.mean_curves for name, scores in measured.kinds.items()}
    figure = faithfulness_curves(
        {name: curve.deletion.numpy() for name, curve in curves.items()},
        {name: curve.insertion.numpy() for name, curve in curves.items()},
        [depth.layer for depth in depths],
        np.array([depth.correlation for depth in depths]),
        f"{question.method.name} at {question.layers[0]}, {len(measured.rows):,} validation images",
    )
    save_figure(figure, output / names.EXPLANATION_CURVES)
    explanation.curves = inline_chart(figure)
    tiles = []
    for found, positions in measured.examples:
        explanation.examples.append((found, []))
        for position in positions:
            row, maps = measured.rows[position], measured.maps[position].numpy()
            photo = photograph(Path(row.path), question.resize)
            tiles.append(tile(photo, maps, row, question, f"{found.kind}:"))
            overlay = named_panels(photo, maps, question)["overlay"]
            explanation.examples[-1][1].append((row, inline_photo(Image.fromarray(overlay))))
    if tiles:
        figure = sheet(tiles, question, "Images that show what was found")
        save_figure(figure, output / names.EXPLANATION_EXAMPLES)
