import pytest

from fishcnn.training.callbacks.averaged_weights import AveragedWeights


def test_the_average_begins_with_short_memory_and_ends_with_the_decay() -> None:
    averaged = AveragedWeights(decay=0.99)
    share_of_latest = [1 - averaged.decay_after(steps) for steps in (0, 1, 10, 100, 10_000)]
    assert share_of_latest == pytest.approx([1, 9 / 11, 9 / 20, 9 / 110, 0.01])
