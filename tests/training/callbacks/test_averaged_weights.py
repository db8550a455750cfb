import pytest
import torch

from fishcnn.training.callbacks.averaged_weights import AveragedWeights


def test_the_average_begins_with_short_memory_and_ends_with_the_decay() -> None:
    averaged = AveragedWeights(decay=0.99)
    zero, one = torch.zeros(1), torch.ones(1)
    share_of_latest = [float(averaged._average(zero, one, step)) for step in (0, 10, 100, 10_000)]
    assert share_of_latest == pytest.approx([0.9, 9 / 20, 9 / 110, 0.01])
