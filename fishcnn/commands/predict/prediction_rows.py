"""A row for each image, as CSV or as JSON lines."""

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from fishcnn.utils.text import from_cell, printable, to_cell

# Beyond this digit, results would depend on the hardware and on how many images are in a batch.
DIGITS = 6


@dataclass(frozen=True)
class Row:
    """What is said of one image.

    Attributes:
        path: as it was given; bytes that are not UTF-8 as surrogates, as Python reads names.
        label: the most probable class, or "unknown"; None for an image that cannot be read.
        top: the most probable classes and their probabilities, most probable first, rounded to 6
            digits; empty likewise.
        error: why the image cannot be read; None for one that can.
        blank: whether it has one colour all over, so that its class means nothing; in no file.
    """

    path: str
    label: str | None
    top: tuple[tuple[str, float], ...]
    error: str | None
    blank: bool = False


class WrittenRow(NamedTuple):
    """A row in a file: its printable path, its label or "", and the bytes up to its end."""

    path: str
    label: str
    end: int


@dataclass(frozen=True)
class CsvRows:
    """CSV: ``path, class, probability, top1_class, top1_probability, ..., error``, up to top_k.

    No cell looks like a formula (:func:`~fishcnn.utils.text.to_cell`).
    """

    top_k: int

    def _columns(self) -> list[str]:
        top = [f"top{k + 1}_{what}" for k in range(self.top_k) for what in ("class", "probability")]
        return ["path", "class", "probability", *top, "error"]

    def header(self) -> bytes:
        """The names of the columns."""
        return self._lines([self._columns()])

    def encode(self, rows: Sequence[Row]) -> bytes:
        """Rows as they stand in the file."""
        return self._lines([self._cells(row) for row in rows])

    def _cells(self, row: Row) -> list[str]:
        if not row.top:
            nothing = [""] * (2 + 2 * self.top_k)
            return [to_cell(row.path), *nothing, to_cell(row.error or "")]
        top = [cell for name, share in row.top for cell in (to_cell(name), f"{share:.{DIGITS}f}")]
        return [to_cell(row.path), to_cell(row.label or ""), top[1], *top, ""]

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode("utf-8", "backslashreplace")

    def read(self, file: BinaryIO) -> Iterator[WrittenRow]:
        """The rows of a file, up to the first that is not whole."""
        end = 0

        def lines() -> Iterator[str]:
            nonlocal end
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield line.decode("utf-8")

        columns = self._columns()
        reader = csv.reader(lines())
        # What cannot be parsed was not written whole.
        with contextlib.suppress(ValueError, csv.Error):
            if next(reader, None) != columns:
                return
            for cells in reader:
                # A row that was cut inside a quoted path with a newline ends there.
                if len(cells) != len(columns):
                    return
                yield WrittenRow(from_cell(cells[0]), from_cell(cells[1]), end)


@dataclass(frozen=True)
class JsonRows:
    """JSON lines: objects with path, class, probability, top (a list) and error; null for none."""

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def encode(self, rows: Sequence[Row]) -> bytes:
        """Rows as they stand in the file."""
        text = "".join(json.dumps(_as_json(row), ensure_ascii=False) + "\n" for row in rows)
        # What a surrogate becomes is JSON's own escape for it.
        return text.encode("utf-8", "backslashreplace")

    def read(self, file: BinaryIO) -> Iterator[WrittenRow]:
        """The rows of a file, up to the first that is not whole."""
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                content = json.loads(line)
            except ValueError:  # not written whole
                return
            end += len(line)
            yield WrittenRow(printable(content["path"]), content["class"] or "", end)


# How rows lie in a file. Each row ends with a newline.
RowFormat = CsvRows | JsonRows


def _as_json(row: Row) -> dict[str, object]:
    return {
        "path": row.path,
        "class": row.label,
        "probability": row.top[0][1] if row.top else None,
        "top": [{"class": name, "probability": share} for name, share in row.top],
        "error": row.error,
    }
