"""Groups of images as numbers: images with the same number belong together."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.duplicates.components import chained, connected
from fishcnn.utils.errors import ArgumentError

# It can be typed in a shell without quotes.
EXAMPLE_PATTERN = ".+_"


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


def groups_by_name(paths: Sequence[Path], pattern: str) -> NDArray[np.int64]:
    r"""Group N images by a part of their file names; int64 (N,), from 0 by first appearance.

    ``(?P<group>...)`` in the pattern, a regular expression of Python, marks that part; without it,
    all that the pattern matches is the part. It is searched for in the file name without folder and
    suffix: for ``Rui/cam1_track7_0001.jpg`` in ``cam1_track7_0001``, where
    ``^(?P<group>[^_]+_[^_]+)`` finds ``cam1_track7``. The folder does not count, so that one camera
    that has filmed two species is one group of images of two classes. A name in which nothing is
    found is a group of its own.

    Raises:
        ArgumentError: The pattern is not a regular expression, or matches none of the names.
    """
    advice = f"{EXAMPLE_PATTERN} groups by all that stands before the last underscore"
    try:
        expression = re.compile(pattern)
    except re.error as error:
        problem = f"is not a regular expression ({error}); for example, {advice}"
        raise ArgumentError("group_regex", pattern, problem) from error
    part = "group" if "group" in expression.groupindex else 0
    matches = [expression.search(path.stem) for path in paths]
    # An index is not a name, so that it makes a group of its own.
    names = [(match and match[part]) or index for index, match in enumerate(matches)]
    if names and not any(isinstance(name, str) for name in names):
        raise ArgumentError(
            "group_regex",
            pattern,
            f"finds nothing in any of the {len(paths)} file names, such as "
            f"{paths[0].stem} (without folder and suffix); for example, {advice}",
        )
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
