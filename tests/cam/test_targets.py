import pytest
import torch
from torch import Tensor

from fishcnn.cam.targets import class_targets, score_weights
from fishcnn.utils.errors import ArgumentError, FishError


def test_a_target_is_a_word_a_name_or_an_index() -> None:
    classes = ["chub", "carp", "0", "true blue"]
    labels = torch.tensor([3, 1])

    def chosen(target: str | int, labels: Tensor | None = labels) -> list[int] | None:
        targets = class_targets(target, classes=classes, labels=labels, count=2)
        return None if targets is None else targets.tolist()

    assert chosen("predicted") is None
    assert chosen("true") == chosen(True) == [3, 1]
    assert chosen("carp", None) == chosen(1, None) == chosen("1", None) == [1, 1]
    assert chosen("true blue") == chosen(3) == [3, 3]
    assert chosen(0) == [2, 2]  # the class of this name
    with pytest.raises(FishError, match=r"target=crap: is not a class.* 0 to 3, .*such as carp$"):
        chosen("crap")
    for wrong in (4, -1, "²"):
        with pytest.raises(
            FishError, match=f"target={wrong}: is not a class.*such as chub, carp, 0"
        ):
            chosen(wrong)
    with pytest.raises(FishError, match=r"target=true: the true classes .* not known"):
        chosen("true", None)
    with pytest.raises(FishError, match=r"^against=trout: is not a class"):
        class_targets("trout", classes=classes, labels=None, count=1, argument="against")


LOGITS = torch.tensor([[1.0, 3, 2], [5, 0, 1]])


def test_the_score_is_the_logit_of_the_target_less_that_of_the_class_against_it() -> None:
    assert score_weights(LOGITS, None, None).tolist() == [[0, 1, 0], [1, 0, 0]]
    targets = torch.tensor([2, 0])
    assert score_weights(LOGITS, targets, None).tolist() == [[0, 0, 1], [1, 0, 0]]
    against = torch.tensor([1, 0])
    assert score_weights(LOGITS, targets, against).tolist() == [[0, -1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([0, 3], "targets=3: is not one of the model's 3 classes, 0 to 2"),
        ([-1, 0], "targets=-1: is not one"),
        ([0], r"targets=\[0\]: needs one class for each of the 2 images"),
    ],
)
def test_indices_that_are_not_classes_are_refused(targets: list[int], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        score_weights(LOGITS, torch.tensor(targets), None)
