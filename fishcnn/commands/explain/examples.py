"""The pictures that stand for what was found of the evidence."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fishcnn.cam.localisation import Localisation
from fishcnn.commands.explain.drawing import photograph, sheet, tile
from fishcnn.commands.explain.explanation_rows import Row
from fishcnn.commands.explain.explanation_stream import make_row
from fishcnn.commands.explain.measurements import Measured, judged
from fishcnn.commands.explain.question import Question

MOST = 24  # pictures on the sheet
CLASSES = 5  # for each of the findings


@dataclass(frozen=True)
class Example:
    """One picture.

    Attributes:
        number: by which the findings call it.
        finding: what it stands for, in a few words.
        row: what the network makes of it.
    """

    number: int
    finding: str
    row: Row


def examples(measured: Measured, classes: list[str]) -> list[Example]:
    """Choose pictures for what was found, the most important first; each once."""
    chosen: dict[int, str] = {}
    for number, finding in _found(measured.evidence):
        if len(chosen) < MOST:
            chosen.setdefault(number, finding)
    return [
        Example(number, finding, evidence_row(measured, number, classes))
        for number, finding in chosen.items()
    ]


def evidence_row(measured: Measured, number: int, classes: list[str]) -> Row:
    """What the network makes of one of the measured pictures."""
    mask = None if measured.masks is None else measured.masks[number]
    return make_row(classes, measured.pictures[number], measured.answer, number, mask, None)


def examples_sheet(chosen: list[Example], measured: Measured, question: Question) -> Figure:
    """Draw them, at least one, with their numbers.

    Raises:
        FishError: a picture can no longer be read.
    """
    tiles = []
    for example in chosen:
        photo = photograph(Path(measured.pictures[example.number].path))
        maps = measured.answer.maps[example.number].numpy()
        number = f"{example.number} ({example.finding}):"
        tiles.append(tile(photo, maps, example.row, judged(question), number))
    return sheet(tiles, judged(question), "ImageSet that the report names by number")


def _found(evidence: Localisation) -> Iterator[tuple[int, str]]:
    if evidence.shortcut is not None:
        for positions in list(evidence.shortcut.examples.values())[:CLASSES]:
            yield from ((position, "shortcut") for position in positions)
    for place, name in ((evidence.bars, "bars"), (evidence.border, "border")):
        for label in np.flatnonzero(place.more_than_area)[:CLASSES].tolist():
            yield from ((position, name) for position in place.examples[label])
    if evidence.fish is not None:
        place = evidence.fish
        # NaN, of classes without pictures, comes last.
        for label in np.argsort(place.energy - place.area)[:CLASSES].tolist():
            yield from ((position, "least on the fish") for position in place.examples[label])
