"""Groups of images as numbers: images with the same number belong together."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.duplicates.components import chained, connected
from fishcnn.utils.errors import ArgumentError

# It can be typed in a shell without quotes.
EXAMPLE_PATTERN = ".+_"
# Some patterns take longer than the age of the universe on a name that does not fit them. A million
# names take a sensible one two seconds.
MATCHING_SECONDS = 20.0
# Python cannot be stopped within a match, but a process can be, in any thread and on any system.
_MATCH = """
import json, re, sys
pattern, part, names = json.load(sys.stdin)
matches = map(re.compile(pattern).search, names)
json.dump([match and match[part] for match in matches], sys.stdout)
"""


def numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number groups, int64 (N,), from 0 in the order in which they first appear."""
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    return numbers[members]


def merge_groups(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put together what belongs together by either of two groupings, directly or by way of others.

    Both are int64 (N,), of any numbers; so is the finest grouping that is coarser than both, but
    numbered from 0 by first appearance.
    """
    return connected(len(first), np.concatenate([chained(first), chained(second)]))


def groups_by_name(
    paths: Sequence[Path], pattern: str, *, seconds: float = MATCHING_SECONDS
) -> NDArray[np.int64]:
    """Group N images by :func:`parts_of_names`; int64 (N,), from 0 by first appearance."""
    return grouped_by_parts(parts_of_names(paths, pattern, seconds=seconds))


def grouped_by_parts(parts: Sequence[str | None]) -> NDArray[np.int64]:
    """Number groups of N images with the same part of their names, int64 (N,).

    An image without one is a group of its own.
    """
    # An index is not a name, so that it makes a group of its own.
    names = [index if part is None else part for index, part in enumerate(parts)]
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def parts_of_names(
    paths: Sequence[Path], pattern: str, *, seconds: float = MATCHING_SECONDS
) -> list[str | None]:
    r"""Find the part of each file name that images of one group share; None where there is none.

    ``(?P<group>...)`` in the pattern, a regular expression of Python, marks that part; without it,
    all that the pattern matches is the part. It is searched for in the file name without folder and
    suffix: for ``Rui/cam1_track7_0001.jpg`` in ``cam1_track7_0001``, where
    ``^(?P<group>[^_]+_[^_]+)`` finds ``cam1_track7``. The folder does not count, so that one camera
    that has filmed two species is one group of images of two classes.

    Raises:
        ArgumentError: The pattern is not a regular expression, matches none of the names, or takes
            more than so many ``seconds`` for all of them.
    """
    advice = f"{EXAMPLE_PATTERN} groups by all that stands before the last underscore"
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        problem = f"is not a regular expression ({error}); for example, {advice}"
        raise ArgumentError("group_regex", pattern, problem) from error
    part = "group" if "group" in expression.groupindex else 0
    found = _matches(pattern, part, [path.stem for path in paths], seconds) if paths else []
    parts = [match or None for match in found]
    if parts and not any(parts):
        raise ArgumentError(
            "group_regex",
            pattern,
            f"matches none of the {len(paths)} file names, such as "
            f"{paths[0].stem} (without folder and suffix); for example, {advice}",
        )
    return parts


def _matches(
    pattern: str, part: str | int, names: Sequence[str], seconds: float
) -> list[str | None]:
    """What a pattern finds in each name, in a process that is stopped when it takes too long."""
    try:
        finished = subprocess.run(
            [sys.executable, "-I", "-c", _MATCH],
            input=json.dumps([pattern, part, names]),  # ASCII, as names need not be valid Unicode
            capture_output=True,
            encoding="ascii",
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        problem = (
            f"takes more than {seconds:g} s on {len(names)} file names, as it can match in too "
            "many ways; take repetitions out of repetitions, such as (a+)+"
        )
        raise ArgumentError("group_regex", pattern, problem) from error
    found: list[str | None] = json.loads(finished.stdout)
    return found
