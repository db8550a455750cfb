"""What is printed, and what is read from standard input, in whatever encoding."""

import codecs
import io
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from fishcnn.utils.errors import FishError

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    # The longer one first: it begins with the shorter one.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def print_any_letter() -> None:
    """Escape what a terminal or a pipe has no letter for, so that printing never ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class PrefixedLines(io.TextIOBase):
    """Lines that begin with who has written them, each handed on in one piece.

    Args:
        stream: that several write to.
        prefix: of every line.
    """

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self._stream, self._prefix, self._begun = stream, prefix, ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What letters there are."""
        return self._stream.encoding

    def writable(self) -> bool:
        """It can be written to, and is not a terminal: nothing is drawn over."""
        return True

    def write(self, text: str) -> int:
        """Hand on what has become a line; the rest waits for its end."""
        *lines, self._begun = (self._begun + text).split("\n")
        if lines:
            self._stream.write("".join(f"{self._prefix}{line}\n" for line in lines))
            self._stream.flush()
        return len(text)

    def end(self) -> None:
        """Hand on a line that was begun."""
        if self._begun:
            self.write("\n")


def paths_of_lines(lines: Iterable[bytes]) -> Iterator[str]:
    """A path from each line that is not empty, as soon as the line is there.

    With a byte order mark, as Windows writes it, the lines are UTF-8, UTF-16 or UTF-32; else bytes
    that the system takes for a path.

    Raises:
        FishError: there are zero bytes, which no path has.
    """
    for line in _decoded(iter(lines)):
        if path := line.rstrip("\r\n"):
            if "\0" in path:
                raise FishError(
                    "input=-: the list has zero bytes in it; wanted a path on each line, in UTF-8, "
                    "or in UTF-16 with a byte order mark"
                )
            yield path


def _decoded(lines: Iterator[bytes]) -> Iterator[str]:
    first = next(lines, b"")
    encoding = next((name for bom, name in _BOMS.items() if first.startswith(bom)), None)
    if encoding is None:
        yield os.fsdecode(first)
        yield from map(os.fsdecode, lines)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    begun = ""
    # Of UTF-16, what ends with the byte of a line feed may be half a letter.
    for line in itertools.chain([first], lines):
        begun += decoder.decode(line)
        *whole, begun = begun.split("\n")
        yield from whole
    yield from (begun + decoder.decode(b"", final=True)).split("\n")
