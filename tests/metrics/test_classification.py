"""Scores worked out by hand."""

from itertools import permutations

import numpy as np
import pytest

from fishcnn.metrics.classification import (
    ConfusedPair,
    class_scores,
    confused_pairs,
    confusion_counts,
    confusion_order,
    top_k_accuracy,
)

# Class 0 is found 2 times in 4, class 1 always, class 2 never; class 3 has no images.
LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
ANSWERS = np.array([0, 0, 1, 3, 1, 1, 1])
CONFUSION = np.array([[2, 1, 0, 1], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_rows_of_the_confusion_are_the_true_classes() -> None:
    np.testing.assert_array_equal(confusion_counts(ANSWERS, LABELS, 4), CONFUSION)


def test_precision_recall_and_f1_of_each_class() -> None:
    scores = class_scores(CONFUSION)
    np.testing.assert_array_equal(scores.support, [4, 2, 1, 0])
    np.testing.assert_allclose(scores.precision, [1, 0.5, np.nan, 0])
    np.testing.assert_allclose(scores.recall, [0.5, 1, 0, np.nan])
    np.testing.assert_allclose(scores.f1, [2 / 3, 2 / 3, 0, np.nan])


def test_classes_without_images_do_not_count_in_the_mean_and_unanswered_ones_count_as_0() -> None:
    macro = class_scores(CONFUSION).macro()
    assert macro.precision == pytest.approx((1 + 0.5 + 0) / 3)
    assert macro.recall == pytest.approx((0.5 + 1 + 0) / 3)
    assert macro.f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_top_k_counts_the_true_class_among_the_first_k() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.3, 0.3, 0.4]])
    labels = np.array([1, 0, 1])
    assert top_k_accuracy(probabilities, labels, 1) == 0
    # Of the two classes with 0.3 the first comes first, as in argmax.
    assert top_k_accuracy(probabilities, labels, 2) == pytest.approx(1 / 3)
    assert top_k_accuracy(probabilities, labels, 3) == 1


def test_the_most_frequent_mistake_comes_first_and_of_equal_ones_that_of_the_rarer_class() -> None:
    confusion = np.array([[5, 3, 1], [0, 8, 1], [1, 0, 1]])
    assert confused_pairs(confusion, 3) == [
        ConfusedPair(true=0, predicted=1, number=3, share=3 / 9),
        ConfusedPair(true=2, predicted=0, number=1, share=1 / 2),
        ConfusedPair(true=0, predicted=2, number=1, share=1 / 9),
    ]


def test_confused_classes_stand_together_and_flawless_ones_at_the_end() -> None:
    confusion = 10 * np.eye(6, dtype=np.int64)
    confusion[1, 4] = 5
    confusion[5, 2] = 3
    confusion[2, 5] = 1
    order = confusion_order(confusion)
    assert sorted(order) == list(range(6))
    assert abs(order.index(1) - order.index(4)) == 1
    assert abs(order.index(2) - order.index(5)) == 1
    assert order[4:] == [0, 3]


def test_a_class_without_image_and_answer_changes_no_mean() -> None:
    padded = np.zeros((5, 5), dtype=np.int64)
    padded[:4, :4] = CONFUSION
    assert class_scores(padded).macro() == class_scores(CONFUSION).macro()


@pytest.mark.parametrize("place", list(permutations(range(4))))
def test_chains_are_joined_at_the_ends_that_are_confused(place: tuple[int, ...]) -> None:
    # a-b is confused most, then c-d, then b-c: whatever their order, a b c d or d c b a.
    a, b, c, d = place
    confusion = 10 * np.eye(5, dtype=np.int64)
    confusion[a, b], confusion[d, c], confusion[b, c] = 6, 4, 2
    order = confusion_order(confusion)
    assert order in ([a, b, c, d, 4], [d, c, b, a, 4])


def test_the_share_of_a_class_decides_what_is_confused_most() -> None:
    # Half of class 2 is taken for 1, and a tenth of the many images of 0; class 3 has no images.
    confusion = np.array([[90, 10, 0, 0], [0, 10, 0, 0], [0, 2, 2, 0], [0, 0, 0, 0]])
    order = confusion_order(confusion)
    assert order in ([0, 1, 2, 3], [2, 1, 0, 3])
    confusion[1] = [0, 4, 0, 6]  # 1-3 comes first, then 1-2: nothing is left for 0 but an end
    order = confusion_order(confusion)
    assert order.index(1) in (1, 2)
    assert {order[order.index(1) - 1], order[order.index(1) + 1]} == {2, 3}
