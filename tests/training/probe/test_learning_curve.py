"""Learning curves of a probe: what is drawn, what judges, and what is said of twice the images."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fishcnn.training.probe.forecast import FEWEST_IMAGES, follow, forecast
from fishcnn.training.probe.learning_curve import (
    FRACTIONS,
    HALF,
    Trials,
    draw_parts,
    draws_for,
    run_trials,
)
from fishcnn.training.probe.linear_classifier import FOLDS
from fishcnn.training.probe.out_of_fold import ProbedImages

SIZES = 800 * np.array(FRACTIONS)


def images(count: int = 120, classes: int = 3, far: float = 0.5, seed: int = 0) -> ProbedImages:
    """Features around a centre of each class; neighbours are near-duplicates, in pairs."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) // 2 % classes
    centres = far * torch.randn(classes, 8, generator=draw)
    features = centres[labels][:, None] + torch.randn(count, 2, 8, generator=draw)
    return ProbedImages(features, labels, np.arange(count) // 2, classes)


def trials(errors: np.ndarray, count: int = 1000, seed: int = 0) -> Trials:
    """Two draws in which held-out images are wrong with these probabilities, each by its own."""
    draw = np.random.default_rng(seed)
    difficulty = draw.permutation((np.arange(count) + 0.5) / count)
    correct = np.stack([difficulty >= error for error in errors])
    folds = np.stack([draw.permutation(np.arange(count) % FOLDS) for _ in range(2)])
    return Trials(SIZES, np.stack([correct, correct]), folds)


LABELS, GROUPS = np.arange(1000) % 20, np.arange(1000)


def test_parts_lie_inside_each_other_with_each_class_in_proportion_and_no_group_divided() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [200, 100, 8])
    groups = np.arange(308) // 2
    pool = np.flatnonzero(groups % 4 != 0)
    parts = draw_parts(labels, groups, pool, generator)
    assert len(parts) == len(FRACTIONS)
    counts = np.bincount(labels[pool])
    for fraction, part, larger in zip(FRACTIONS, parts, [*parts[1:], pool], strict=True):
        assert np.isin(part, larger).all()
        outside = np.setdiff1d(np.arange(308), part)
        assert not np.isin(groups[part], groups[outside]).any()
        wanted = np.maximum(fraction * counts, 1)
        assert np.bincount(labels[part]) == pytest.approx(wanted, abs=2)
    assert sorted(parts[-1]) == pool.tolist()


