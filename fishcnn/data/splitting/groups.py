"""ImageSet that belong together: frames of one track, pictures of one animal or from one camera."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.splitting.partitions import merge_groups
from fishcnn.data.splitting.split import stratified_split
from fishcnn.utils.errors import FishError

__all__ = ["groups_by_name", "leaked_by_random_split", "merge_groups"]


def groups_by_name(paths: Sequence[Path], pattern: str) -> NDArray[np.int64]:
    r"""Group pictures by a part of their file names.

    ``(?P<group>...)`` in the pattern marks that part; without it, all that the pattern matches is
    the part. It is searched for in the file name without folder and suffix: for
    ``Rui/cam1_track7_0001.jpg`` in ``cam1_track7_0001``, where ``^(?P<group>[^_]+_[^_]+)`` finds
    ``cam1_track7``. The folder does not count, so that one camera that has filmed two species is
    one group of pictures of two classes. A name in which nothing is found is a group of its own.

    Args:
        paths: N paths, of which only the file names count.
        pattern: A regular expression of Python.

    Returns:
        int64 (N,), numbered from 0 by first appearance.

    Raises:
        FishError: The pattern is no regular expression, or found in none of the names.
    """
    setting = f"data.group_regex='{pattern}'"
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise FishError(
            f"{setting} is no regular expression: {error}; "
            "for example data.group_regex='^(?P<group>[^_]+_[^_]+)'"
        ) from error
    part = "group" if "group" in expression.groupindex else 0
    numbers: dict[str | int, int] = {}
    groups = np.empty(len(paths), np.int64)
    for index, path in enumerate(paths):
        match = expression.search(path.stem)
        # An index is no name, so that it makes a group of its own.
        name = (match and match[part]) or index
        groups[index] = numbers.setdefault(name, len(numbers))
    if paths and all(isinstance(name, int) for name in numbers):
        raise FishError(
            f"{setting} finds nothing in any of the {len(paths)} file names, such as "
            f"'{paths[0].stem}' (without folder and suffix); "
            "for example data.group_regex='^(?P<group>[^_]+_[^_]+)'"
        )
    return groups


def leaked_by_random_split(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, val_fraction: float, seed: int
) -> NDArray[np.int64]:
    """Find what a split without regard to groups would validate on after training on its like.

    Args:
        labels: int64 (N,), >= 0.
        groups: int64 (N,).
        val_fraction: Of :func:`~fishcnn.data.splitting.split.stratified_split`, as is seed.
        seed: Of the draw.

    Returns:
        int64, sorted: indices of the validation pictures whose groups have pictures on the training
        side, too.

    Raises:
        FishError: val_fraction is not between 0 and 1.
    """
    split = stratified_split(labels, val_fraction=val_fraction, seed=seed)
    return split.val[np.isin(groups[split.val], groups[split.train])]
