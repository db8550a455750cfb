"""What commands print, all alike."""

import logging
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from fishcnn.utils.text import printable

_GAP = 2  # between columns
_LINES = 3  # of a cell, beyond which columns are left out
_LONG = 20  # letters of a path that stays in one line if there is room
# Where paths are broken, and where only if the part between two of those is too long.
_PARTS, _PIECES = re.compile("(?<=[/_])"), re.compile("(?<=[/_.-])")


class Terminal(Console):
    """Where a command prints; the command ends as others do when nobody reads on.

    rich would end it with the status of a failure.
    """

    def __init__(self, **settings: Any) -> None:
        """As of rich, which prints nothing where COLUMNS is 0: some set that without a terminal."""
        super().__init__(**settings)
        if not self.width:
            self.width = 80

    def on_broken_pipe(self) -> None:
        """Leave it to the command line.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError


def terminal_for_tables() -> Terminal:
    """For wide tables of what was typed, which may hold brackets: without markup."""
    console = Terminal(markup=False, highlight=False)
    console.width = shutil.get_terminal_size((120, 24)).columns  # a log file can be scrolled
    return console


class PlainLines(logging.Formatter):
    """What is logged, for a terminal: wrapped between words, where the terminal would break any."""

    def format(self, record: logging.LogRecord) -> str:
        """The message; in a pipe or a file it stays in one line."""
        text = super().format(record)
        return wrapped(text) if sys.stdout.isatty() else text


def wrapped(text: str) -> str:
    """Lines as wide as the terminal; what is longer than a line, such as a path, stays whole."""
    width = shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * (len(line) - len(line.lstrip())),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def plain_table(*columns: str | Column) -> Table:
    """A table without lines; without columns, one of names and values."""
    shown = {"header_style": "dim"} if columns else {"show_header": False}
    return Table(*columns, box=None, padding=(0, _GAP, 0, 0), pad_edge=False, **shown)


def fitted_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    wrapped: Collection[str],
    spare: Sequence[str],
    paths: Collection[str] = ("run", "best run", "job"),
) -> Table:
    """A table that fits into the terminal and breaks no word while there is room.

    Args:
        head: names of columns.
        rows: their texts, each of one line.
        width: of the terminal.
        wrapped: the columns of words, which may take several lines; the others hold numbers.
        spare: columns that are left out where words would take many lines, the first ones first.
        paths: the columns of words that hold folders, of which nothing is ever cut off.
    """
    texts = {name: [name, *cells] for name, *cells in zip(head, *rows, strict=True)}
    whole = {name: max(map(cell_len, cells)) for name, cells in texts.items()}
    least = {
        name: _widest(cells, _parts if name in paths else str.split)
        if name in wrapped
        else whole[name]
        for name, cells in texts.items()
    }
    for name in spare:
        if sum(max(wide, whole[n] // _LINES) + _GAP for n, wide in least.items()) > width + _GAP:
            least.pop(name, None)
    words = [name for name in least if name in wrapped]
    folded = {name: _widest(texts[name], _PIECES.split) for name in words if name in paths}
    left = width + _GAP - sum(wide + _GAP for wide in least.values())
    for _ in range(abs(left) if words else 0):
        if left > 0:
            # The one that would take most lines.
            name = max(words, key=lambda one: whole[one] / least[one])
            least[name] += whole[name] > least[name]
        else:
            foldable = [one for one, narrow in folded.items() if least[one] > narrow]
            name = max(foldable or words, key=least.__getitem__)
            least[name] = max(1, least[name] - 1)
    columns = [
        Column(
            Text(name),
            width=wide,
            justify="left" if name in wrapped else "right",
            overflow="fold" if name in paths else "ellipsis",
            no_wrap=name not in wrapped,
        )
        for name, wide in least.items()
    ]
    table = plain_table(*columns)
    for place in range(1, len(rows) + 1):
        cells = (
            _in_lines(texts[name][place], wide) if name in folded else texts[name][place]
            for name, wide in least.items()
        )
        table.add_row(*map(Text, cells))
    return table


def _parts(path: str) -> list[str]:
    return _PARTS.split(path) if cell_len(path) > _LONG else [path]


def _in_lines(path: str, width: int) -> str:
    """A path, broken into lines where its parts end."""
    lines = [""]
    for part in _PARTS.split(path):
        for piece in [part] if cell_len(part) <= width else _PIECES.split(part):
            if lines[-1] and cell_len(lines[-1] + piece) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(lines)


def _widest(texts: Iterable[str], parted: Callable[[str], list[str]]) -> int:
    """The width of the widest part of texts."""
    return max(cell_len(part) for text in texts for part in parted(text) or [""])


def print_raw(console: Console, lines: Iterable[str | Path]) -> None:
    """Print paths as they are: a table would cut them, and they are there to be copied."""
    for line in lines:
        console.print(printable(str(line)), soft_wrap=True, markup=False, highlight=False)
