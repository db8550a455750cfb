"""Connected components: images that belong together, directly or by way of others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def chained(values: NDArray[np.int64] | NDArray[np.bytes_] | Sequence[str]) -> NDArray[np.int64]:
    """Pair each of N places with the next that has the same value; int64 (P, 2), i < j."""
    order = np.argsort(np.asarray(values), kind="stable")
    same = np.asarray(values)[order[1:]] == np.asarray(values)[order[:-1]]
    pairs: NDArray[np.int64] = np.stack([order[:-1], order[1:]], axis=1)[same].astype(np.int64)
    return pairs


def connected(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the connected components of N nodes, joined by edges int64 (P, 2).

    Returns:
        int64 (N,), numbered from 0 by first appearance.
    """
    parents = list(range(count))

    def root(node: int) -> int:
        while parents[node] != node:
            # Halving the path keeps later walks short (Tarjan & van Leeuwen 1984).
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for i, j in pairs.tolist():
        one, other = root(i), root(j)
        # The earlier node stays the root, so that roots ascend in order of first appearance.
        parents[max(one, other)] = min(one, other)
    roots = np.array([root(node) for node in range(count)], np.int64)
    groups: NDArray[np.int64] = np.unique(roots, return_inverse=True)[1]
    return groups