def test_nobody_is_judged_who_has_a_near_duplicate_in_training() -> None:
    """Each of four has the same features, and a label that only the other ones tell."""
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(30, 2, 60, generator=draw).repeat_interleave(4, 0)
    labels = torch.arange(120) // 4 % 2
    together = run_trials(ProbedImages(features, labels, np.arange(120) // 4, 2), 1)
    apart = run_trials(ProbedImages(features, labels, np.arange(120), 2), 1)
    assert together.correct[0, -1].mean() < 0.65
    assert apart.correct[0, -1].mean() > 0.85
    assert (together.folds[0].reshape(-1, 4) == together.folds[0, ::4, None]).all()


def test_every_image_is_judged_once_a_draw_at_every_size() -> None:
    found = run_trials(images(), 2)
    assert found.correct.shape == (2, len(FRACTIONS), 120)
    assert (found.folds >= 0).all()
    assert found.sizes == pytest.approx(96 * np.array(FRACTIONS), abs=4)
    assert found.sizes[-1] == 96
    accuracy = found.accuracies(np.arange(120), 0)[0]
    assert accuracy == pytest.approx(found.correct.mean((0, 2)), abs=1e-6)
    assert accuracy[-1] > accuracy[0] + 0.05


def test_few_images_are_drawn_more_often_than_many() -> None:
    assert [draws_for(count) for count in (0, 100, 712, 5000)] == [5, 5, 4, 2]


def test_the_interval_is_that_of_a_share_of_groups() -> None:
    one = trials(np.full(len(FRACTIONS), 0.3))
    samples = one.accuracies(GROUPS, 2000)
    assert samples[0] == pytest.approx(0.7)
    # The square root of 0.7 * 0.3 / 1000, and that of folds.
    assert 0.0145 < samples[1:, -1].std() < 0.022
    # The same images, five times each.
    copies = replace(one, correct=one.correct[:, :, GROUPS // 5 * 5])
    wider = copies.accuracies(GROUPS // 5, 2000)
    assert wider[1:, -1].std() > 1.5 * copies.accuracies(GROUPS, 2000)[1:, -1].std()


def test_twice_the_images_bring_what_the_law_says_that_made_the_errors() -> None:
    law = 0.1 + 4 * SIZES**-0.5
    errors = law / np.sqrt(1 + (law / 0.95) ** 2)
    law = 0.1 + 4 * 1600**-0.5
    gain = errors[-1] - law / np.sqrt(1 + (law / 0.95) ** 2)
    found = follow(trials(errors), LABELS, GROUPS)
    assert not found.problem
    assert found.gain == pytest.approx(gain, abs=0.003)
    low, high = found.gain_interval
    assert 0.01 < low < gain < high < 0.06
    assert found.accuracy == pytest.approx(1 - errors, abs=0.002)
    assert found.expected[-1] - found.expected[0] == pytest.approx(found.gain)
    assert found.ahead[[0, -1]].tolist() == [800, 1600]
    first, second = found.sentences()
    points = round(100 * gain)
    said = f"Twice the images: about +{points} points of accuracy (95% interval "
    assert first == f"{said}{100 * low:.0f} to {100 * high:.0f})."
    lower, upper = found.interval[:, -1]
    assert second == (
        f"After training on 800 images, a probe is right about {1 - errors[-1]:.0%} of the others "
        f"({lower:.0%} to {upper:.0%}); after 400, about {found.accuracy[HALF]:.0%}."
    )
    told = json.loads(json.dumps(found.to_json()))
    assert told["twice_the_images"] == {"gain": found.gain, "low": low, "high": high}
    assert [one["training_images"] for one in told["measured"]] == SIZES.tolist()
    assert told["sentences"] == [first, second]


def test_of_a_flat_curve_it_says_that_more_bring_nothing() -> None:
    found = follow(trials(np.full(len(FRACTIONS), 0.2)), LABELS, GROUPS)
    assert found.sentences()[0].startswith("Twice the images would bring hardly anything: at most ")
    assert found.gain_interval[1] < 0.015


def test_of_a_curve_that_may_rise_or_fall_it_says_that_it_cannot_be_said() -> None:
    """A hundred images, right or wrong at each size by chance."""
    draw = np.random.default_rng(1)
    correct = draw.random((2, len(FRACTIONS), 100)) < 0.5
    folds = np.stack([np.arange(100) % FOLDS] * 2)
    found = follow(Trials(SIZES, correct, folds), LABELS[:100], GROUPS[:100])
    assert found.sentences()[0] == (
        "What twice the images would bring cannot be said: accuracy does not surely rise with the "
        "number of training images."
    )
    assert found.to_json()["twice_the_images"] is None


def test_of_a_curve_that_falls_it_does_not_promise_anything() -> None:
    found = follow(trials(np.linspace(0.2, 0.5, len(FRACTIONS))), LABELS, GROUPS)
    assert found.gain == 0
    assert "hardly anything" in found.sentences()[0] or "cannot be said" in found.sentences()[0]


def test_a_probe_at_chance_says_nothing() -> None:
    found = follow(trials(np.linspace(0.96, 0.95, len(FRACTIONS))), LABELS, GROUPS)
    assert "is not surely better than naming the largest class" in found.sentences()[0]
    one_class = follow(trials(np.zeros(len(FRACTIONS))), np.zeros(1000, np.int64), GROUPS)
    assert "is not surely better than naming the largest class" in one_class.sentences()[0]


def test_few_images_are_not_measured() -> None:
    few = forecast(images(FEWEST_IMAGES - 2))
    cannot = "What twice the images would bring cannot be said: "
    assert few.sentences() == [f"{cannot}98 images are too few, 100 are the least."]
    assert few.to_json()["measured"] == []
    small = forecast(images(120, classes=50))
    assert small.sentences() == [f"{cannot}2.4 images of a class are too few, 5 are the least."]
    # All of one group: none can be held out.
    alike = forecast(replace(images(), groups=np.zeros(120, np.int64)))
    assert "too many images are near-duplicates of each other" in alike.sentences()[0]
