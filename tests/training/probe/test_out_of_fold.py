"""Images that a probe judges without having learnt from them."""

import numpy as np
import pytest
import torch

from fishcnn.training.probe.out_of_fold import ProbedImages


def test_probabilities_are_those_of_classifiers_that_saw_no_image_of_the_group() -> None:
    """Copies of an image, of which one has another label: only with groups this is not learnt."""
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(20, 2, 40, generator=draw).repeat(3, 1, 1)
    labels = (torch.arange(20) % 2).repeat(3)
    apart = ProbedImages(features, labels, np.arange(60), 2).out_of_fold()
    together = ProbedImages(features, labels, np.tile(np.arange(20), 3), 2).out_of_fold()
    assert together.sum(1) == pytest.approx(np.ones(60))
    own = labels.numpy()
    assert (apart.argmax(1) == own).mean() > 0.9
    assert (together.argmax(1) == own).mean() < 0.6
