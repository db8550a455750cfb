"""Signals, kills, full disks and second starts, at every moment of a training."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from killed import kill_before
from omegaconf import OmegaConf
from running import SCRIPTS, table

import fishcnn.commands.evaluate.evaluate
import fishcnn.commands.explain.explain
import fishcnn.commands.export.export
import fishcnn.commands.inspect_data
import fishcnn.commands.predict.predict
import fishcnn.commands.train.finish
import fishcnn.commands.train.train
import fishcnn.training.checkpoint_writer
from fishcnn.training.callbacks.history import History
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder

Command = Callable[..., Any]
FAST = ["logger=none", "callbacks.grad_cam.enabled=false"]
QUICK = ["data.image_size=16", "trainer.max_epochs=2", *FAST, "hydra.run.dir=run"]


def epochs(run: RunFolder) -> list[str]:
    assert json.loads(run.summary.read_text())["epochs"] == len(table(run.metrics))
    assert all((run.figures / f"{name}.png").is_file() for name in ("curves", "confusion_matrix"))
    return [row["epoch"] for row in table(run.metrics)]


WORDS = {SIGINT: "Ctrl-C", SIGTERM: "SIGTERM (kill)", SIGHUP: "SIGHUP (its terminal was closed)"}
MOMENTS = {
    "preparing": (fishcnn.commands.train.train, "data_report", 1, None),
    "first step": (History, "on_train_batch_end", 1, None),
    "first checkpoint": (fishcnn.training.checkpoint_writer.torch, "save", 1, None),
    "second step": (History, "on_train_batch_end", 6, 1),
    "last checkpoint": (fishcnn.training.checkpoint_writer, "write_bytes", 3, 1),
    "figures": (fishcnn.commands.train.finish, "save_figure", 2, 2),
}


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *[(moment, SIGTERM) for moment in MOMENTS],
        *[("first step", number) for number in (SIGINT, SIGHUP)],
    ],
)
def test_a_signal_ends_a_training_with_its_status_and_the_same_command_goes_on(
    train: Command,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    number: Signals,
) -> None:
    owner, name, nth, kept = MOMENTS[moment]
    with monkeypatch.context() as patch:
        kill_before(patch, owner, name, number, nth)
        finished = train(*tiny, *QUICK)
    assert finished.status == 128 + number
    assert "Traceback" not in finished.out + finished.err
    (line,) = (line for line in finished.err.splitlines() if line)
    said = "before the end of the first epoch" if kept is None else f"kept: epoch {kept} of 2 in "
    assert line.startswith(f"stopped by {WORDS[number]}")
    assert said in line
    assert (tmp_path / "run").exists() == (kept is not None)
    command = shlex.split(line.partition(": " if kept is None else "to go on: ")[2])
    assert command[2:] == [*tiny, *QUICK]
    if moment not in ("second step", "figures"):
        return  # the others are no different
    assert train(*command[2:]).status == 0
    assert epochs(RunFolder(tmp_path / "run")) == ["1", "2"]


def test_what_was_kept_is_told_where_the_run_lies_behind_a_link(
    train: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    kill_before(monkeypatch, *MOMENTS["second step"][:2], SIGTERM, 6)
    finished = train(*tiny, *QUICK[:-1], "hydra.run.dir=link/run")
    assert f"; kept: epoch 1 of 2 in {tmp_path}/link/run/checkpoints/last.ckpt; " in finished.err


def typed(run: RunFolder) -> list[str]:
    """What was typed for a run."""
    return [*OmegaConf.load(run.overrides), f"hydra.run.dir={run.path}"]


def before_the_figures(run: RunFolder) -> None:
    run.summary.unlink()
    shutil.rmtree(run.figures)


def within_the_figures(run: RunFolder) -> None:
    run.summary.unlink()
    (run.figures / "curves.png").unlink()


def within_the_first_checkpoint(run: RunFolder) -> None:
    before_the_figures(run)
    run.last_checkpoint.unlink()
    run.best_checkpoint.rename(run.best_checkpoint.with_name(".unfinished-best.ckpt"))
    run.metrics.unlink()


def within_the_first_checkpoint_long_ago(run: RunFolder) -> None:
    """As Lightning's own writer left it: half a file under the final name."""
    within_the_first_checkpoint(run)
    run.last_checkpoint.write_bytes(b"PK\x03\x04 half a file")


