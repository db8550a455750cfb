"""Rows on standard output as they come, for another program to read."""

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import BinaryIO, Self

from fishcnn.commands.image_paths import STREAM
from fishcnn.commands.predict.prediction_rows import Row, RowFormat
from fishcnn.utils.errors import FishError

_NAMES = (STREAM, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def is_standard_output(typed: str) -> bool:
    """Whether a person means standard output by the name of a file."""
    return typed in _NAMES


@contextmanager
def only_rows() -> Iterator[BinaryIO]:
    """Give standard output to the rows alone; whatever else is printed meanwhile goes to errors."""
    rows = sys.stdout
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is rows:
            handler.setStream(sys.stderr)
    with redirect_stdout(sys.stderr):
        yield rows.buffer


class StreamedOutput:
    """Rows go to a stream, batch by batch; it cannot go on where it was interrupted.

    Attributes:
        resumable: that it can go on.
        labels: how many rows of each class, "" for images that cannot be read.
        replaced: that it took the place of an earlier one.
    """

    name = "standard output"
    resumable = False
    replaced = False

    def __init__(self, stream: BinaryIO, rows: RowFormat) -> None:
        self.labels: Counter[str] = Counter()
        self._stream = stream
        self._rows = rows
        self._put(rows.header())

    @property
    def total(self) -> int:
        """How many rows were written."""
        return self.labels.total()

    def write(self, rows: Sequence[Row]) -> None:
        """Pass rows on.

        Raises:
            FishError: they cannot be written.
            BrokenPipeError: nobody reads them any more.
        """
        self._put(self._rows.encode(rows))
        self.labels.update(row.label or "" for row in rows)

    def finish(self) -> None:
        """Nothing: all rows were passed on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing: others may write to the stream."""

    def _put(self, content: bytes) -> None:
        try:
            self._stream.write(content)
            self._stream.flush()
        except BrokenPipeError:
            raise  # the command line has a status for it
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise FishError(
                f"output={STREAM}: cannot write to standard output: {reason}"
            ) from error
