"""Logistic regression, with a penalty that is chosen where nobody validates."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fishcnn.data.splitting.stratified_groups import assign_folds
from fishcnn.utils import stopping

# Of the squared weights, against the mean loss, for features of mean square 1; from the strongest,
# as each fit begins where the one before has ended.
PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4)
_DEFAULT = 0.1
FOLDS = 5
# The loss has risen so often in a row: it will not fall again.
_RISES = 2
# Beyond them, the loss of held-out images no longer changes.
_STEPS, _FLAT, _STILL = 50, 1e-4, 1e-5


@dataclass(frozen=True)
class LinearClassifier:
    """Logits are ``features @ weight.T + bias``.

    Attributes:
        weight: float32 ``(K, D)``.
        bias: float32 ``(K,)``.
        penalty: one of :data:`PENALTIES`.
        losses: mean loss of images that were held out, by penalty; those that were tried.
        held_out: float32 ``(n, K)``, logits of the first view of each image by the classifier that
            was fitted without its fold, with that penalty; NaN where an image is in no fold, as
            those of the only group of a class.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    losses: dict[float, float]
    held_out: Tensor


def fit_linear(
    features: Tensor, labels: Tensor, groups: NDArray[np.int64], class_weights: Tensor
) -> LinearClassifier:
    """Fit a classifier to several views of each image.

    The penalty is the one with the lowest loss of the first view in a cross-validation, in whose
    folds no group is divided.

    What is fitted is the direction of the features: all are brought to one length, and the weights
    to the mean length. That tells photographs better apart than the features as they are, and than
    those of equal variance, where what rarely answers weighs as much as what does so always.

    Args:
        features: float32 ``(n, views, D)``.
        labels: int64 ``(n,)``, 0 <= label < K.
        groups: int64 ``(n,)``.
        class_weights: float32 ``(K,)``, what an image of each class counts.
    """
    directions = of_one_length(features)
    folds = assign_folds(labels.cpu().numpy(), groups, FOLDS, np.random.default_rng(0))
    fold_of = torch.from_numpy(folds).to(labels.device)
    losses: dict[float, float] = {}
    held_out = features.new_full((len(labels), len(class_weights)), float("nan"))
    for tried, logits, loss in _held_out(directions, labels, fold_of, class_weights):
        if loss < min(losses.values(), default=float("inf")):
            held_out = logits
        losses[tried] = loss
    penalty = min(losses, key=lambda one: losses[one], default=_DEFAULT)
    solution = _zeros(directions, class_weights)
    for step in (one for one in PENALTIES if one >= penalty):
        _descend(solution, directions, labels, class_weights, step)
    return LinearClassifier(
        solution[:, :-1] / _lengths(features).mean(), solution[:, -1], penalty, losses, held_out
    )


def _held_out(
    features: Tensor, labels: Tensor, fold_of: Tensor, class_weights: Tensor
) -> Iterator[tuple[float, Tensor, float]]:
    """Yield penalties, from the strongest, logits of held-out images and their mean loss.

    There are none without a fold.
    """
    parts = [
        (fold_of != fold, fold_of == fold, _zeros(features, class_weights))
        for fold in range(FOLDS)
        if (fold_of == fold).any()
    ]
    judged = fold_of >= 0
    lowest, rises = float("inf"), 0
    for penalty in PENALTIES if parts else ():
        logits = features.new_full((len(labels), len(class_weights)), float("nan"))
        for inside, outside, solution in parts:
            stopping.check_stopped()
            _descend(solution, features[inside], labels[inside], class_weights, penalty)
            logits[outside] = _logits(solution, features[outside][:, 0])
        loss = float(F.cross_entropy(logits[judged], labels[judged], class_weights))
        yield penalty, logits, loss
        rises = rises + 1 if loss > lowest else 0
        lowest = min(lowest, loss)
        if rises == _RISES:
            return


def _zeros(features: Tensor, class_weights: Tensor) -> Tensor:
    """Weights and, in the last column, biases: ``(K, D + 1)``."""
    return features.new_zeros(len(class_weights), features.shape[-1] + 1)


def _logits(solution: Tensor, features: Tensor) -> Tensor:
    return F.linear(features, solution[:, :-1], solution[:, -1])


def _descend(
    solution: Tensor, features: Tensor, labels: Tensor, class_weights: Tensor, penalty: float
) -> None:
    """Bring a solution to the minimum for a penalty, in place."""
    views = features.flatten(0, 1)
    targets = labels.repeat_interleave(features.shape[1])
    solution.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [solution],
        max_iter=_STEPS,
        tolerance_grad=_FLAT,
        tolerance_change=_STILL,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        fit = F.cross_entropy(_logits(solution, views), targets, class_weights)
        value = fit + penalty / 2 * solution[:, :-1].square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    solution.requires_grad_(False)


def of_one_length(features: Tensor) -> Tensor:
    """Features ``(..., D)`` of mean square 1, which the penalties are meant for."""
    return features / _lengths(features)


def _lengths(features: Tensor) -> Tensor:
    return features.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-6)


def best_penalty(features: Tensor, labels: Tensor, learns: Tensor, class_weights: Tensor) -> float:
    """The penalty with the lowest loss of the other images after some have been learnt from.

    This takes a tenth of the time of the cross-validation of :func:`fit_linear`, whose arguments
    these are, with features of one length. Learns is bool ``(n,)``.
    """
    fold_of = torch.where(learns, -1, 0)
    tried = _held_out(features, labels, fold_of, class_weights)
    losses = {penalty: loss for penalty, _, loss in tried}
    return min(losses, key=lambda one: losses[one], default=_DEFAULT)


def predict_after(
    features: Tensor, labels: Tensor, class_weights: Tensor, penalty: float, others: Tensor
) -> Tensor:
    """Fit a classifier to features of one length, ``(n, views, D)``, and classify others.

    Returns:
        int64 ``(m,)``, the classes of the others ``(m, D)``.
    """
    solution = _zeros(features, class_weights)
    _descend(solution, features, labels, class_weights, penalty)
    return _logits(solution, others).argmax(1)
