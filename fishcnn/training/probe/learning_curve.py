"""Whether more images are worth it: how right a probe is that has learnt from fewer of them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fishcnn.data.splitting.groups import numbered
from fishcnn.data.splitting.stratified_groups import assign_folds, draw_groups
from fishcnn.training.probe.linear_classifier import (
    FOLDS,
    best_penalty,
    of_one_length,
    predict_after,
)
from fishcnn.training.probe.out_of_fold import ProbedImages
from fishcnn.utils import stopping
from fishcnn.utils.progress import track

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

# Of the images that a fold trains on. A power law is fitted to them, so they are closer at the low
# end, where it is steep.
FRACTIONS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
HALF = FRACTIONS.index(0.5)
# The fewer images there are, the more the accuracy depends on which are drawn: so many are judged
# in all, by so many draws.
_JUDGED, _MOST_DRAWS, _FEWEST_DRAWS = 3000, 5, 2


@dataclass(frozen=True)
class Trials:
    """Held-out images, judged by probes that have learnt from parts of the others.

    Attributes:
        sizes: float64 ``(F,)``, mean number of images in the parts, rising; empty where no image
            could be held out.
        correct: bool ``(R, F, n)``, by draw; False for an image that was not held out.
        folds: int64 ``(R, n)``, the fold that each image was held out in; -1 in none.
    """

    sizes: Floats
    correct: NDArray[np.bool_]
    folds: Rows

    def accuracies(self, groups: Rows, samples: int) -> Floats:
        """Accuracy of held-out images, then that of so many samples of images and of folds.

        Groups of images and folds, with the parts that were drawn in them, get random weights
        (the bootstrap of Rubin 1981, crossed as in Owen 2007), the same ones at every size.

        Returns:
            float64 ``(1 + samples, F)``.
        """
        members = numbered(groups)
        draws, sizes, _ = self.correct.shape
        judged = np.zeros((draws * FOLDS, int(members.max()) + 1))
        right = np.zeros((sizes, *judged.shape))
        for draw, folds in enumerate(self.folds):
            rows = np.flatnonzero(folds >= 0)
            cells = draw * FOLDS + folds[rows], members[rows]
            np.add.at(judged, cells, 1)
            for size in range(sizes):
                np.add.at(right[size], cells, self.correct[draw, size, rows])
        generator = np.random.default_rng(0)
        of_cells = generator.exponential(size=(1 + samples, judged.shape[0]))
        of_groups = generator.exponential(size=(1 + samples, judged.shape[1]))
        of_cells[0], of_groups[0] = 1, 1
        total = (of_cells @ judged * of_groups).sum(1)
        return np.stack([(of_cells @ one * of_groups).sum(1) / total for one in right], 1)


def draws_for(images: int) -> int:
    """How often folds and parts are drawn anew for so many images."""
    return max(_FEWEST_DRAWS, min(_MOST_DRAWS, _JUDGED // max(images, 1)))


def draw_parts(
    labels: Rows, groups: Rows, pool: Rows, generator: np.random.Generator
) -> list[Rows]:
    """Draw a part of the pool for each of :data:`FRACTIONS`, each inside the next.

    Every class keeps its share and at least one image; no group is divided. Labels and groups are
    int64 ``(n,)``; the pool and the parts are rows of them.
    """
    counts = np.bincount(labels[pool])
    parts = [pool]
    for fraction in FRACTIONS[-2::-1]:
        rows = parts[-1]
        wanted = np.maximum(np.round(fraction * counts), counts > 0).astype(np.int64)
        drawn = draw_groups(labels[rows], groups[rows], wanted, leave=0, generator=generator)
        parts.append(rows[drawn])
    return parts[::-1]


def run_trials(images: ProbedImages, draws: int) -> Trials:
    """Cross-validate probes that learn from parts of the training images of each fold.

    The penalty is chosen inside the training images of each fold, once for all of its parts: which
    is best hardly depends on their size. One half learns, the other judges.

    Args:
        images: what is learnt from and judged.
        draws: how often folds and parts are drawn.
    """
    generator = np.random.default_rng(0)
    labels, groups = images.labels, images.groups
    classes = labels.cpu().numpy()
    folds = np.stack([assign_folds(classes, groups, FOLDS, generator) for _ in range(draws)])
    correct = np.zeros((draws, len(FRACTIONS), len(classes)), np.bool_)
    directions = of_one_length(images.features)
    weights = directions.new_ones(images.num_classes)
    cells = [(draw, fold) for draw in range(draws) for fold in range(FOLDS)]
    sizes = []
    for draw, fold in track(cells, "Learning curve"):
        held_out = np.flatnonzero(folds[draw] == fold)
        if not len(held_out):
            continue
        parts = draw_parts(classes, groups, np.flatnonzero(folds[draw] != fold), generator)
        pool = parts[-1]
        learns = torch.from_numpy(np.isin(pool, parts[HALF])).to(labels.device)
        penalty = best_penalty(directions[pool], labels[pool], learns, weights)
        for place, part in enumerate(parts):
            stopping.check_stopped()
            predicted = predict_after(
                directions[part], labels[part], weights, penalty, directions[held_out, 0]
            )
            correct[draw, place, held_out] = (predicted == labels[held_out]).cpu().numpy()
        sizes.append([len(part) for part in parts])
    return Trials(np.array(sizes).mean(0) if sizes else np.empty(0), correct, folds)
