"""A few images that stand for all classes."""

import numpy as np
from numpy.typing import NDArray


def stratified_sample(labels: NDArray[np.int64], *, size: int, seed: int) -> list[int]:
    """Choose images of as many different classes as possible; all, if there are fewer than size.

    Gives positions in labels ``(N,)``: a first image of each class in random order, then a second.
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    seen: dict[int, int] = {}
    rounds = []
    for label in labels[shuffled].tolist():
        rounds.append(seen.get(label, 0))
        seen[label] = rounds[-1] + 1
    order = np.argsort(rounds, kind="stable")
    return [int(position) for position in shuffled[order][:size]]
