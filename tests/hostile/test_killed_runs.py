"""A run that was killed and started again ends with the same bits as one that was not."""

import functools
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
import torch
from killed import Trainings, assert_equal

from fishcnn.utils.run_folder import RunFolder

Command = Callable[..., Any]

# 27 images in batches of 4: 7 steps an epoch.
SMALL = [
    "data.image_size=16",
    "data.batch_size=4",
    "data.group_duplicates=false",
    "model.blocks=1",
    "model.base_channels=4",
    "model.hidden=8",
    "model.dropout=0.5",
    "trainer.max_epochs=3",
    "trainer.precision=32-true",
]
PLAIN = ["logger=none", "callbacks.grad_cam.enabled=false", "callbacks.train_batch.enabled=false"]
OFTEN = ["trainer.checkpoint_every_n_steps=2"]
EVERY_AUGMENTATION = [
    "augment=strong",
    "augment.shear=5",
    "augment.perspective=0.2",
    "augment.trivial=true",
    "augment.blur=0.5",
    "augment.erasing=0.5",
    "augment.mixup=0.4",
    "augment.cutmix=1.0",
]
RUNS = {
    "plateau, EMA, TensorBoard": ([*OFTEN, "scheduler.patience=0"], 3),
    "cosine, sampler, no EMA": (
        [*PLAIN, *OFTEN, "scheduler=cosine", "data.balance=sampler", "callbacks.ema.enabled=false"],
        3,
    ),
    "onecycle, every augmentation": (
        [*PLAIN, *OFTEN, "scheduler=onecycle", *EVERY_AUGMENTATION],
        3,
    ),
    "accumulated gradients, clipped": (
        [
            *PLAIN,
            "trainer.checkpoint_every_n_steps=1",
            "+trainer.accumulate_grad_batches=3",
            "trainer.gradient_clip_val=1.0",
            "optimizer=sgd",
        ],
        2,
    ),
    "a checkpoint after epochs only, stopped early": (
        [
            *PLAIN,
            "trainer.max_epochs=6",
            "optimizer.lr=0.0",
            "callbacks.early_stopping.patience=2",
            "callbacks.early_stopping.start_epoch=1",
        ],
        2,
    ),
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(
    tiny: list[str], tmp_path: Path, kind: str
) -> None:
    changes, kills = RUNS[kind]
    command = [*tiny, *SMALL, *changes]
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    draw = random.Random(kind)
    with Trainings(tmp_path) as trainings:
        finish = functools.partial(trainings.run, *command, "hydra.run.dir=killed")
        die = functools.partial(finish, counted="steps and checkpoints", signal=SIGKILL)
        assert trainings.run(*command, "hydra.run.dir=whole") == 0, trainings.printed.read_text()
        for _ in range(kills):
            shutil.rmtree(killed.path, ignore_errors=True)
            assert die(nth=draw.randrange(1, 26)) == -SIGKILL
            if draw.random() < 0.5:  # and once more, where that much is left
                assert die(nth=draw.randrange(1, 12)) in (-SIGKILL, 0)
            assert finish() == 0, trainings.printed.read_text()
            assert_equal(whole, killed)


def test_a_deterministic_run_is_trained_with_every_augmentation(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    command = [*tiny, *SMALL, *PLAIN, *EVERY_AUGMENTATION, "trainer.max_epochs=1"]
    for name in ("one", "other"):
        more = ["trainer.deterministic=true", f"hydra.run.dir={name}"]
        finished = train(*command, *more)
        assert finished.status == 0, finished.err
    assert_equal(RunFolder(tmp_path / "one"), RunFolder(tmp_path / "other"))
    torch.use_deterministic_algorithms(False)


def test_a_run_that_may_not_go_on_by_itself_is_refused(tiny: list[str], tmp_path: Path) -> None:
    command = [*tiny, *SMALL, *PLAIN, *OFTEN, "trainer.resume=never", "hydra.run.dir=killed"]
    with Trainings(tmp_path) as trainings:
        assert trainings.run(*command, counted="steps", signal=SIGKILL, nth=7) == -SIGKILL
        assert trainings.run(*command) == 1
    assert "killed holds a run already; choose another folder" in trainings.printed.read_text()
