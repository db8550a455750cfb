"""Whole searches through the command line."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import pytest
import torch
import yaml
from killed import kill_before
from omegaconf import OmegaConf
from running import SCRIPTS, table

import fishcnn.commands.train.train
import fishcnn.commands.tune.trials
import fishcnn.commands.tune.tune
from fishcnn.commands.run_state import RunState, read_state
from fishcnn.commands.tune.space import Choice
from fishcnn.commands.tune.study import Search
from fishcnn.training.callbacks.history import History
from fishcnn.utils.run_folder import JOURNAL, TUNED, RunFolder

pytest.importorskip("optuna", reason="needs optuna: pip install -e '.[tune]'")

Command = Callable[..., Any]
RATES = ("search=none", "search.optimizer.lr=[2e-3,1e-9]")
FAST = ["logger=none", "callbacks.grad_cam.enabled=false", "callbacks.train_batch.enabled=false"]


@pytest.fixture
def tune(script: Command, tiny: list[str]) -> Command:
    """Search on the rendered pictures, one of two learning rates if nothing else is said."""

    def run(*settings: str, space: tuple[str, ...] = RATES) -> Any:
        return script("tune", *tiny, *FAST, "tune.study=study", *space, *settings)

    return run


def states(folder: Path) -> list[str]:
    """How the trials of a study have ended."""
    space = (Choice("optimizer.lr", (2e-3, 1e-9)),)
    search = Search(folder, space, wanted=1, random_trials=1, seed=0, pruning=None)
    return [trial.state.name for trial in search.study.trials]


def test_a_search_ends_with_settings_that_a_training_takes(
    tune: Command, train: Command, script: Command, tiny: list[str], tmp_path: Path
) -> None:
    space = ("~search.model.blocks", "~search.data.batch_size", "search.model.dropout.high=0.3")
    finished = tune("tune.trials=3", "model.base_channels=8", space=space)
    assert finished.status == 0, finished.err
    study = tmp_path / "study"
    for part in ("trial 002", "3 trials finished, 0 pruned; wanted: 3", "best settings: "):
        assert part in finished.out
    assert "Traceback" not in finished.out + finished.err
    runs = [RunFolder(study / name) for name in ("000", "001", "002")]
    losses = [json.loads(run.summary.read_text())["val_loss"] for run in runs]
    assert {file.stem for file in (study / "figures").iterdir()} == {
        "history",
        "parallel_coordinates",
    }
    # The first one is trained as if nothing were varied, but for what cannot be drawn.
    first = OmegaConf.load(runs[0].config)
    assert (first.model.blocks, first.optimizer.lr, first.optimizer.weight_decay) == (2, 2e-3, 1e-6)
    # Chosen by images of the training split.
    outer = [*tiny, "trainer.max_epochs=1", "logger=none", "callbacks.grad_cam.enabled=false"]
    command = shlex.split(finished.out.strip().splitlines()[-1])
    assert command[:2] == [sys.executable, str(SCRIPTS / "train.py")]
    assert command[2:] == [f"experiment={study / TUNED}"]
    again = train(*command[2:], *outer, "hydra.run.dir=run")
    assert again.status == 0, again.err
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    for run in runs:
        inner = json.loads(run.split.read_text())
        assert inner["test"] == split["val"]
        assert sorted(inner["train"] + inner["val"]) == split["train"]
    best = OmegaConf.load(runs[losses.index(min(losses))].config)
    trained = OmegaConf.load(tmp_path / "run" / "config.yaml")
    for group in ("augment", "optimizer", "scheduler", "loss"):
        assert trained[group] == best[group]
    assert trained.model.base_channels == best.model.base_channels == 8
    # A trial is a run like any other.
    evaluated = script("evaluate", "ckpt=study/001", "split=test")
    assert evaluated.status == 0, evaluated.err
    more = train("ckpt_path=study/001", "trainer.max_epochs=3", "hydra.run.dir=more")
    assert more.status == 0, more.err
    assert len(table(RunFolder(tmp_path / "more").metrics)) == 3


@pytest.mark.parametrize("worse", ["1e-9", "900"])
def test_a_trial_that_others_do_better_than_is_pruned_and_keeps_its_checkpoint(
    tune: Command, tmp_path: Path, worse: str
) -> None:
    """One that learns nothing, and one that diverges."""
    pruning = ["tune.pruning.trials=1", "tune.pruning.epochs=1", "trainer.max_epochs=3"]
    fast = ["callbacks.ema.enabled=false", "tune.random_trials=9"]
    space = ("search=none", f"search.optimizer.lr=[2e-3,{worse}]")
    finished = tune(*pruning, *fast, "tune.trials=4", space=space)
    assert finished.status == 0, finished.err
    assert "Traceback" not in finished.out + finished.err
    pruned = 0
    for number in range(4):
        run = RunFolder(tmp_path / "study" / f"{number:03}")
        good = OmegaConf.load(run.config).optimizer.lr == 2e-3
        assert good or number > 0
        assert (read_state(run) == RunState.PRUNED) == (not good)
        assert (len(table(run.metrics)) == 3) == good
        assert torch.load(run.last_checkpoint, weights_only=True)["epoch"] < 2 + good
        assert run.summary.is_file()
        pruned += not good
    assert pruned > 0
    assert f", {pruned} pruned; wanted: 4" in finished.out
    assert states(tmp_path / "study").count("PRUNED") == pruned


def test_a_trial_that_is_killed_after_it_was_pruned_stays_pruned(
    tune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fishcnn.commands.train.train.finish_run

    def interrupted(*arguments: Any) -> Any:
        if read_state(arguments[4]) == RunState.PRUNED:
            os.kill(os.getpid(), SIGTERM)
        return whole(*arguments)

    pruning = ["tune.pruning.trials=1", "tune.pruning.epochs=1", "tune.random_trials=9"]
    command = [*pruning, "trainer.max_epochs=2", "tune.trials=4"]
    with monkeypatch.context() as patch:
        patch.setattr(fishcnn.commands.train.train, "finish_run", interrupted)
        assert tune(*command).status == 143
    runs = [RunFolder(folder) for folder in sorted((tmp_path / "study").glob("[0-9]*"))]
    assert read_state(runs[-1]) == RunState.PRUNED
    assert not runs[-1].summary.exists()
    finished = tune(*command)
    assert finished.status == 0, finished.err
    assert "  pruned already\n" in finished.out
    assert read_state(runs[-1]) == RunState.PRUNED
    assert len(table(runs[-1].metrics)) == 1
    ended = states(tmp_path / "study")
    assert (ended.count("FAIL"), ended.count("COMPLETE") + ended.count("PRUNED")) == (1, 4)


def test_a_stopped_search_goes_on_by_the_same_command(
    tune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # Within the second epoch of the second trial.
        kill_before(patch, History, "on_train_epoch_start", SIGTERM, 4)
        stopped = tune("tune.trials=2")
    assert stopped.status == 143
    assert "Traceback" not in stopped.out + stopped.err
    assert stopped.err.startswith("stopped by SIGTERM (kill)")
    words = shlex.split(stopped.err.strip().partition("to go on: ")[2])
    assert words[1].endswith("tune.py")
    assert words[2:] == [f"tune.study={tmp_path / 'study'}"]
    # Given back at once, and not when somebody finds out.
    assert states(tmp_path / "study") == ["COMPLETE", "FAIL", "WAITING"]
    finished = tune("tune.trials=2")
    assert finished.status == 0, finished.err
    assert "2 trials finished, 0 pruned; wanted: 2" in finished.out
    second = RunFolder(tmp_path / "study" / "001")
    assert "Going on after epoch 1" in second.printed.read_text()
    assert [row["epoch"] for row in table(second.metrics)] == ["1", "2"]
    assert not (tmp_path / "study" / "002").exists()
    figure = tmp_path / "study" / "figures" / "history.png"
    figure.unlink()
    again = tune("tune.trials=2")
    assert again.status == 0, again.err
    assert "2 trials done already; raise tune.trials=2 for more" in again.out
    assert figure.is_file()
    other = tune("tune.trials=3", "model.base_channels=8")
    assert other.status == 1
    assert "model.base_channels=8 (24 in that study)" in other.err


def test_a_search_goes_on_by_its_folder_alone(
    script: Command, tiny: list[str], tmp_path: Path, fish: Path
) -> None:
    """From any folder; a setting that is typed again has to be the same."""
    images = ["data=folder", f"data.root={os.path.relpath(fish / 'pictures', tmp_path)}"]
    small = [word for word in tiny[3:] if not word.startswith("trainer.max_epochs")]
    space = ["search.optimizer.lr=[2e-3,1e-3]", "~search.model.blocks", "~search.data.batch_size"]
    typed = [*images, *small, *FAST, *space, "trainer.max_epochs=1", "tune.trials=1"]
    begun = script("tune", *typed, "tune.study=study")
    assert begun.status == 0, begun.err
    assert "own settings" not in begun.out
    os.chdir(tmp_path / "cache")
    folder = f"tune.study={tmp_path / 'study'}"
    alone = script("tune", folder)
    assert alone.status == 0, alone.err
    said = f"search: {tmp_path}/study\nit was begun before and goes on under its own settings\n"
    assert alone.out.startswith(f"{said}1 trial done already; raise tune.trials=1 for more\n")
    same = ["search.optimizer.lr=[2e-3,1e-3]", "model.hidden=16", "data=folder"]
    more = script("tune", folder, "tune.trials=2", *same)
    assert more.status == 0, more.err
    assert "2 trials finished, 0 pruned; wanted: 2" in more.out
    trials = [OmegaConf.load(tmp_path / "study" / name / "config.yaml") for name in ("000", "001")]
    for group in ("data", "trainer", "callbacks"):
        assert trials[0][group] == trials[1][group]
    alone = script("tune", folder)
    assert "2 trials done already; raise tune.trials=2 for more\n" in alone.out
    for setting, message in (
        ("model.hidden=8", "model.hidden=8 (16 in that study)"),
        ("data=synthetic", "data.name=synthetic (folder in that study)"),
        (str(fish / "masks"), f"data.root={fish}/masks ({tmp_path}/../"),
        ("search.optimizer.lr=[2e-3,3e-3]", "search.optimizer.lr=[0.002, 0.003] ([0.002, 0.001]"),
    ):
        other = script("tune", folder, setting)
        assert other.status == 1
        assert message in other.err
    assert not (tmp_path / "study" / "002").exists()


def test_a_failed_trial_does_not_end_a_search(
    tune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = fishcnn.commands.tune.trials.train, 0

    def fails(*arguments: Any) -> float:
        nonlocal calls
        calls += 1
        if calls in (1, 3, 4, 5):
            raise RuntimeError("out of memory\nand more")
        return whole(*arguments)

    monkeypatch.setattr(fishcnn.commands.tune.trials, "train", fails)
    finished = tune("tune.trials=1", "trainer.max_epochs=1")
    assert finished.status == 0, finished.err
    assert "failed: out of memory; see " in finished.out
    assert "1 trial finished, 0 pruned, 1 failed; wanted: 1" in finished.out
    assert "and more" in (tmp_path / "study" / "000" / "printed.txt").read_text()
    finished = tune("tune.trials=9", "trainer.max_epochs=1")
    assert finished.status == 1
    assert "error: 3 trials in a row have failed, the last one: out of memory; see" in finished.err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("optimizer.lr=0.1", "optimizer.lr=0.1: the search varies optimizer.lr; leave this out"),
        ("-m", "tune is no sweep: leave out -m"),
        ("tune.output=here", "tune.output=here: name a file that ends in .yaml"),
        ("tune.output=no/where.yaml", "is not a folder that you may write to"),
        ("tune.trials=0", "tune.trials=0: must be a whole number, 1 or more"),
        ("tune.trial=3", "tune.trial: no such setting; did you mean tune.trials?"),
        ("search.model.block=[1,2]", "there is no setting model.block of model=cnn; did you mean"),
        ("search.model.blocks.low=9", "search.model.blocks has no high: add"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(
    tune: Command, tmp_path: Path, typed: str, message: str
) -> None:
    finished = tune(typed)
    assert finished.status == 1
    assert message in finished.err
    assert not (tmp_path / "study").exists()


def test_the_help_has_the_settings_of_a_training_too(script: Command) -> None:
    finished = script("tune", "--help")
    assert finished.status == 0, finished.err
    for part in (
        "  # In all, finished and pruned, by all processes together.",
        "  trials: 40",
        "  # Share of each class that is held out for validation.",
        "    blocks:\n      low: 2",
    ):
        assert part in finished.out


def test_a_search_of_nothing_is_refused(tune: Command) -> None:
    finished = tune(space=("search=none",))
    assert finished.status == 1
    assert "error: search: nothing is left to vary; add search.optimizer.lr=" in finished.err


def test_without_optuna_it_says_what_to_install(
    tune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fishcnn.commands.tune.tune, "find_spec", lambda name: None)
    finished = tune()
    assert finished.status == 1
    assert finished.err.endswith('which is not installed: pip install -e ".[tune]"\n')


@pytest.mark.slow
def test_two_processes_share_a_search_and_one_is_killed(
    tune: Command, tiny: list[str], tmp_path: Path
) -> None:
    typed = [*tiny, *FAST, "tune.study=study", *RATES, "trainer.max_epochs=8", "tune.trials=3"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS.parent)}
    killed = subprocess.Popen(
        [sys.executable, str(SCRIPTS / "tune.py"), *typed],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    first = RunFolder(tmp_path / "study" / "000")
    while not first.last_checkpoint.is_file():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(SIGSTOP)  # as one on a busy machine: slow, not dead
    joined = tune("tune.trials=2", "trainer.max_epochs=8")
    assert joined.status == 0, joined.err
    assert "1 trial finished, 0 pruned, 1 still running; wanted: 2" in joined.out
    killed.send_signal(SIGKILL)
    killed.communicate()
    assert not first.summary.exists()
    finished = tune("tune.trials=3", "trainer.max_epochs=8")
    assert finished.status == 0, finished.err
    assert "3 trials finished, 0 pruned; wanted: 3" in finished.out
    assert "Going on after epoch" in first.printed.read_text()
    assert len(table(first.metrics)) == 8


def test_a_full_disk_ends_a_search_that_goes_on_when_there_is_room(
    tune: Command, small_disk: Path
) -> None:
    (small_disk / "other").write_bytes(bytes(700_000))
    folder = f"tune.study={small_disk / 'study'}"
    finished = tune("tune.trials=1", folder)
    assert finished.status == 1
    assert "is full" in finished.err or "too full" in finished.err
    assert "Traceback" not in finished.err
    (small_disk / "other").unlink()
    finished = tune("tune.trials=1", folder)
    assert finished.status == 0, finished.err
    assert "1 trial finished" in finished.out


def test_the_best_settings_bring_what_was_typed_for_the_search(
    script: Command, train: Command, tiny: list[str], tmp_path: Path, fish: Path
) -> None:
    """From any folder, but for what is typed beside them."""
    shutil.copytree(fish / "pictures", tmp_path / "my images")
    small = [word for word in tiny if not word.startswith(("data=", "data.root=", "data.masks"))]
    typed = ["my images", "data.val_fraction=0.4", "model=torchvision", "tune.trials=1", "seed=3"]
    space = ["search=none", "search.optimizer.lr=[2e-3,1e-3]", "tune.study=study"]
    small = [word for word in small if not word.startswith(("model.", "trainer.max_epochs"))]
    finished = script("tune", *typed, *small, *FAST, *space, "trainer.max_epochs=1")
    assert finished.status == 0, finished.err
    *_, said, command = finished.out.strip().splitlines()
    assert said == (
        "Train with the best settings and trainer.max_epochs=1, as the trials had, on all training "
        "images:"
    )
    assert command.endswith(f" experiment={tmp_path}/study/tuned.yaml")
    content = yaml.safe_load((tmp_path / "study" / TUNED).read_text())
    assert content == {
        "defaults": [{"override /data": "folder"}, {"override /model": "torchvision"}],
        "data": {
            **{"val_fraction": 0.4, "image_size": 32, "batch_size": 8},
            "root": str(tmp_path / "my images"),
        },
        "seed": 3,
        "trainer": {"max_epochs": 1},
        "optimizer": {"lr": 2e-3},
    }
    trial, more = OmegaConf.load(tmp_path / "study" / "000" / "config.yaml"), [*FAST, tiny[-1]]
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    again = train("experiment=../study/tuned.yaml", *more, "hydra.run.dir=run")
    assert again.status == 0, again.err
    trained = OmegaConf.load("run/config.yaml")
    assert not trained.data.inner_split
    trained.data.inner_split = True
    trained.trainer.accelerator = trial.trainer.accelerator
    for group in ("data", "model", "optimizer", "trainer", "seed"):
        assert trained[group] == trial[group]
    typed = ["../my images/", "data.val_fraction=0.2", "model=cnn", "model.blocks=1"]
    other = train(*typed, "experiment=../study/tuned.yaml", *more, "hydra.run.dir=other")
    assert other.status == 0, other.err
    trained = OmegaConf.load("other/config.yaml")
    assert (trained.data.val_fraction, trained.data.image_size) == (0.2, 32)
    assert (trained.model.name, trained.model.blocks) == ("cnn", 1)


def test_the_end_says_what_the_accuracy_of_the_best_is_worth(tune: Command, tmp_path: Path) -> None:
    nothing = ("search=none", "search.optimizer.lr=[1e-9,2e-9]")
    finished = tune("tune.trials=2", "trainer.max_epochs=1", space=nothing)
    assert finished.status == 0, finished.err
    study = tmp_path / "study"
    summaries = [json.loads((study / name / "summary.json").read_text()) for name in ("000", "001")]
    best = min((0, 1), key=lambda number: summaries[number]["val_loss"])
    share, images = summaries[best]["val_acc"], summaries[best]["val_pictures"]
    assert f"\nTrial 00{best} has {100 * share:.1f}% (95% interval " in finished.out
    assert (
        f") on {images} images, by which it was chosen among 2 finished trials: that flatters it, "
        "so expect less on others.\n"
        "Always naming the commonest class is right for 33.3% of the validation images; the "
        "interval reaches down to that share. What was found may be no better than that.\n"
    ) in finished.out
    shutil.rmtree(study / f"00{best}")
    again = tune("tune.trials=2", "trainer.max_epochs=1", space=nothing)
    assert again.status == 0, again.err
    assert "flatters" not in again.out


def test_the_best_settings_can_be_written_where_hydra_looks(tune: Command, tmp_path: Path) -> None:
    finished = tune("tune.trials=1", "trainer.max_epochs=1", f"tune.output={tmp_path}/mine.yaml")
    assert finished.status == 0, finished.err
    content = yaml.safe_load((tmp_path / "mine.yaml").read_text())
    assert content["optimizer"] == {"lr": 2e-3}
    assert not (tmp_path / "study" / TUNED).exists()
    assert (tmp_path / "study" / JOURNAL).is_file()
