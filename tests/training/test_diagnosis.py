"""Curves as a fit would record them, and what a student is told about each."""

import re
from dataclasses import replace
from math import inf, log, nan
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from fishcnn.training.diagnosis import Curves, Settings, Verdict, diagnose, report
from fishcnn.utils.text import percent

SETTINGS = Settings(
    model="cnn",
    blocks=3,
    head="gap",
    dropout=0.2,
    augment="seed",
    mixing=False,
    lr=1e-3,
    weight_decay=1e-4,
    label_smoothing=0.0,
    max_epochs=60,
    early_stopping=False,
    pretrained=False,
    rendered=False,
    optimizer="adam",
)
Array = NDArray[np.float64]


def cosine(epochs: int, lr: float = 1e-3) -> Array:
    return lr * (1 + np.cos(np.pi * np.arange(epochs) / epochs)) / 2


def approach(start: float, end: float, epochs: int, pace: float) -> Array:
    """From start towards end; a share 1 - 1/e of the way is done after ``pace`` epochs."""
    return end + (start - end) * np.exp(-np.arange(epochs) / pace)


def fit(
    *,
    classes: int = 20,
    epochs: int = 60,
    train: tuple[float, float] = (0.97, 10),
    val: tuple[float, float] = (0.9, 10),
    loss: tuple[float, float] = (0.1, 10),
    val_loss: tuple[float, float] = (0.35, 10),
    images: int = 50,
    seed: int = 0,
    **changes: Any,  # any field of Curves
) -> Curves:
    """A recorded-looking fit; each pair is (value at the end, pace). Healthy as it stands."""
    rng = np.random.default_rng(seed)
    chance, guess = 1 / classes, log(classes)

    def noisy(values: Array, share: float) -> Array:
        return values * (1 + share * rng.standard_normal(len(values)))

    names = [f"fish{i}" for i in range(classes)]
    curves = {
        "train_loss": noisy(approach(guess, loss[0], epochs, loss[1]), 0.01),
        "val_loss": noisy(approach(guess, val_loss[0], epochs, val_loss[1]), 0.03),
        "train_acc": np.clip(noisy(approach(chance, train[0], epochs, train[1]), 0.005), 0, 1),
        "val_acc": np.clip(noisy(approach(chance, val[0], epochs, val[1]), 0.01), 0, 1),
        "val_f1": np.full(epochs, val[0]),
        "learning_rate": cosine(epochs),
        "step_loss": noisy(approach(guess, loss[0], 10 * epochs, 10 * loss[1]), 0.1),
        "val_recall": dict.fromkeys(names, val[0]),
        "val_count": dict.fromkeys(names, images),
        "train_images": 8000,
        "kept_epoch": None,
    }
    return Curves(**(curves | changes))


def overfit(rise: float = 0.015, **how: Any) -> Curves:  # goes to fit()
    """Training goes on to 0.99; validation loss turns at epoch 12 and climbs ``rise`` an epoch."""
    curves = fit(**({"train": (0.99, 12), "val": (0.6, 8)} | how))
    after = np.arange(len(curves.val_loss)) - 11
    bowl = 0.45 * log(len(curves.val_recall)) * (1 + (after.clip(-11, 0) / 12) ** 2)
    noise = 1 + 0.02 * np.random.default_rng(1).standard_normal(len(after))
    return replace(curves, val_loss=bowl * (1 + rise * after.clip(0)) * noise)


def jagged(curves: Curves, size: float, start: int = 0, stop: int | None = None) -> Curves:
    """Every other validation loss is ``size`` times larger, from ``start`` to ``stop``."""
    loss = np.array(curves.val_loss)
    loss[start:stop:2] *= size
    return replace(curves, val_loss=loss)


def missing(curves: Curves, name: str, images: int) -> Curves:
    """Not one of the validation images of this class was recognised."""
    return replace(
        curves,
        val_recall={**curves.val_recall, name: 0.0},
        val_count={**curves.val_count, name: images},
    )


def names(curves: Curves, settings: Settings = SETTINGS) -> list[str]:
    return [verdict.name for verdict in diagnose(curves, settings)]


def first(curves: Curves, settings: Settings = SETTINGS) -> Verdict:
    return diagnose(curves, settings)[0]


