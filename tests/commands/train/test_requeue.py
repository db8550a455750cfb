import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from killed import assert_equal, kill_before

from fishcnn.training.callbacks.history import History
from fishcnn.utils.run_folder import RunFolder

Command = Callable[..., Any]
SMALL = ["data.image_size=16", "model.blocks=1", "logger=none", "callbacks.grad_cam.enabled=false"]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A job of SLURM's; returns the file in which its ``scontrol`` notes what it is asked for."""
    asked, programs = tmp_path / "asked.txt", tmp_path / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    (programs / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    job = {"JOB_ID": "71", "JOB_NAME": "fish", "NTASKS": "1", "PROCID": "0", "LOCALID": "0"}
    for name, value in {**job, "NODEID": "0", "NODELIST": "localhost"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    before = signal.getsignal(signal.SIGUSR1)
    yield asked
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.filterwarnings("ignore:.*srun")
def test_a_job_that_loses_its_machine_is_queued_again_and_goes_on(
    train: Command, tiny: list[str], tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*tiny, *SMALL, "hydra.run.dir=run"]
    moments = (
        ("on_train_batch_end", 2, "step 2, in epoch 1"),
        ("on_train_epoch_end", 1, "epoch 1"),
        ("on_train_batch_end", 3, "step 7, in epoch 2"),
    )
    for number, (name, nth, kept) in enumerate(moments, 1):
        with monkeypatch.context() as patch:
            kill_before(patch, History, name, signal.SIGUSR1, nth)
            ended = train(*command)
        assert ended.status == 128 + signal.SIGUSR1, ended.err
        assert "stopped by SIGUSR1 (SLURM needs the machine)" in ended.err
        assert f"kept: {kept} of 2 in " in ended.err
        assert slurm.read_text() == "requeue 71\n" * number
        assert not list(tmp_path.rglob("hpc_ckpt*"))
    assert train(*command).status == 0
    assert train(*tiny, *SMALL, "hydra.run.dir=whole").status == 0
    assert_equal(RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "run"))


@pytest.mark.filterwarnings("ignore:.*srun")
def test_a_job_that_would_begin_anew_is_not_queued_again(
    train: Command, tiny: list[str], tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    kill_before(monkeypatch, History, "on_train_batch_end", signal.SIGUSR1, 2)
    ended = train(*tiny, *SMALL)
    assert ended.status == 128 + signal.SIGUSR1
    assert "SLURM job 70_3 is not queued again: without hydra.run.dir= it" in ended.out + ended.err
    assert not slurm.exists()
    assert len(list(tmp_path.rglob("last.ckpt"))) == 1