def before_the_last_checkpoint(run: RunFolder) -> None:
    before_the_figures(run)
    run.last_checkpoint.unlink()


@pytest.mark.parametrize(
    ("killed", "more"),
    [
        (before_the_figures, []),
        (before_the_figures, ["ckpt_path=runs/first"]),
        (within_the_figures, []),
        (within_the_first_checkpoint, ["ckpt_path=last", *FAST]),
        (within_the_first_checkpoint_long_ago, FAST),
        (before_the_last_checkpoint, []),
    ],
)
def test_a_killed_run_is_finished_by_the_same_command(
    train: Command,
    trained: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    killed: Callable[[RunFolder], None],
    more: list[str],
) -> None:
    monkeypatch.chdir(trained.path.parents[1])
    before, diagnosis = table(trained.metrics), trained.diagnosis.read_text()
    confusion = (trained.figures / "confusion_matrix.png").read_bytes()
    killed(trained)
    finished = train(*typed(trained), *more)
    assert finished.status == 0, finished.err
    assert epochs(trained) == ["1", "2", "3", "4"]
    if killed in (before_the_figures, within_the_figures):
        assert table(trained.metrics) == before
        assert trained.diagnosis.read_text() == diagnosis
        assert (trained.figures / "confusion_matrix.png").read_bytes() == confusion


def test_a_run_that_was_killed_before_its_figures_is_finished_in_another_folder(
    train: Command, trained: RunFolder
) -> None:
    before = table(trained.metrics)
    before_the_figures(trained)
    finished = train(*typed(trained), "ckpt_path=last", "hydra.run.dir=runs/second")
    assert finished.status == 0, finished.err
    second = RunFolder(trained.path.with_name("second"))
    assert table(second.metrics) == before
    assert epochs(second) == ["1", "2", "3", "4"]
    assert second.last_checkpoint.read_bytes() == trained.last_checkpoint.read_bytes()


def test_a_later_run_that_was_killed_before_its_first_checkpoint_hides_no_other(
    train: Command, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*typed(trained), *FAST, "ckpt_path=last", "trainer.max_epochs=5"]
    second = RunFolder(trained.path.with_name("second"))
    second.path.mkdir()  # or it would go again
    with monkeypatch.context() as patch:
        kill_before(patch, History, "on_train_batch_end", SIGTERM)
        killed = train(*command, "hydra.run.dir=runs/second")
    assert second.versions.is_file()
    assert second.best_checkpoint.is_file()  # a copy
    assert not second.last_checkpoint.exists()
    later = RunFolder(trained.path.with_name("later"))
    later.path.mkdir()
    later.versions.write_text("{}")
    finished = train(*shlex.split(killed.err.partition("to begin again: ")[2])[2:])
    assert finished.status == 0, finished.err
    assert epochs(second) == ["1", "2", "3", "4", "5"]
    assert table(second.metrics)[:4] == table(trained.metrics)
    seconds = [float(row["seconds"]) for row in table(second.metrics)]
    assert json.loads(second.summary.read_text())["seconds"] > sum(seconds)


@pytest.mark.parametrize("named", ["runs/first", "last"])
@pytest.mark.parametrize("damaged", [("last", "best"), ("best",)])
def test_a_run_whose_checkpoints_are_damaged_does_not_begin_again(
    train: Command, trained: RunFolder, named: str, damaged: tuple[str, ...]
) -> None:
    before_the_figures(trained)
    shutil.rmtree(trained.checkpoints)
    trained.checkpoints.mkdir()
    for name in damaged:
        (trained.checkpoints / f"{name}.ckpt").write_bytes(b"PK\x03\x04 half a file")
    finished = train(*typed(trained), f"ckpt_path={named}")
    assert finished.status == 1
    assert f"error: ckpt_path={trained.checkpoints / damaged[0]}.ckpt is damaged" in finished.err
    assert not trained.summary.exists()


