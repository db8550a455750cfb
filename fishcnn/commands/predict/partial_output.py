"""A file of predictions in progress, and how an interrupted one goes on."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from fishcnn.commands.predict.prediction_rows import Row, RowFormat
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import regular_target, unwritable, write_bytes, write_text
from fishcnn.utils.text import printable


class PartialOutput:
    """Rows go into ``OUTPUT.part``, which gets the name OUTPUT when it is whole.

    Beside it, ``OUTPUT.part.json`` says what it was begun with. Both stay behind an interruption,
    unless there is no row yet.

    Attributes:
        resumable: that it can go on.
        labels: how many rows of each class, "" for images that cannot be read.
        replaced: whether the finished file has taken the place of an earlier one.
    """

    resumable = True
    replaced = False

    def __init__(self, output: Path, rows: RowFormat, settings: Mapping[str, object]) -> None:
        """Name the file that is wanted, and the settings that must be the same to go on.

        One process at a time (:func:`fishcnn.utils.lock.locked`), in a folder that is there.

        Raises:
            FishError: something else than a regular file has one of the names.
        """
        self.labels: Counter[str] = Counter()
        self.output = output
        self._rows = rows
        self._settings = dict(settings)
        self._file: BinaryIO | None = None
        self._begun_here = False  # so that nothing is lost with it while it has no row
        self._part = output.with_name(output.name + ".part")
        self._begun = output.with_name(output.name + ".part.json")
        for file in (output, self._part, self._begun):
            regular_target(file)

    @property
    def name(self) -> str:
        """What the finished file is called, for people."""
        return str(self.output)

    @property
    def total(self) -> int:
        """How many rows are in the file."""
        return self.labels.total()

    def open(self, paths: Iterator[str], *, resume: bool, batch_size: int) -> None:
        """Begin, or go on where an interrupted prediction was.

        Args:
            paths: all images; those that have a row already are taken from it.
            resume: go on, where there is something to go on with.
            batch_size: batches begin where those of an uninterrupted prediction do, so that the
                file becomes the very same.

        Raises:
            FishError: there is an unfinished prediction and ``resume`` is not set, or it was begun
                with other settings or other images, or the file cannot be written.
        """
        try:
            if not self._part.exists():
                self._begun_here = True
                write_text(self._begun, json.dumps(self._settings, indent=1))
                write_bytes(self._part, self._rows.header())
            elif resume:
                self._check_settings()
                self._take_up(paths, batch_size)
            else:
                raise FishError(
                    f"{self._part} is an unfinished prediction: go on with it by resume=true, or "
                    "remove it to begin again"
                )
            self._file = self._part.open("ab")
            self._begun_here = True
        except OSError as error:
            raise unwritable(self._part, error) from error

    def _check_settings(self) -> None:
        try:
            before = json.loads(self._begun.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FishError(
                f"resume=true: {self._begun}, which says what {self._part} was begun with, cannot "
                f"be read: remove {self._part} to begin again"
            ) from error
        for name, value in self._settings.items():
            if before.get(name) != value:
                raise FishError(
                    f"resume=true: {self._part} was begun with {name}={before.get(name)}, not "
                    f"{name}={value}: type what it was begun with, or remove the file to begin "
                    "again"
                )

    def _take_up(self, paths: Iterator[str], batch_size: int) -> None:
        """Count the whole batches that are done, check their paths, and cut off what follows."""
        with self._part.open("rb") as file:
            done = sum(1 for _ in self._rows.read(file))
        end = 0
        with self._part.open("rb") as file:
            for row in itertools.islice(self._rows.read(file), done - done % batch_size):
                path = next(paths, None)
                if path is None or printable(path) != row.path:
                    now = "is missing" if path is None else f"is {path}"
                    raise FishError(
                        f"resume=true: input= has changed: image {self.total + 1} was {row.path} "
                        f"and now {now}; remove {self._part} to begin again"
                    )
                self.labels[row.label] += 1
                end = row.end
        if end:
            os.truncate(self._part, end)
        else:
            self._part.write_bytes(self._rows.header())

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows, so that a kill loses none of them.

        Raises:
            FishError: the file cannot be written.
        """
        assert self._file, "open() comes first"
        content = self._rows.encode(rows)
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            kept = f"{self.total} images are done: then go on by adding resume=true"
            reason = unwritable(self._part, error, wanted=len(content))
            raise FishError(f"{reason}. {kept}" if self.total else str(reason)) from error
        self.labels.update(row.label or "" for row in rows)

    def finish(self) -> None:
        """Give the file its name.

        Raises:
            FishError: the system does not let it, or has put something else there meanwhile.
        """
        assert self._file, "open() comes first"
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self.replaced = self.output.exists()
            self._part.replace(regular_target(self.output))
            self._begun.unlink()
        except OSError as error:
            raise unwritable(self.output, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file:
            with suppress(OSError):  # of a full disk, which has been told
                self._file.close()
        if self._begun_here and not self.total:
            self._part.unlink(missing_ok=True)
            self._begun.unlink(missing_ok=True)
