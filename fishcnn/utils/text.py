"""What can be written: names of any letters, in any kind of file; numbers that JSON knows."""

import math
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

# An underscore inside a word is none.
_MARKUP = re.compile(r"([\\`*{}\[\]<>|#$~&]|(?<![^\W_])_|_(?![^\W_]))")
# What a spreadsheet takes for the beginning of a formula, and what it was marked with.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def printable(name: str) -> str:
    """Escape the bytes of a file name that are not UTF-8, which Python keeps as lone surrogates."""
    return name.encode("utf-8", "backslashreplace").decode()


def normalised(name: str) -> str:
    """The one way of writing a name of those that look the same in Unicode (NFC)."""
    return unicodedata.normalize("NFC", name)


def by_looks(name: str) -> tuple[str, str]:
    """A key by which names sort in one order, however Unicode writes them."""
    return normalised(name), name


def same_names(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether names look the same, one by one."""
    return list(map(normalised, some)) == list(map(normalised, others))


def find_name(name: str, among: Sequence[str]) -> int | None:
    """Where a name stands among others: itself, or else the first that looks the same."""
    if name in among:
        return among.index(name)
    looks = [normalised(other) for other in among]
    return looks.index(normalised(name)) if normalised(name) in looks else None


def markdown(text: str) -> str:
    """Escape a text for Markdown, in which it stands on one line and is nothing but itself."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def markdown_code(text: str) -> str:
    """Write a text as code in Markdown, to be copied; it stands on one line."""
    line = re.sub(r"[\r\n]", lambda end: repr(end[0])[1:-1], text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    # One blank on either side is not part of the code.
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"`{line}`"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share as a percentage, rounded alike wherever it stands: a half always goes up.

    Python would write 0.8625 as 86.2%, and 86.3% where it comes out of float32; so what lies
    beyond six digits does not count. None and NaN are a dash.
    """
    if share is None or not math.isfinite(share):
        return "-"
    known = Decimal(repr(round(float(share), 6))) * 100
    rounded = known.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded + 0}%"  # not -0%


def points(difference: float) -> str:
    """Write a difference of two shares, which a percentage would leave open to two readings."""
    return f"{percent(difference)[:-1]} percentage points"


def counted(number: int, noun: str) -> str:
    """A number of things, such as ``1 image`` or ``12 images``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def interval_95(ends: tuple[float, float]) -> str:
    """Write a 95% interval of a share, for brackets behind it."""
    return f"95% interval {percent(ends[0])} to {percent(ends[1])}"


def interval_cell(ends: tuple[float, float] | None) -> str:
    """Write an interval of a share into a table; nothing where there is none."""
    return "" if ends is None else f"{percent(ends[0])[:-1]} to {percent(ends[1])}"


def for_shells(words: Iterable[str]) -> str:
    """Words to type; double quotes, which the prompt of Windows knows as well, where they will do.

    Between these a shell still reads $, ` , ! and backslashes, and the other prompt % and ^.
    """
    quoted = []
    for word in words:
        plain = shlex.quote(word)
        double = plain != word and word and not set(word) & set('"$`!\\%^')
        quoted.append(f'"{word}"' if double else plain)
    return " ".join(quoted)


def to_cell(text: str) -> str:
    """Write a text into a cell of CSV, marked by an apostrophe where it looks like a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Read what :func:`to_cell` has written."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def finite(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can hold
    """Replace NaN and infinity by None, however deep they lie."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
