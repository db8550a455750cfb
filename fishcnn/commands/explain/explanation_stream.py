"""ImageSet to rows, drawings and tiles, a batch at a time."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fishcnn.cam.localisation import energy_inside
from fishcnn.commands.explain.drawing import Tile, drawing, photograph, tile
from fishcnn.commands.explain.explained_images import Batch, Picture, load_batches
from fishcnn.commands.explain.explanation_rows import TOP_K, Row
from fishcnn.commands.explain.question import Answer, Question, answer
from fishcnn.commands.figures import save_figure
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import printable

_LONGEST_NAME = 60  # letters of up to four bytes: file systems take 255 bytes


@dataclass(frozen=True)
class Explained:
    """One picture.

    Attributes:
        row: what is said of it.
        tile: for the sheet; None for a picture that cannot be read, or does not fit on it.
    """

    row: Row
    tile: Tile | None


def explained(
    classifier: FishClassifier,
    pictures: Iterator[Picture],
    question: Question,
    folder: Path,
    *,
    tiles: int,
) -> Iterator[Explained]:
    """Explain pictures, and write a drawing of each.

    Args:
        classifier: in eval mode.
        pictures: any number, of which a batch is in memory at a time.
        question: what is asked.
        folder: for the drawings; it exists.
        tiles: how many of the pictures get a tile.

    Raises:
        FishError: the true classes are asked for, and that of a picture is not known; or the
            network's answer is not finite.
    """
    number = drawn = 0
    for batch in load_batches(
        pictures, working_size=classifier.working_size, image_size=classifier.image_size
    ):
        found = _answer(classifier, batch, question)
        readable = 0
        for picture, reason in zip(batch.pictures, batch.reasons, strict=True):
            number += 1
            if reason is not None or found is None:
                true = None if picture.label is None else classifier.classes[picture.label]
                row = Row(printable(picture.path), true, (), None, None, (), None, reason)
                yield Explained(row, None)
                continue
            png = _file_name(number, picture.path)
            mask = batch.masks[readable]
            row = make_row(classifier.classes, picture, found, readable, mask, png)
            maps = found.maps[readable].numpy()
            readable += 1
            photo = photograph(Path(picture.path))
            save_figure(drawing(photo, maps, row, question), folder / png)
            drawn += 1
            yield Explained(row, tile(photo, maps, row, question) if drawn <= tiles else None)


def make_row(
    classes: Sequence[str],
    picture: Picture,
    found: Answer,
    position: int,
    mask: Tensor | None,
    png: str | None,
) -> Row:
    """Say what the network makes of one picture.

    Args:
        classes: names.
        picture: of which the true class is taken.
        found: for a batch.
        position: of the picture in it.
        mask: float ``(S, S)``, or None.
        png: name of its drawing.
    """
    maps = found.maps[position]
    shares, order = found.probabilities[position].topk(min(TOP_K, len(classes)))
    energy: list[float | None] = [None] * len(maps)
    if mask is not None:
        inside = energy_inside(maps, mask.expand_as(maps)).tolist()
        energy = [None if share != share else share for share in inside]  # NaN: an empty map
    return Row(
        path=printable(picture.path),
        true=None if picture.label is None else classes[picture.label],
        top=tuple(zip((classes[k] for k in order.tolist()), shares.tolist(), strict=True)),
        target=classes[int(found.targets[position])],
        against=None if found.against is None else classes[int(found.against[position])],
        energy=tuple(energy),
        png=png,
        error=None,
    )


def _answer(classifier: FishClassifier, batch: Batch, question: Question) -> Answer | None:
    """The network's answer for the pictures that can be read; None where there are none."""
    if batch.images is None:
        return None
    labels = []
    for picture, reason in zip(batch.pictures, batch.reasons, strict=True):
        if reason is not None:
            continue
        if question.needs_labels and picture.label is None:
            raise FishError(
                f"{question.needs_labels}=true: the true class of {printable(picture.path)} is not "
                "known, as its folder is not called like a class. Name a class, or take predicted"
            )
        labels.append(-1 if picture.label is None else picture.label)
    return answer(classifier, batch.images.to(classifier.device), torch.tensor(labels), question)


def _file_name(number: int, path: str) -> str:
    """A name that any file system takes, and that sorts as the rows do."""
    stem = re.sub(r"[^\w.-]+", "_", printable(Path(path).stem))[:_LONGEST_NAME]
    return f"{number:05d}-{stem}.png"
