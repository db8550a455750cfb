"""Paths to rows: decoding and the network, on all cores, in bounded memory and in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from fishcnn.commands.predict.prediction_rows import DIGITS, Row
from fishcnn.data.decoding.read import UnreadableImage
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

# Class names with their probabilities, most probable first.
Ranked = tuple[tuple[str, float], ...]

UNKNOWN = "unknown"
# CPU kernels round the last digit differently for batches that are no multiple of this.
_MULTIPLE = 8


@dataclass(frozen=True)
class Predictor:
    """A network and what is to be said of each picture.

    Attributes:
        classifier: in eval mode.
        threshold: pictures whose highest probability, as written, is below this are "unknown".
        top_k: how many of the most probable classes are listed, at most all.
    """

    classifier: FishClassifier
    threshold: float
    top_k: int

    def rows(self, paths: list[str]) -> list[Row]:
        """Classify a batch of pictures; one that cannot be read gets a row with the reason.

        The numbers do not depend on which pictures are in the batch, nor on how many.

        Raises:
            FishError: the network's answer is not finite.
        """
        decoded = [self._decode(path) for path in paths]
        readable = [picture for picture in decoded if not isinstance(picture, str)]
        answers = iter(self.rank(np.stack(readable)) if readable else ())
        return [
            Row(path, None, None, (), picture)
            if isinstance(picture, str)
            else self._row(path, next(answers))
            for path, picture in zip(paths, decoded, strict=True)
        ]

    def _decode(self, path: str) -> NDArray[np.uint8] | str:
        """The picture, or why it cannot be read."""
        try:
            return self.classifier.decode(path)
        except FishError as error:
            if isinstance(error.__cause__, UnreadableImage):
                return error.__cause__.reason
            raise

    @torch.inference_mode()
    def rank(self, pictures: NDArray[np.uint8]) -> list[Ranked]:
        """The most probable classes of decoded pictures.

        Args:
            pictures: uint8 ``(N, S, S, 3)``.

        Raises:
            FishError: the network's answer is not finite.
        """
        batch = torch.from_numpy(pictures).to(self.classifier.device)
        batch = F.pad(batch, (0, 0, 0, 0, 0, 0, 0, -len(batch) % _MULTIPLE))
        images = resize(batch, self.classifier.image_size)
        probabilities = self.classifier.probabilities(images)[: len(pictures)].cpu()
        if not probabilities.isfinite().all():
            raise FishError(
                "ckpt: the network answers with NaN, its training has diverged; name another run"
            )
        shares, order = probabilities.sort(descending=True, stable=True)
        names = [[self.classifier.classes[k] for k in row] for row in order.tolist()]
        return [
            tuple(zip(classes, row, strict=True))[: self.top_k]
            for classes, row in zip(names, shares.tolist(), strict=True)
        ]

    def _row(self, path: str, ranked: Ranked) -> Row:
        top = tuple((name, round(share, DIGITS)) for name, share in ranked)
        label, probability = top[0]
        return Row(path, UNKNOWN if probability < self.threshold else label, probability, top, None)


def stream(
    rows: Callable[[list[str]], list[Row]],
    paths: Iterator[str],
    *,
    batch_size: int,
    workers: int,
) -> Generator[list[Row], None, None]:
    """Turn paths into rows, batch by batch, a few batches ahead of whoever takes them.

    Each worker takes a batch all the way from the files to the probabilities, with one thread
    inside the network: so no core waits, neither for decoding nor, as with more threads inside the
    network, for the slowest of them at every layer.

    Args:
        rows: what to do with a batch of paths.
        paths: any number, taken as they are needed: at most ``(2 * workers + 1) * batch_size``
            ahead.
        batch_size: pictures a batch.
        workers: threads.

    Yields:
        The rows of a batch, in the order of the paths.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[list[Row]]] = deque()
    try:
        while batch := list(islice(paths, batch_size)):
            waiting.append(pool.submit(rows, batch))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
