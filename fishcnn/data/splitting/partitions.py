"""Groups of pictures as numbers: pictures with the same number belong together."""

import numpy as np
from numpy.typing import NDArray


def numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number groups from 0 in the order in which they first appear.

    Args:
        groups: int64 (N,), any numbers.

    Returns:
        int64 (N,).
    """
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    return numbers[members]


def merge_groups(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put together what belongs together by either of two groupings, directly or by way of others.

    This is the finest grouping that is coarser than both: the connected components of a graph
    whose edges join pictures of one group.

    Args:
        first: int64 (N,), any numbers.
        second: int64 (N,), any numbers.

    Returns:
        int64 (N,), numbered from 0 by first appearance.
    """
    ones, others = numbered(first), numbered(second)
    offset = int(ones.max(initial=-1)) + 1
    parents = list(range(offset + int(others.max(initial=-1)) + 1))

    def root(node: int) -> int:
        while parents[node] != node:
            # Halving the path keeps later walks short (Tarjan & van Leeuwen 1984).
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for one, other in zip(ones.tolist(), (others + offset).tolist(), strict=True):
        parents[root(one)] = root(other)
    roots = np.array([root(node) for node in range(offset)], np.int64)
    return numbered(roots[ones])
