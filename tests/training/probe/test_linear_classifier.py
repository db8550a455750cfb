"""The classifier of a probe: the minimum that it claims to be, and a penalty that nobody leaks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fishcnn.training.probe.linear_classifier import PENALTIES, fit_linear


def clusters(
    seed: int, *, images: int = 60, classes: int = 3, far: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Features ``(n, 2, D)`` around a centre of each class, and labels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % classes
    centres = far * torch.randn(classes, 8, generator=torch.Generator().manual_seed(7))
    noise = torch.randn(images, 2, 8, generator=draw)
    return 5 + 3 * (centres[labels][:, None] + noise), labels


def test_no_other_weights_have_a_lower_penalised_loss() -> None:
    features, labels = clusters(0)
    found = fit_linear(features, labels, np.arange(60), torch.ones(3))
    unit = features.square().mean(-1, keepdim=True).sqrt()
    alike = features / unit * unit.mean()

    def loss(weight: Tensor, bias: Tensor) -> Tensor:
        logits = alike.flatten(0, 1) @ weight.T + bias
        fit = F.cross_entropy(logits, labels.repeat_interleave(2))
        return fit + found.penalty / 2 * (weight * unit.mean()).square().sum()

    weight, bias = found.weight.clone().requires_grad_(), found.bias.clone().requires_grad_()
    lowest = loss(weight, bias)
    lowest.backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() < 1e-2
    for seed in range(5):
        torch.manual_seed(seed)
        other = found.weight + 0.05 * torch.randn_like(found.weight)
        assert loss(other, found.bias) > lowest


def test_how_strong_an_image_answers_does_not_matter() -> None:
    features, labels = clusters(0)
    strength = torch.linspace(0.1, 10, 60)[:, None, None]
    found = fit_linear(features, labels, np.arange(60), torch.ones(3))
    other = fit_linear(features * strength, labels, np.arange(60), torch.ones(3))
    assert other.penalty == found.penalty
    assert other.losses == pytest.approx(found.losses, abs=1e-3)


def test_noise_asks_for_a_stronger_penalty_than_what_can_be_told_apart() -> None:
    easy = fit_linear(*clusters(0, far=3.0), np.arange(60), torch.ones(3))
    hard = fit_linear(*clusters(0, far=0.0), np.arange(60), torch.ones(3))
    assert hard.penalty > easy.penalty
    assert set(easy.losses) <= set(PENALTIES)
    assert easy.penalty == min(easy.losses, key=lambda one: easy.losses[one])


def test_images_that_belong_together_do_not_judge_the_penalty_of_each_other() -> None:
    """Each image three times and no class to be seen: only with groups this is not learnt."""
    features, labels = clusters(0, far=0.0, images=30)
    features, labels = features.repeat(3, 1, 1), labels.repeat(3)
    apart = fit_linear(features, labels, np.arange(90), torch.ones(3))
    together = fit_linear(features, labels, np.tile(np.arange(30), 3), torch.ones(3))
    assert together.penalty > apart.penalty


def test_a_class_counts_as_much_as_it_is_said_to() -> None:
    torch.manual_seed(0)
    features = torch.randn(40, 1, 4)
    labels = (torch.arange(40) < 4).long()  # a tenth of the images, and nothing to tell them by
    alike = fit_linear(features, labels, np.arange(40), torch.tensor([1.0, 1.0]))
    raised = fit_linear(features, labels, np.arange(40), torch.tensor([1 / 9, 1.0]))
    share = {
        name: (features[:, 0] @ found.weight.T + found.bias).softmax(1)[:, 1].mean()
        for name, found in (("alike", alike), ("raised", raised))
    }
    assert share["alike"] == pytest.approx(0.1, abs=0.03)
    assert share["raised"] == pytest.approx(0.5, abs=0.1)


def test_one_group_a_class_leaves_nothing_to_choose_by_and_is_fitted_all_the_same() -> None:
    features, labels = clusters(0, far=3.0)
    found = fit_linear(features, labels, labels.numpy(), torch.ones(3))
    assert found.losses == {}
    logits = features[:, 0] @ found.weight.T + found.bias
    assert (logits.argmax(1) == labels).all()


def test_held_out_logits_are_of_a_classifier_that_has_not_learnt_from_the_image() -> None:
    features, labels = clusters(0, far=3.0)
    found = fit_linear(features, labels, np.arange(60), torch.ones(3))
    turned = labels.clone()
    turned[7] = (turned[7] + 1) % 3
    assert found.held_out.shape == (60, 3)
    assert (found.held_out.argmax(1) == labels).float().mean() > 0.9
    again = fit_linear(features, turned, np.arange(60), torch.ones(3))
    assert again.held_out[7].argmax() == labels[7]


def test_images_of_the_only_group_of_a_class_are_never_held_out() -> None:
    features, labels = clusters(0, far=3.0)
    groups = np.where(labels.numpy() == 2, 0, 1 + np.arange(60))
    held_out = fit_linear(features, labels, groups, torch.ones(3)).held_out
    assert torch.equal(held_out.isnan().any(1), labels == 2)


def test_the_held_out_logits_are_those_whose_loss_is_reported() -> None:
    features, labels = clusters(0)
    found = fit_linear(features, labels, np.arange(60), torch.ones(3))
    loss = F.cross_entropy(found.held_out, labels)
    assert float(loss) == pytest.approx(found.losses[found.penalty], abs=1e-5)
