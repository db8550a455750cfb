"""What commands print, all alike."""

import logging
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from fishcnn.utils.text import printable


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
    return Table(*columns, box=None, padding=(0, 2, 0, 0), **shown)


def print_raw(console: Console, lines: Iterable[str | Path]) -> None:
    """Print paths as they are: a table would cut them, and they are there to be copied."""
    for line in lines:
        console.print(printable(str(line)), soft_wrap=True, markup=False, highlight=False)