def test_a_run_without_a_checkpoint_is_not_begun_again_in_another_folder(
    train: Command, trained: RunFolder
) -> None:
    within_the_first_checkpoint(trained)
    finished = train(*typed(trained), "ckpt_path=runs/first", "hydra.run.dir=runs/second")
    assert finished.status == 1
    assert "error: ckpt_path=runs/first: holds no checkpoint; name a checkpoint" in finished.err


@pytest.mark.parametrize("change", ["model.blocks=1", "seed=1"])
def test_another_command_does_not_go_on_with_a_killed_run(
    train: Command, trained: RunFolder, change: str
) -> None:
    before_the_figures(trained)
    finished = train(*typed(trained), change)
    assert finished.status == 1
    assert "holds a run already" in finished.err


def test_a_run_that_early_stopping_has_ended_is_not_trained_further(
    train: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["optimizer=sgd", "optimizer.lr=0.0", "callbacks.ema.enabled=false"]
    settings += ["callbacks.early_stopping.patience=1", "callbacks.early_stopping.start_epoch=1"]
    command = [*tiny, *QUICK, *settings, "trainer.max_epochs=30"]
    with monkeypatch.context() as patch:
        kill_before(patch, fishcnn.commands.train.finish, "save_figure", SIGTERM)
        assert train(*command).status == 143
    run = RunFolder(tmp_path / "run")
    trained = len(table(run.metrics))
    assert trained < 30
    assert train(*command).status == 0
    assert len(epochs(run)) == trained


def test_a_stopped_sweep_goes_on_with_what_is_left(
    train: Command, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = ["-m", *tiny, *QUICK[:-1], "trainer.max_epochs=1", "seed=0,1,2"]
    with monkeypatch.context() as patch:
        kill_before(patch, History, "on_train_epoch_start", SIGTERM, 2)
        finished = train(*sweep)
    assert finished.status == 143
    assert finished.err.count("\n") == 1
    (command,) = shlex.split(finished.err.partition("to begin again: ")[2])[2:]
    setting, _, path = command.partition("=")
    assert setting == "sweep.resume"
    folder = Path(path)
    # In the second one no step was done.
    assert [(folder / job).exists() for job in "012"] == [True, False, False]
    again = train(command)
    assert again.status == 0, again.err
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert [job["best_epoch"] for job in jobs] == [1, 1, 1]


def test_two_trainings_into_one_folder_do_not_meet(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        finished = train(*tiny, *QUICK)
    assert finished.status == 1
    assert f"{tmp_path}/run is being written to by process {os.getpid()} on " in finished.err
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize(
    ("logger", "free"), [("none", 0), ("none", 30_000), ("tensorboard", 20_000)]
)
def test_a_full_disk_is_told_in_one_message(
    train: Command,
    tiny: list[str],
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    logger: str,
    free: int,
) -> None:
    def fill(*_: object) -> None:
        left = shutil.disk_usage(small_disk).free
        (small_disk / "other.bin").write_bytes(bytes(max(0, left - free)))

    if free:  # when the training begins, by something else
        monkeypatch.setattr(History, "on_fit_start", fill, raising=False)
    else:
        fill()
    command = [*tiny, *QUICK[:-1], "model.blocks=1", f"hydra.run.dir={small_disk / 'run'}"]
    finished = train(*command, f"logger={logger}")
    assert finished.status == 1
    assert finished.err.count("\n") == 1, finished.err
    for part in ("error: cannot write ", f"the disk of {small_disk}", "is full", " MB free"):
        assert part in finished.err
    assert not list(small_disk.rglob("*.ckpt"))
    assert not list(small_disk.rglob(".unfinished-*"))
    (small_disk / "other.bin").unlink()


def test_a_disk_that_fills_up_leaves_the_checkpoints_that_were_there(
    train: Command, tiny: list[str], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(small_disk / "run")
    whole = History.on_train_epoch_start

    def fill(self: History, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            with suppress(OSError), (small_disk / "other.bin").open("wb") as file:
                file.write(bytes(2_000_000))
        whole(self, trainer, module)

    command = [*tiny, *QUICK[:-1], "model.blocks=1", f"hydra.run.dir={run.path}"]
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_epoch_start", fill)
        finished = train(*command)
    assert finished.status == 1
    assert "is full" in finished.err
    assert "Traceback" not in finished.out + finished.err
    for file in (run.best_checkpoint, run.last_checkpoint):
        assert torch.load(file, weights_only=True)["epoch"] == 0
    (small_disk / "other.bin").unlink()
    assert train(*command).status == 0
    assert epochs(run) == ["1", "2"]


def test_a_folder_that_cannot_be_made_is_told_in_one_message(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/run"):
        finished = train(*tiny, f"hydra.run.dir={folder}")
        assert finished.status == 1
        assert finished.err.startswith("error: cannot write ")
        assert finished.err.count("\n") == 1


# Runs the script of its arguments, and is killed within the write of its second last.ckpt.
KILLED = """
import os, runpy, signal, sys
from pathlib import Path
whole, written = Path.write_bytes, []
def write_bytes(self, content):
    if "last.ckpt" in self.name:
        written.append(self)
        if len(written) == 2:
            whole(self, bytes(content)[:1000])
            os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, content)
Path.write_bytes = write_bytes
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_kill_within_the_write_costs_one_epoch_and_leaves_nothing_behind(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    # Another file system than that of the run, as on clusters.
    temporary = Path(tempfile.mkdtemp(dir="/dev/shm"))
    run, script = RunFolder(tmp_path / "run"), str(SCRIPTS / "train.py")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, script, *tiny, *QUICK],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(SCRIPTS.parent)},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert killed.returncode == -SIGKILL, killed.stderr
    assert torch.load(run.last_checkpoint, weights_only=True)["epoch"] == 0
    assert list(temporary.iterdir()) == []
    temporary.rmdir()
    assert train(*tiny, *QUICK).status == 0
    assert epochs(run) == ["1", "2"]
    assert {file.name for file in run.checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_training_needs_no_temporary_folder(
    train: Command, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/nowhere")
        finished = train(*tiny, "trainer.max_epochs=1")
    assert finished.status == 0, finished.err


COMMANDS = {
    "predict": (fishcnn.commands.predict.predict, "load_trained"),
    "evaluate": (fishcnn.commands.evaluate.evaluate, "load_trained"),
    "explain": (fishcnn.commands.explain.explain, "load_trained"),
    "export": (fishcnn.commands.export.export, "load_trained"),
    "inspect_data": (fishcnn.commands.inspect_data, "build_datamodule"),
}


@pytest.mark.parametrize(
    ("name", "number"),
    [*[(name, SIGTERM) for name in COMMANDS], ("evaluate", SIGINT), ("evaluate", SIGHUP)],
)
def test_a_signal_ends_every_command_with_its_status(
    script: Command,
    trained: RunFolder,
    fish: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    number: Signals,
) -> None:
    settings = (
        ["data=folder", f"data.root={fish}"] if name == "inspect_data" else [f"ckpt={trained.path}"]
    )
    kill_before(monkeypatch, *COMMANDS[name], number)
    finished = script(name, *settings)
    assert finished.status == 128 + number
    assert finished.err.startswith(f"stopped by {WORDS[number]}; nothing was written")
    assert ("; to begin again: " in finished.err) == (name != "inspect_data")
    assert finished.err.count("\n") == 1


def test_a_finished_run_is_left_as_it_is_by_its_own_command(
    train: Command, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch system may queue again what has just ended."""
    monkeypatch.chdir(trained.path.parents[1])
    before = {path: path.stat().st_mtime_ns for path in trained.checkpoints.iterdir()}
    finished = train(*typed(trained))
    assert finished.status == 0, finished.err
    (command,) = re.findall("is finished already; to train it further: (.*)", finished.out)
    more = [f"ckpt_path={trained.path}", "trainer.max_epochs=8"]
    assert shlex.split(command)[1:] == [str(SCRIPTS / "train.py"), *more]
    assert {path: path.stat().st_mtime_ns for path in trained.checkpoints.iterdir()} == before