CONSTANT = np.full(60, 1e-3)
UNLEARNT: dict[str, Any] = {
    "train": (0.05, 1),
    "val": (0.05, 1),
    "loss": (log(20), 1),
    "val_loss": (log(20) + 0.05, 1),
}
WEAK: dict[str, Any] = {
    "train": (0.4, 8),
    "val": (0.39, 8),
    "loss": (1.9, 8),
    "val_loss": (1.95, 8),
}
QUICK: dict[str, Any] = {
    "train": (0.97, 1),
    "val": (0.9, 1),
    "loss": (0.1, 1),
    "val_loss": (0.35, 1),
}
BLOWN_UP = np.concatenate([approach(3, 15, 50, 10), approach(15, 0.5, 550, 60)])


@pytest.mark.parametrize("classes", [2, 20, 100])
@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_fit_is_fine_whatever_the_number_of_classes(classes: int, seed: int) -> None:
    assert names(fit(classes=classes, seed=seed)) == ["fine"]


@pytest.mark.parametrize("classes", [2, 20, 100])
def test_rising_validation_loss_under_rising_training_accuracy_is_overfitting(classes: int) -> None:
    val = 0.75 if classes == 2 else 0.6
    assert names(overfit(classes=classes, val=(val, 8))) == ["overfitting"]


def test_overfitting_quotes_both_curves_and_the_epochs() -> None:
    curves = overfit()
    why = first(curves).why
    lowest = int(np.argmin(curves.val_loss))
    end = np.mean(curves.val_loss[-6:])
    assert f"rose from its lowest {curves.val_loss[lowest]:.2f} (epoch {lowest + 1})" in why
    assert f"to {end:.2f} (epochs 55 to 60)" in why
    assert f"to {percent(np.mean(curves.train_acc[-6:]))} while validation loss" in why
    averaged = f"validation accuracy averaged {percent(np.mean(curves.val_acc[-6:]))}"
    assert f"{averaged} over the last 6 epochs, a gap of " in why
    # Of every third epoch there are 20 validations, of which a tenth would be too few.
    assert "over the last 3 validations, a gap of " in first(every(3, curves)).why


def test_validation_loss_that_stalls_while_training_climbs_is_overfitting() -> None:
    curves = fit(train=(0.99, 25), val=(0.6, 5), val_loss=(1.4, 4))
    assert names(curves) == ["overfitting"]
    since = re.search(r"has hardly improved since epoch (\d+) \(1\.", first(curves).why)
    assert since is not None
    assert 8 < int(since[1]) < 20
    creeping = approach(3, 1.4, 60, 4) - 0.0003 * np.arange(60)
    assert names(replace(curves, val_loss=creeping)) == ["overfitting"]


def test_validation_loss_that_stops_falling_only_at_the_end_is_not_overfitting() -> None:
    assert names(fit(train=(1.1, 40), val=(0.6, 12), val_loss=(0.7, 15))) == ["fine"]


