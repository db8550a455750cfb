"""Labels that are probably wrong, against cases worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fishcnn.metrics.confident_learning import find_label_issues


def of_two(first: list[float]) -> NDArray[np.float64]:
    """Probabilities of two classes by those of the first."""
    return np.stack([np.array(first), 1 - np.array(first)], 1)


def test_as_many_labels_are_suspects_as_the_confident_joint_says() -> None:
    """Worked out by hand, for five labels A and four labels B.

    Thresholds: A (0.9 + 0.8 + 0.7 + 0.2 + 0.45) / 5 = 0.61; B (0.9 + 0.8 + 0.65 + 0.1) / 4, 0.6125.

    ===== ==== ==== ==== ==== ==== ===== ==== ==== ==== ====
    row     0    1    2    3    4          5    6    7    8
    label   A    A    A    A    A          B    B    B    B
    p(A)  0.9  0.8  0.7  0.2  0.45        0.1  0.2  0.35 0.9
    p(B)  0.1  0.2  0.3  0.8  0.55        0.9  0.8  0.65 0.1
    counts  A    A    A    B  none         B    B    B    A
    ===== ==== ==== ==== ==== ==== ===== ==== ==== ==== ====

    The joint is [[3, 1], [1, 3]], of nine labels [[3.75, 1.25], [1, 3]]: two are wrong, 3 and 8,
    though the label of 4 is not the more probable one, either.
    """
    labels = np.array([0] * 5 + [1] * 4)
    found = find_label_issues(labels, of_two([0.9, 0.8, 0.7, 0.2, 0.45, 0.1, 0.2, 0.35, 0.9]))
    assert np.flatnonzero(found.suspect).tolist() == [3, 8]
    # First those with another class, by the probability of the given one.
    assert found.order.tolist() == [8, 3, 4, 7, 2, 1, 6, 0, 5]
    assert found.likely.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 0]
    assert found.confidence == pytest.approx([0.9, 0.8, 0.7, 0.8, 0.55, 0.9, 0.8, 0.65, 0.9])
    assert found.given == pytest.approx([0.9, 0.8, 0.7, 0.2, 0.45, 0.9, 0.8, 0.65, 0.1])
    assert found.clear == 0


def test_clear_are_suspects_whose_likely_class_is_twenty_times_as_probable() -> None:
    labels = np.array([0] * 6 + [1] * 6)
    first = [0.9, 0.9, 0.9, 0.9, 0.02, 0.06, 0.1, 0.1, 0.1, 0.1, 0.99, 0.94]
    found = find_label_issues(labels, of_two(first))
    assert np.flatnonzero(found.suspect).tolist() == [4, 5, 10, 11]
    assert found.clear == 2


def test_a_class_that_all_images_are_less_sure_of_does_not_make_its_labels_suspect() -> None:
    """A threshold of its own: B is never given 0.5, and row 3 is of B as much as any B is."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = find_label_issues(labels, of_two([0.95, 0.9, 0.97, 0.6, 0.58, 0.62]))
    assert not found.suspect.any()


def test_what_nobody_could_judge_is_neither_suspect_nor_in_the_order() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.array([[0.9, 0.1, 0.0]] * 2 + [[0.1, 0.9, 0.0]] * 2 + [[np.nan] * 3] * 2)
    found = find_label_issues(labels, probabilities)
    assert sorted(found.order.tolist()) == [0, 1, 2, 3]
    assert not found.suspect.any()
    assert found.likely.tolist() == labels.tolist()
    assert np.isnan(found.confidence[4:]).all()


def test_a_class_that_nobody_could_judge_may_be_the_likely_one_of_others() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 2])
    probabilities = np.array(
        [[0.9, 0.1, 0.0]] * 2 + [[0.0, 0.0, 1.0]] + [[0.1, 0.9, 0.0]] * 3 + [[np.nan] * 3]
    )
    found = find_label_issues(labels, probabilities)
    assert (found.likely[2], found.confidence[2], found.given[2]) == (2, 1.0, 0.0)
    assert found.order[0] == 2


@pytest.mark.parametrize("classes", [2, 20])
def test_labels_that_were_swapped_come_first(classes: int) -> None:
    draw = np.random.default_rng(classes)
    truth = np.arange(400) % classes
    labels, swapped = truth.copy(), draw.choice(400, 20, replace=False)
    labels[swapped] = (labels[swapped] + draw.integers(1, classes, 20)) % classes
    logits = draw.normal(size=(400, classes))
    logits[np.arange(400), truth] += 5
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = find_label_issues(labels, probabilities)
    assert np.isin(found.order[:20], swapped).mean() >= 0.8
    assert 15 <= found.suspect.sum() <= 30
    assert found.suspect[found.order[: found.suspect.sum()]].all()


def test_images_of_one_class_or_none_have_no_suspect() -> None:
    alone = find_label_issues(np.array([1, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert not alone.suspect.any()
    nothing = find_label_issues(np.empty(0, np.int64), np.empty((0, 3)))
    assert len(nothing.order) == 0
