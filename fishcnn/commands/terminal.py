"""What commands print, all alike."""

import logging
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from fishcnn.utils.text import printable

_GAP = 2  # between columns
_LINES = 3  # of a cell, beyond which columns are left out
_LONG = 20  # letters of a path that stays in one line


class Terminal(Console):
    """Where a command prints; the command ends as others do when nobody reads on.

    rich would end it with the status of a failure.
    """

    def on_broken_pipe(self) -> None:
        """Leave it to the command line.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError


def terminal_for_tables() -> Terminal:
    """For wide tables of what was typed, which may hold brackets: without markup."""
    console = Terminal(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log file can be scrolled
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
    return Table(*columns, box=None, padding=(0, _GAP, 0, 0), **shown)


def fitted_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    wrapped: Collection[str],
    spare: Sequence[str],
    paths: Collection[str] = ("run", "best run", "job"),
) -> Table:
    """A table that fits into the terminal and breaks no word.

    Args:
        head: names of columns.
        rows: their texts.
        width: of the terminal.
        wrapped: the columns of words, which may take several lines; the others hold numbers.
        spare: columns that are left out where words would take many lines, the first ones first.
        paths: the columns of words that hold folders, of which a long one takes a line for each.
    """
    texts = {
        name: [_in_lines(cell) if name in paths else cell for cell in cells]
        for name, *cells in zip(head, *rows, strict=True)
    }
    whole = {name: _widest([name, *cells], "\n") for name, cells in texts.items()}
    least = {n: _widest([n, *texts[n]], None if n in wrapped else "\n") for n in texts}
    for name in spare:
        if sum(max(wide, whole[n] // _LINES) + _GAP for n, wide in least.items()) > width:
            least.pop(name, None)
    words = [name for name in least if name in wrapped]
    left = width - sum(wide + _GAP for wide in least.values())
    for _ in range(abs(left) if words else 0):
        if left > 0:
            # The one that would take most lines.
            name = max(words, key=lambda one: whole[one] / least[one])
            least[name] += whole[name] > least[name]
        else:
            name = max(words, key=least.__getitem__)
            least[name] = max(1, least[name] - 1)
    columns = [
        Column(
            Text(name),
            width=wide,
            justify="left" if name in wrapped else "right",
            overflow="ellipsis",
            no_wrap=name not in wrapped,
        )
        for name, wide in least.items()
    ]
    table = plain_table(*columns)
    for row in zip(*(texts[name] for name in least), strict=True):
        table.add_row(*map(Text, row))
    return table


def _in_lines(cell: str) -> str:
    """A long path with a line for each folder."""
    return cell.replace("/", "/\n") if len(cell) > _LONG else cell


def _widest(texts: Iterable[str], end: str | None) -> int:
    """The width of the widest part of texts, which end with that; of the widest word for None."""
    return max(cell_len(part) for text in texts for part in text.split(end) or [""])


def print_raw(console: Console, lines: Iterable[str | Path]) -> None:
    """Print paths as they are: a table would cut them, and they are there to be copied."""
    for line in lines:
        console.print(printable(str(line)), soft_wrap=True, markup=False, highlight=False)
