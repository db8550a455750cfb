"""Of which class a map is."""

from collections.abc import Sequence
from difflib import get_close_matches

import torch
from torch import Tensor
from torch.nn import functional as F

from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.text import find_name


def class_targets(
    target: str | int,
    *,
    classes: Sequence[str],
    labels: Tensor | None,
    count: int,
    argument: str = "target",
) -> Tensor | None:
    """The class of each image, (N,) int64, that a person means; None for the predicted classes.

    Args:
        target: "predicted", "true" (or True, as YAML reads it), a class name or an index. Of a
            class whose name is a number the name counts.
        classes: K class names in the order of the class scores.
        labels: (N,) true class indices, or None where nobody knows them.
        count: N, the number of images.
        argument: What errors call `target`.

    Raises:
        ArgumentError: There is no such class, or the true ones are not known.
    """
    name = "true" if target is True else str(target)
    if name == "predicted":
        return None
    if name == "true":
        if labels is None:
            problem = "the true classes of these images are not known; choose predicted or a class"
            raise ArgumentError(argument, name, problem)
        return labels.long()
    if (index := find_name(name, classes)) is not None:
        return torch.full((count,), index)
    if name.isdecimal() and int(name) < len(classes):
        return torch.full((count,), int(name))
    near = get_close_matches(name, classes, n=5, cutoff=0.4) or classes[:5]
    problem = f"is not a class; choose predicted, true, an index from 0 to {len(classes) - 1}, or "
    raise ArgumentError(argument, target, f"{problem}a class name such as {', '.join(near)}")


def score_weights(logits: Tensor, targets: Tensor | None, against: Tensor | None) -> Tensor:
    """What each of (N, K) logits counts in the score logit[target] - logit[against].

    (N, K) int64: 1 at the target, by default the class with the highest logit, and -1 at the class
    against it, if any; 0 where they are the same. Without one index (N,) of a class for each image
    it is an ArgumentError.
    """
    wanted = _one_hot(logits.argmax(1) if targets is None else targets, logits, "targets")
    return wanted if against is None else wanted - _one_hot(against, logits, "against")


def _one_hot(indices: Tensor, logits: Tensor, argument: str) -> Tensor:
    count, classes = logits.shape
    if indices.shape != (count,):
        problem = f"needs one class for each of the {count} images"
        raise ArgumentError(argument, indices.tolist(), problem)
    for index in (int(indices.min()), int(indices.max())):
        if not 0 <= index < classes:
            problem = f"is not one of the model's {classes} classes, 0 to {classes - 1}"
            raise ArgumentError(argument, index, problem)
    return F.one_hot(indices.to(logits.device).long(), classes)
