"""Which differences between a file and its network are accepted."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fishcnn.commands.export.agreement import compare
from fishcnn.commands.export.formats import Loaded

IMAGES = np.arange(3, dtype=np.uint8).repeat(2 * 2 * 3).reshape(3, 2, 2, 3)
# Of three images; the last one could be either.
EXPECTED = np.array([[0.7, 0.3], [0.1, 0.9], [0.50002, 0.49998]], dtype=np.float32)


def file_that_answers(*, alone: NDArray[np.floating], together: NDArray[np.floating]) -> Loaded:
    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = alone if len(images) == 1 else together
        return answers[images[:, 0, 0, 0]].astype(np.float32)

    return Loaded(classify, {})


def test_a_file_that_says_the_same_is_good() -> None:
    agreement = compare(file_that_answers(alone=EXPECTED, together=EXPECTED), IMAGES, EXPECTED)
    assert agreement.good
    assert (agreement.pictures, agreement.same_top1) == (3, 3)
    assert agreement.max_abs_difference == 0
    assert agreement.milliseconds > 0


@pytest.mark.parametrize("way", ["alone", "together"])
def test_a_difference_of_one_image_is_found_in_a_batch_and_alone(way: str) -> None:
    wrong = EXPECTED.copy()
    wrong[1] = [0.11, 0.89]
    answers = {"alone": EXPECTED, "together": EXPECTED} | {way: wrong}
    agreement = compare(file_that_answers(**answers), IMAGES, EXPECTED)
    assert not agreement.good
    assert agreement.same_top1 == 3
    assert agreement.max_abs_difference == pytest.approx(0.01, abs=1e-6)


def test_another_class_is_counted() -> None:
    wrong = EXPECTED.copy()
    wrong[0] = wrong[0, ::-1]
    agreement = compare(file_that_answers(alone=EXPECTED, together=wrong), IMAGES, EXPECTED)
    assert not agreement.good
    assert agreement.same_top1 == 2


def test_either_class_will_do_where_the_network_itself_is_undecided() -> None:
    other = EXPECTED.copy()
    other[2] = other[2, ::-1]
    agreement = compare(file_that_answers(alone=other, together=other), IMAGES, EXPECTED)
    assert agreement.good
    assert 0 < agreement.max_abs_difference < 1e-4


def test_numbers_that_are_none_are_never_good() -> None:
    nan = np.full_like(EXPECTED, np.nan)
    assert not compare(file_that_answers(alone=nan, together=nan), IMAGES, EXPECTED).good
    assert not compare(file_that_answers(alone=nan, together=nan), IMAGES, nan).good


def test_another_number_of_classes_is_an_error() -> None:
    wrong = np.full((3, 3), 1 / 3)
    with pytest.raises(ValueError, match=r"\(3, 3\) instead of \(3, 2\)"):
        compare(file_that_answers(alone=wrong, together=wrong), IMAGES, EXPECTED)


def test_a_single_image_is_tried_in_a_batch_as_well() -> None:
    wrong = EXPECTED[:, ::-1]
    loaded = file_that_answers(alone=EXPECTED, together=wrong)
    assert compare(loaded, IMAGES[:1], EXPECTED[:1]).same_top1 == 0


def test_comparing_leaves_torch_its_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        compare(file_that_answers(alone=EXPECTED, together=EXPECTED), IMAGES, EXPECTED)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
