"""Paths to rows: decoding and the network, on all cores, in bounded memory and in order."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from fishcnn.commands.predict.prediction_rows import DIGITS, Row
from fishcnn.commands.trained_run import finite_probabilities, one_thread
from fishcnn.data.decoding.decode import in_order
from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

# Class names with their probabilities, most probable first.
Ranked = tuple[tuple[str, float], ...]

# The label of images below the threshold; the second one where a class is called like the first.
UNKNOWN, _OTHERWISE = "unknown", "below threshold"
# CPU kernels round the last digit differently for batches that are no multiple of this.
_MULTIPLE = 8
# Levels of 255: what a sensor or a JPEG adds to one colour.
_FAINT = 8


@dataclass(frozen=True)
class Predictor:
    """A network and what is to be said of each image.

    Attributes:
        classifier: in eval mode.
        threshold: images whose highest probability, as written, is below this are :attr:`unknown`.
        top_k: how many of the most probable classes are listed, at most all.
    """

    classifier: FishClassifier
    threshold: float
    top_k: int

    @cached_property
    def unknown(self) -> str:
        """The label of images below the threshold, which is not the name of a class.

        Raises:
            FishError: both words for it are classes.
        """
        taken = set(map(str.casefold, self.classifier.classes))
        for word in (UNKNOWN, _OTHERWISE):
            if word not in taken:
                return word
        raise FishError(
            f"threshold={self.threshold:g}: the network has classes called {UNKNOWN} and "
            f"{_OTHERWISE}, so that no word is left for images below it; type "
            "threshold=0"
        )

    def rows(self, paths: list[str]) -> list[Row]:
        """Classify a batch of images; one that cannot be read gets a row with the reason.

        The numbers do not depend on which images are in the batch, nor on how many.

        Raises:
            FishError: the network's answer is not finite.
        """
        decoded = [self._decode(path) for path in paths]
        readable = [image for image in decoded if not isinstance(image, str)]
        answers = iter(self.rank(np.stack(readable)) if readable else ())
        return [
            Row(path, None, (), image)
            if isinstance(image, str)
            else self._row(path, next(answers), blank=is_blank(image))
            for path, image in zip(paths, decoded, strict=True)
        ]

    def _decode(self, path: str) -> NDArray[np.uint8] | str:
        """The image as in the training, or why it cannot be read."""
        square = self.classifier.square
        try:
            return square.of_image(read_image(Path(path), long_enough_for=square.side))
        except UnreadableImage as error:
            return error.reason

    def rank(self, images: NDArray[np.uint8]) -> list[Ranked]:
        """The most probable classes of decoded images, uint8 ``(N, S, S, 3)``.

        Raises:
            FishError: the network's answer is not finite.
        """
        batch = torch.from_numpy(images).to(self.classifier.device)
        batch = F.pad(batch, (0, 0, 0, 0, 0, 0, 0, -len(batch) % _MULTIPLE))
        resized = resize(batch, self.classifier.image_size)
        probabilities = finite_probabilities(self.classifier, resized)[: len(images)]
        shares, order = (
            part[:, : self.top_k].tolist()
            for part in probabilities.sort(descending=True, stable=True)
        )
        return [
            tuple((self.classifier.classes[k], share) for k, share in zip(*row, strict=True))
            for row in zip(order, shares, strict=True)
        ]

    def _row(self, path: str, ranked: Ranked, *, blank: bool = False) -> Row:
        top = tuple((name, round(share, DIGITS)) for name, share in ranked)
        label, probability = top[0]
        return Row(path, self.unknown if probability < self.threshold else label, top, None, blank)


def is_blank(image: NDArray[np.uint8]) -> bool:
    """Whether an image, uint8 ``(S, S, 3)``, has one colour all over, but for faint noise."""
    return bool((image.max((0, 1)) - image.min((0, 1))).max() <= _FAINT)


def stream(
    rows: Callable[[list[str]], list[Row]],
    paths: Iterator[str],
    *,
    batch_size: int,
    workers: int,
) -> Generator[list[Row], None, None]:
    """Turn paths into rows, batch by batch and in order.

    Each worker takes a batch all the way from the files to the probabilities, with one thread
    inside the network: so no core waits, neither for decoding nor, as with more threads inside the
    network, for the slowest of them at every layer. At most ``(2 * workers + 1) * batch_size``
    paths are taken ahead.
    """
    batches = iter(lambda: list(islice(paths, batch_size)), [])
    with one_thread():
        yield from in_order(rows, batches, workers=workers, ahead=2)