def test_a_network_that_overfits_at_low_accuracy_is_not_told_to_grow() -> None:
    assert names(overfit(train=(0.45, 12), val=(0.2, 8))) == ["overfitting"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_memorising_at_full_training_accuracy_is_overfitting(smoothing: float) -> None:
    # The entropy of a label smoothed by 0.1 over 20 classes is 0.59 nats.
    floor = 0.59 if smoothing else 0.0
    curves = overfit(train=(1.0, 2), loss=(floor + 0.005, 5))
    settings = replace(SETTINGS, label_smoothing=smoothing)
    assert curves.train_acc[12] > 0.98
    assert names(curves, settings) == ["overfitting"]
    assert names(replace(curves, train_loss=np.full(60, floor + 0.3)), settings) == ["fine"]


def test_a_slight_rise_of_validation_loss_at_the_end_is_not_overfitting() -> None:
    assert names(overfit(rise=0.001, train=(0.92, 8), val=(0.86, 8))) == ["fine"]


def test_a_gap_that_few_validation_images_explain_is_not_overfitting() -> None:
    how: dict[str, Any] = {"classes": 2, "train": (0.9, 12), "val": (0.78, 8)}
    assert names(overfit(images=15, **how)) == ["fine"]
    assert names(overfit(images=500, **how)) == ["overfitting"]


def test_training_below_validation_is_normal_on_harder_images() -> None:
    verdict = first(
        fit(train=(0.7, 10), val=(0.85, 10), loss=(1.0, 10)),
        replace(SETTINGS, augment="strong", mixing=True),
    )
    assert verdict.name == "fine"
    assert "made harder by strong augmentation and mixed images and dropout." in verdict.why
    assert "harder" not in first(fit()).why


def test_low_accuracy_on_both_splits_is_underfitting() -> None:
    verdict = first(fit(**WEAK))
    assert verdict.name == "underfitting"
    assert "training accuracy averaged only 39.9% and validation accuracy " in verdict.why
    assert " over the last 6 epochs (guessing gives 5.0%)" in verdict.why
    assert verdict.suggestions[0] == "model.blocks=4"
    assert first(fit(**WEAK), replace(SETTINGS, blocks=5)).suggestions[0] != "model.blocks=6"


def test_underfitting_without_blocks_names_the_network_to_outgrow() -> None:
    settings = replace(SETTINGS, model="resnet18", blocks=None, head=None, dropout=None)
    verdict = first(fit(**WEAK), settings)
    assert "a network larger than resnet18" in verdict.why
    assert verdict.suggestions == ("trainer.max_epochs=120",)


def test_underfitting_under_strong_augmentation_asks_for_less_of_it() -> None:
    mixed = replace(SETTINGS, augment="mixed", blocks=None)
    strong = replace(SETTINGS, augment="strong", blocks=None)
    assert "augment=strong" in first(fit(**WEAK), mixed).suggestions
    assert "augment=seed" in first(fit(**WEAK), strong).suggestions


def test_a_network_that_fits_some_training_images_has_learnt_something() -> None:
    # With 20 validation images an accuracy of 0.1 might be chance; the training accuracy is not.
    curves = fit(train=(0.4, 8), val=(0.1, 8), loss=(1.9, 8), val_loss=(2.6, 20), images=1)
    assert first(curves).name == "underfitting"
    assert "learnt nothing" not in first(curves).why


def test_moderate_accuracy_on_both_splits_is_not_underfitting() -> None:
    assert names(fit(train=(0.68, 8), val=(0.66, 8), loss=(1.0, 8), val_loss=(1.1, 8))) == ["fine"]


def test_low_training_accuracy_alone_is_not_underfitting() -> None:
    settings = replace(SETTINGS, augment="strong", mixing=True)
    curves = fit(train=(0.45, 8), val=(0.8, 8), loss=(1.7, 8), val_loss=(0.8, 8))
    assert names(curves, settings) == ["fine"]


def test_underfitting_while_loss_still_falls_asks_for_more_epochs() -> None:
    curves = fit(train=(0.6, 60), val=(0.6, 60), loss=(1, 60), val_loss=(1, 60))
    assert first(curves).suggestions[0] == "trainer.max_epochs=120"
    stopped = replace(SETTINGS, max_epochs=100, early_stopping=True)  # after 60 epochs
    assert first(curves, stopped).suggestions[0] == "callbacks.early_stopping.enabled=false"


def test_loss_stuck_at_guessing_with_a_large_learning_rate_blames_the_learning_rate() -> None:
    settings = replace(SETTINGS, lr=0.01)
    verdicts = diagnose(fit(**UNLEARNT, learning_rate=cosine(60, 0.01)), settings)
    assert [verdict.name for verdict in verdicts] == ["learning rate too high"]
    assert "a loss of 3.00" in verdicts[0].why
    assert verdicts[0].suggestions == ("optimizer.lr=1e-3",)


def test_loss_stuck_at_guessing_with_a_tiny_learning_rate_is_underfitting() -> None:
    verdict = first(fit(**UNLEARNT, learning_rate=cosine(60, 1e-5)), replace(SETTINGS, lr=1e-5))
    assert verdict.name == "underfitting"
    assert "learnt nothing" in verdict.why
    assert verdict.suggestions[0] == "optimizer.lr=3e-5"


@pytest.mark.parametrize("bad", [nan, inf])
def test_a_loss_that_is_no_number_blames_the_learning_rate_even_after_one_epoch(bad: float) -> None:
    one = fit(epochs=1)
    assert names(replace(one, train_loss=[bad])) == ["learning rate too high"]
    later = np.array(fit().val_loss)
    later[40] = bad
    verdict = first(replace(fit(), val_loss=later))
    assert verdict.name == "learning rate too high"
    assert "epoch 41 is not a number" in verdict.why


def test_early_steps_far_above_guessing_blame_the_learning_rate() -> None:
    verdict = first(fit(step_loss=BLOWN_UP))
    assert verdict.name == "learning rate too high"
    assert "rose early on from 3.00 to 14." in verdict.why
    assert verdict.suggestions == ("optimizer.lr=3e-4",)


@pytest.mark.parametrize("classes", [2, 20, 100])
def test_one_bad_batch_or_a_bad_start_does_not_blame_the_learning_rate(classes: int) -> None:
    spike = np.array(fit(classes=classes).step_loss)
    spike[20] *= 10
    assert names(fit(classes=classes, step_loss=spike)) == ["fine"]
    high_start = approach(6 * log(classes), 0.1, 600, 30)
    assert names(fit(classes=classes, step_loss=high_start)) == ["fine"]


def test_validation_loss_that_jumps_to_the_end_is_unstable() -> None:
    verdict = first(jagged(fit(), 1.6))
    assert verdict.name == "unstable"
    assert "in the last 20 validations" in verdict.why
    assert verdict.suggestions == ("optimizer.lr=5e-4",)


def test_jumps_that_settle_or_a_single_spike_are_not_unstable() -> None:
    assert names(jagged(fit(), 1.6, stop=38)) == ["fine"]
    assert names(jagged(fit(), 3.0, start=50, stop=51)) == ["fine"]
    assert names(jagged(fit(epochs=12, **QUICK), 3.0, start=9, stop=10)) == ["fine"]


def test_jumps_that_few_validation_images_explain_are_not_unstable() -> None:
    curves = jagged(fit(classes=2, val=(0.9, 10), images=20), 1.3)
    assert "unstable" not in names(curves)
    assert "unstable" in names(replace(curves, val_count={"fish0": 2000, "fish1": 2000}))


def test_flat_curves_at_a_high_learning_rate_are_a_plateau() -> None:
    curves = fit(
        train=(0.75, 4),
        val=(0.74, 4),
        loss=(0.9, 4),
        val_loss=(0.95, 4),
        learning_rate=CONSTANT,
    )
    verdict = first(curves)
    assert verdict.name == "plateau"
    assert "from epoch 41 to 60" in verdict.why
    assert verdict.suggestions == ("optimizer.lr=3e-4",)


def test_a_schedule_that_ends_at_zero_flattens_curves_without_a_plateau() -> None:
    how: dict[str, Any] = {"train": (0.75, 4), "val": (0.74, 4)}
    assert names(fit(loss=(0.9, 4), val_loss=(0.95, 4), **how)) == ["fine"]


def test_an_early_stop_half_way_through_the_schedule_shortens_the_schedule() -> None:
    curves = fit(
        train=(0.75, 4),
        val=(0.74, 4),
        loss=(0.9, 4),
        val_loss=(0.95, 4),
        learning_rate=cosine(120)[:60],
    )
    settings = replace(SETTINGS, max_epochs=120, early_stopping=True)
    assert first(curves, settings).suggestions[0] == "trainer.max_epochs=60"
    constant = replace(curves, learning_rate=CONSTANT)
    assert first(constant, settings).suggestions == ("optimizer.lr=3e-4",)


def test_curves_that_still_move_at_a_high_learning_rate_are_no_plateau() -> None:
    how: dict[str, Any] = {"train": (0.8, 20), "val": (0.78, 20)}
    curves = fit(loss=(0.7, 20), val_loss=(0.75, 20), learning_rate=CONSTANT, **how)
    assert names(curves) == ["fine"]
    assert first(curves).suggestions == ("trainer.max_epochs=120",)


@pytest.mark.parametrize("classes", [2, 20, 100])
def test_a_class_that_is_never_recognised_is_named_with_its_images(classes: int) -> None:
    verdict = first(missing(fit(classes=classes), "fish1", images=30))
    assert verdict.name == "class ignored"
    assert "fish1 (0 of 30)" in verdict.why


def test_an_ignored_class_gets_more_epochs_only_while_training_still_improves() -> None:
    assert first(missing(fit(), "fish1", 30)).suggestions == ("augment=strong",)
    weak = diagnose(missing(fit(**WEAK), "fish1", 50), SETTINGS)
    assert weak[1].name == "class ignored"
    assert weak[1].suggestions == ()
    slow = missing(fit(train=(0.8, 20), val=(0.78, 20), loss=(0.7, 20)), "fish1", 30)
    assert first(slow).suggestions[0] == "trainer.max_epochs=120"


@pytest.mark.parametrize("classes", [2, 20, 100])
def test_a_class_with_three_images_may_be_missed_by_chance(classes: int) -> None:
    assert names(missing(fit(classes=classes), "fish1", images=3)) == ["fine"]


@pytest.mark.parametrize(("classes", "enough"), [(2, 8), (20, 12), (100, 15)])
def test_the_more_classes_the_more_images_of_one_must_be_missed(classes: int, enough: int) -> None:
    # At accuracy 0.8 a class of half that recall misses n images in 0.6 ** n of all runs: that
    # must be less than 5% shared among the classes. 0.6 ** 8 = 0.0168 < 0.05 / 2 = 0.025 < 0.6 ** 7
    # = 0.0280; 0.6 ** 12 = 0.0022 < 0.0025 < 0.0036; 0.6 ** 15 = 0.00047 < 0.0005 < 0.00078.
    curves = fit(classes=classes)
    curves = replace(curves, val_acc=np.append(curves.val_acc[:-1], 0.8))
    assert names(missing(curves, "fish1", enough)) == ["class ignored"]
    assert names(missing(curves, "fish1", enough - 1)) == ["fine"]


def test_a_class_with_a_single_hit_is_not_ignored() -> None:
    curves = missing(fit(), "fish1", 100)
    assert names(curves) == ["class ignored"]
    assert names(replace(curves, val_recall={**curves.val_recall, "fish1": 0.01})) == ["fine"]


def test_classes_without_validation_images_are_not_called_ignored() -> None:
    curves = fit()
    curves = replace(
        curves,
        val_recall={**curves.val_recall, "fish3": nan},
        val_count={**curves.val_count, "fish3": 0},
    )
    assert names(curves) == ["fine"]


def test_no_class_is_called_ignored_when_the_network_only_guesses() -> None:
    curves = fit(**UNLEARNT, learning_rate=cosine(60, 1e-5), images=1000)
    recall = dict.fromkeys(curves.val_recall, 0.0) | {"fish0": 1.0}
    guessing = replace(curves, val_recall=recall)
    assert names(guessing, replace(SETTINGS, lr=1e-5)) == ["underfitting"]


@pytest.mark.parametrize("epochs", [0, 1, 5])
def test_few_epochs_are_too_short_to_tell(epochs: int) -> None:
    verdict = first(fit(epochs=epochs), replace(SETTINGS, max_epochs=epochs))
    assert verdict.name == "too short"
    assert verdict.why.startswith(f"{epochs} epoch")
    assert verdict.suggestions == ("trainer.max_epochs=30",)


def test_an_early_stop_that_came_too_soon_is_named() -> None:
    settings = replace(SETTINGS, early_stopping=True)
    verdict = first(fit(epochs=5), settings)
    assert verdict.suggestions == ("callbacks.early_stopping.enabled=false",)


def test_six_epochs_are_enough_to_tell() -> None:
    assert names(fit(epochs=6, **QUICK), replace(SETTINGS, max_epochs=6)) == ["fine"]


def every(n: int, curves: Curves) -> Curves:
    """Keep every n-th validation, as check_val_every_n_epoch does."""
    skipped = np.arange(1, len(curves.val_loss) + 1) % n != 0
    loss, accuracy = np.array(curves.val_loss), np.array(curves.val_acc)
    loss[skipped] = accuracy[skipped] = nan
    return replace(curves, val_loss=loss, val_acc=accuracy)


def test_epochs_without_validation_change_no_verdict() -> None:
    assert names(every(3, fit())) == ["fine"]
    verdict = first(every(3, overfit()))
    assert verdict.name == "overfitting"
    assert "(epoch 12)" in verdict.why
    assert "(epochs 54 to 60)" in verdict.why


def test_too_few_validations_ask_for_enough_epochs() -> None:
    verdict = first(every(20, fit()))
    assert verdict.name == "too short"
    assert "60 epochs with 3 validations" in verdict.why
    assert verdict.suggestions == ("trainer.check_val_every_n_epoch=1",)


PATIENTS = [
    fit(),
    overfit(),
    fit(**WEAK),
    fit(**WEAK, learning_rate=CONSTANT),
    fit(**UNLEARNT),
    fit(train=(0.6, 60), val=(0.6, 60), loss=(1, 60), val_loss=(1, 60)),
    fit(step_loss=BLOWN_UP),
    jagged(overfit(), 1.6),
    missing(overfit(), "fish1", 30),
    missing(jagged(fit(**WEAK, learning_rate=CONSTANT), 1.6), "fish1", 50),
    fit(epochs=1),
]


CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="module")
def config() -> DictConfig:
    """What `python scripts/train.py` runs with."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("train")


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("augment", ["none", "seed", "strong", "mixed"])
@pytest.mark.parametrize("blocks", [None, 1, 2, 5])
def test_suggestions_are_settings_not_yet_in_force_and_agree(
    blocks: int | None, augment: str, optimizer: str, config: DictConfig
) -> None:
    hard = augment in ("strong", "mixed")
    settings = replace(
        SETTINGS,
        blocks=blocks,
        head=None if blocks is None else "gap" if hard else "flatten",
        dropout=None if blocks is None else 0.5 if hard else 0.0,
        augment=augment,
        mixing=augment == "mixed",
        lr=0.01 if hard else 1e-4,
        weight_decay=0.1 if hard else 0.0,
        label_smoothing=0.1 if hard else 0.0,
        early_stopping=hard,
        optimizer=optimizer,
    )
    in_force = {
        "model.blocks": blocks,
        "model.head": settings.head,
        "model.dropout": settings.dropout,
        "augment": augment,
        "optimizer.lr": settings.lr,
        "optimizer.weight_decay": settings.weight_decay,
        "loss.label_smoothing": settings.label_smoothing,
        "trainer.max_epochs": settings.max_epochs,
        "callbacks.early_stopping.enabled": settings.early_stopping,
    }
    parser = OverridesParser.create()
    for curves in PATIENTS:
        chosen: dict[str, str] = {}
        for verdict in diagnose(curves, settings):
            assert len(verdict.suggestions) <= 3
            for text in verdict.suggestions:
                override = parser.parse_override(text)
                key, value = override.key_or_group, override.value()
                assert OmegaConf.select(config, key, default=None) is not None
                assert key != "augment" or (CONF / f"augment/{value}.yaml").is_file()
                assert isinstance(value, type(in_force[key]))
                assert value != in_force[key]
                assert chosen.setdefault(key, text) == text


def test_strong_augmentation_that_is_not_enough_becomes_mixed() -> None:
    assert first(overfit(), replace(SETTINGS, augment="strong")).suggestions[0] == "augment=mixed"


def test_surer_mistakes_at_the_same_accuracy_call_for_label_smoothing() -> None:
    rising = overfit(val=(0.6, 8))
    falling = replace(rising, val_acc=np.concatenate([rising.val_acc[:20], np.full(40, 0.4)]))
    assert "loss.label_smoothing=0.1" in first(rising).suggestions
    assert "loss.label_smoothing=0.1" not in first(falling).suggestions


def test_sgd_takes_larger_steps_before_they_are_called_too_large() -> None:
    curves = fit(**UNLEARNT, learning_rate=cosine(60, 5e-3))
    settings = replace(SETTINGS, lr=5e-3)
    assert names(curves, settings) == ["learning rate too high"]
    sgd = diagnose(curves, replace(settings, optimizer="sgd"))
    assert [verdict.name for verdict in sgd] == ["underfitting"]
    assert sgd[0].suggestions[0] == "optimizer.lr=0.01"


def test_three_blocks_that_overfit_become_two_and_never_none() -> None:
    strong = replace(SETTINGS, augment="mixed", mixing=True, label_smoothing=0.1)
    assert first(overfit(), strong).suggestions[0] == "model.blocks=2"
    two = first(overfit(), replace(strong, blocks=2)).suggestions
    assert two[0] == "model.dropout=0.5"


def test_an_overfitting_network_loses_a_block_right_after_strong_augmentation_is_tried() -> None:
    for head in ("gap", "flatten"):
        now = replace(SETTINGS, head=head)
        assert first(overfit(), now).suggestions[:2] == ("augment=strong", "model.blocks=2")


def test_a_flatten_head_that_overfits_loses_a_block_before_it_is_replaced() -> None:
    settings = replace(SETTINGS, augment="mixed", label_smoothing=0.1, mixing=True, head="flatten")
    suggestions = first(overfit(), settings).suggestions
    assert suggestions == ("model.blocks=2", "model.head=gap", "model.dropout=0.5")


def test_with_every_remedy_in_use_overfitting_asks_for_images() -> None:
    settings = replace(
        SETTINGS,
        augment="mixed",
        mixing=True,
        label_smoothing=0.1,
        blocks=2,
        dropout=0.5,
        weight_decay=1e-3,
        early_stopping=True,
    )
    verdict = first(overfit(), settings)
    assert verdict.suggestions == ()
    assert verdict.why.endswith("more images.")


def test_the_more_important_of_two_conflicting_suggestions_wins() -> None:
    curves = missing(jagged(fit(**WEAK), 1.6), "fish1", 50)
    verdicts = diagnose(curves, replace(SETTINGS, lr=1e-4))
    assert [verdict.name for verdict in verdicts] == ["unstable", "underfitting", "class ignored"]
    rates = [text for v in verdicts for text in v.suggestions if text.startswith("optimizer.lr")]
    assert rates == ["optimizer.lr=5e-5"]


def test_the_report_carries_the_sentences_and_the_overrides() -> None:
    verdicts = diagnose(missing(overfit(), "fish1", 30), SETTINGS)
    text = report(verdicts)
    assert text.startswith("# Diagnosis\n\n**Overfitting:** training accuracy rose from ")
    assert "**Class ignored:** no validation image of fish1 (0 of 30) was recognised" in text
    assert "- `augment=strong`\n- `model.blocks=2`\n" in text


@pytest.mark.parametrize(
    ("trained_on", "accuracy", "changes", "told"),
    [
        (570, 0.3, {}, True),
        (570, 0.95, {}, False),
        (20_000, 0.3, {}, False),
        (570, 0.3, {"pretrained": True}, False),
        (570, 0.3, {"rendered": True}, False),
    ],
)
def test_few_photographs_and_random_weights_lead_to_the_probe(
    trained_on: int, accuracy: float, changes: dict[str, bool], told: bool
) -> None:
    curves = fit(val=(accuracy, 10), val_loss=(2.2, 10), train_images=trained_on)
    verdicts = diagnose(curves, replace(SETTINGS, **changes))  # type: ignore[arg-type]
    few = [verdict for verdict in verdicts if verdict.name == "few images"]
    assert bool(few) == told
    if told:
        assert verdicts[0] == few[0]
        assert few[0].suggestions == ("experiment=probe",)
        assert "570 training images are few" in few[0].why
        averaged = f"validation accuracy averaged {percent(np.mean(curves.val_acc[-6:]))}"
        assert f"{averaged} over the last 6 epochs. With fewer" in few[0].why
        assert "With fewer than some thousand images, begin with experiment=probe" in few[0].why


def short(val_acc: list[float], kept: int, images: int = 16, **changes: Any) -> Curves:
    """A few epochs of three classes with these accuracies, of which this one is kept."""
    return fit(
        classes=3, epochs=len(val_acc), val_acc=val_acc, images=images, kept_epoch=kept, **changes
    )


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_a_kept_checkpoint_that_guesses_is_called_so_after_few_epochs(epochs: int) -> None:
    verdicts = diagnose(short([0.375] * epochs, epochs), replace(SETTINGS, max_epochs=epochs))
    assert [verdict.name for verdict in verdicts] == ["too short", "checkpoint"]
    why = verdicts[1].why
    assert f"that of epoch {epochs}, whose validation loss is the lowest" in why
    assert "is 37.5% (95% interval 25.2% to 51.6%), on 48 images not distinguishable from " in why
    assert why.endswith("guessing, which gives 33.3%.")
    assert verdicts[0].suggestions == ("trainer.max_epochs=30",)
    assert verdicts[1].suggestions == ()  # it is said already
    assert names(short([0.8] * epochs, epochs)) == ["too short"]


def test_an_early_epoch_that_guesses_is_kept_though_others_know_more() -> None:
    verdict = diagnose(short([0.3, 0.35, 0.6, 0.7], kept=2), replace(SETTINGS, max_epochs=4))[1]
    assert "guessing, which gives 33.3%, and that of epoch 4 was 70.0%" in verdict.why
    assert verdict.why.endswith("The last epoch is kept as well, in last.ckpt: 70.0%.")
    assert verdict.suggestions == ("loss.label_smoothing=0.1",)
    falls_back = diagnose(short([0.3, 0.35, 0.7, 0.4], kept=2), SETTINGS)[1]
    assert "last.ckpt" not in falls_back.why
    # After the last epoch there was no validation.
    curves = short([0.3, 0.35, 0.6, 0.7, nan], kept=2)
    unmeasured = {"val_loss": [1.0, 0.5, 1.0, 1.0, nan], "val_f1": [0.3] * 4 + [nan]}
    verdict = diagnose(replace(curves, **unmeasured), SETTINGS)[1]
    assert "that of epoch 4 was 70.0%" in verdict.why
    assert "last.ckpt" not in verdict.why


def test_a_kept_epoch_that_is_the_lowest_only_since_the_run_went_on_is_called_so() -> None:
    curves = replace(short([0.35, 0.35, 0.35], kept=3), val_loss=[0.5, 0.9, 0.8])
    assert "the lowest since the run went on;" in diagnose(curves, SETTINGS)[1].why
    assert "the lowest;" in diagnose(replace(curves, kept_epoch=1), SETTINGS)[1].why


def test_a_run_that_ended_too_early_is_not_to_be_planned_longer() -> None:
    curves = short([0.35, 0.35], kept=2)
    stopped = diagnose(curves, replace(SETTINGS, max_epochs=20))
    assert [verdict.suggestions for verdict in stopped] == [(), ()]


def test_a_kept_checkpoint_that_is_clearly_worse_than_another_epoch_is_not_fine() -> None:
    accuracy = np.concatenate([np.linspace(0.1, 0.5, 20), np.linspace(0.5, 0.8, 40)])
    curves = fit(val_acc=accuracy, kept_epoch=15)
    verdict = first(curves)
    assert verdict.name == "checkpoint"
    assert "distinguishable" not in verdict.why
    assert verdict.suggestions == ("loss.label_smoothing=0.1", "optimizer.lr=5e-4")
    # Where something is said of how it learns, that is to be tried first.
    *others, verdict = diagnose(curves, replace(SETTINGS, label_smoothing=0.1))
    assert verdict.name == "checkpoint"
    assert verdict.suggestions == ()
    assert any(other.suggestions for other in others)
    # 1000 images tell 0.79 from 0.8 no more than 20 images tell 0.5 from 0.8.
    assert names(replace(curves, kept_epoch=58)) == ["fine"]
    few = replace(curves, val_count=dict.fromkeys(curves.val_count, 1), kept_epoch=20)
    assert names(few) == ["fine"]


@pytest.mark.parametrize("right", [0.5, 0.7, 0.95])
def test_epochs_that_differ_by_noise_alone_are_told_from_each_other_hardly_ever(
    right: float,
) -> None:
    # Half of the images are answered alike in all epochs, each other one as a coin falls.
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(200):
        always = rng.random(20) < right
        answers = np.concatenate([np.tile(always, (60, 1)), rng.random((60, 20)) < right], axis=1)
        curves = fit(classes=2, images=20, val_acc=answers.mean(1), kept_epoch=20, epochs=60)
        told += "more answers were right there" in " ".join(
            v.why for v in diagnose(curves, SETTINGS)
        )
    assert told <= 10


def test_to_name_the_largest_class_always_is_guessing_unless_the_small_ones_are_known() -> None:
    count = {"fish0": 70, "fish1": 20, "fish2": 10}
    curves = short([0.7], 1, val_count=count, val_f1=[0.27])
    why = diagnose(curves, SETTINGS)[1].why
    assert why.endswith("not distinguishable from always answering fish0, which gives 70.0%.")
    assert names(replace(curves, val_f1=[0.6])) == ["too short"]
    assert names(replace(curves, val_acc=[0.85], val_f1=[0.4])) == ["too short"]
    # Of ten classes, two have images: to name the larger gives a macro F1 of 0.47.
    count = dict.fromkeys([f"fish{number}" for number in range(10)], 0) | {"fish0": 90, "fish1": 10}
    of_two = short([0.9], 1, val_count=count, val_recall=dict.fromkeys(count, 0.5), val_f1=[0.47])
    assert "always answering fish0, which gives 90.0%" in diagnose(of_two, SETTINGS)[1].why


def test_a_run_that_has_learnt_nothing_is_not_told_so_twice() -> None:
    curves = fit(**UNLEARNT, learning_rate=cosine(60, 1e-5), kept_epoch=3)
    assert names(curves, replace(SETTINGS, lr=1e-5)) == ["underfitting"]


def test_a_probe_that_guesses_is_called_so() -> None:
    curves = short([0.375], 1)
    verdicts = diagnose(curves, replace(SETTINGS, lr=0.0, max_epochs=1))
    assert [verdict.name for verdict in verdicts] == ["checkpoint", "probe"]
    # More epochs without a learning rate would change nothing.
    assert [verdict.suggestions for verdict in verdicts] == [(), ("experiment=finetune",)]
    assert names(replace(curves, kept_epoch=None), replace(SETTINGS, lr=0.0)) == ["probe"]


def test_epochs_without_validation_are_skipped() -> None:
    curves = short([nan, 0.3, nan, 0.7], kept=2)
    curves = replace(curves, val_loss=[nan, 1.0, nan, 1.2], val_f1=[nan, 0.3, nan, 0.7])
    why = diagnose(curves, SETTINGS)[1].why
    assert "is that of epoch 2, " in why
    assert "that of epoch 4 was 70.0%" in why


def test_more_epochs_are_no_advice_where_early_stopping_has_ended_a_run() -> None:
    curves = fit(train=(0.9, 30), val=(0.85, 25), loss=(0.3, 60), val_loss=(0.5, 10))
    whole = diagnose(curves, replace(SETTINGS, max_epochs=60))[0]
    assert whole.name == "fine"
    assert whole.suggestions == ("trainer.max_epochs=120",)
    stopped = diagnose(curves, replace(SETTINGS, max_epochs=90, early_stopping=True))[0]
    assert stopped.name == "fine"
    assert stopped.suggestions == ()
    assert "longer run" not in stopped.why
