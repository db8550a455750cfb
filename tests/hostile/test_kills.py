"""Signals, kills, full disks and second starts, at every moment of a training."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import Any

import pytest
from running import table

import fishcnn.commands.train.finish
import fishcnn.commands.train.train
import fishcnn.training.checkpoint_writer
from fishcnn.training.callbacks.history import History
from fishcnn.utils.run_folder import RunFolder

Command = Callable[..., Any]
QUICK = [
    "data.image_size=16",
    "trainer.max_epochs=2",
    "logger=none",
    "callbacks.grad_cam.enabled=false",
    "hydra.run.dir=run",
]


def kill_before(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, number: Signals, nth: int = 1
) -> None:
    """Send a signal to this process before the nth call of a function, which then goes on."""
    whole, calls = getattr(owner, name), 0

    def interrupted(*arguments: Any, **settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), number)
        return whole(*arguments, **settings)

    monkeypatch.setattr(owner, name, interrupted)


def epochs(run: RunFolder) -> list[str]:
    assert json.loads(run.summary.read_text())["epochs"] == len(table(run.metrics))
    assert all((run.figures / f"{name}.png").is_file() for name in ("curves", "confusion_matrix"))
    return [row["epoch"] for row in table(run.metrics)]


MOMENTS = {
    "preparing": (fishcnn.commands.train.train, "data_report", 1, None),
    "first epoch": (History, "on_train_epoch_start", 1, None),
    "first step": (History, "on_train_batch_end", 1, None),
    "first checkpoint": (fishcnn.training.checkpoint_writer.torch, "save", 1, None),
    "second epoch": (History, "on_train_epoch_start", 2, 1),
    "second step": (History, "on_train_batch_end", 6, 1),
    "last checkpoint": (fishcnn.training.checkpoint_writer, "write_bytes", 3, 1),
    "figures": (fishcnn.commands.train.finish, "save_figure", 2, 2),
}


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *[(moment, SIGTERM) for moment in MOMENTS],
        *[(moment, number) for moment in ("first step", "figures") for number in (SIGINT, SIGHUP)],
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
    assert line.startswith(f"stopped by {number.name}")
    assert said in line
    command = shlex.split(line.partition(": " if kept is None else "to go on: ")[2])
    assert command[2:] == [*tiny, *QUICK]
    if moment not in ("first checkpoint", "second step", "figures") or number != SIGTERM:
        return  # the others are no different
    assert train(*command[2:]).status == 0
    assert epochs(RunFolder(tmp_path / "run")) == ["1", "2"]
