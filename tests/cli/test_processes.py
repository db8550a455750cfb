"""Trainings of several processes, on this machine and as if on two, as a person starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Command
from fitting import events
from running import SCRIPTS, table

from fishcnn.utils.run_folder import RunFolder

# Batch norm of each process would see its own images only.
WITHOUT_STATISTICS = [
    "model=torchvision",
    "model.architecture=shufflenet_v2_x0_5",
    "model.freeze_batch_norm=true",
    "trainer.precision=32-true",
]
ENDLESS = ["trainer.max_epochs=100000", "callbacks.early_stopping.enabled=false"]
PATIENCE = 240.0  # seconds, for a machine with much to do


def of_any_network(tiny: list[str]) -> list[str]:
    return [one for one in tiny if not one.startswith(("model.", "data.batch_size"))]


def score(run: RunFolder) -> float:
    """The best validation loss as the processes of the fit have measured it together."""
    callbacks = torch.load(run.best_checkpoint, weights_only=True)["callbacks"]
    (found,) = {
        float(state["best_model_score"])
        for state in callbacks.values()
        if state.get("monitor") == "val_loss" and state.get("best_model_score") is not None
    }
    return found


def test_two_processes_train_as_one_with_the_whole_batch(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    """29 images for training make a last batch of 5, which one process has 3 of."""
    typed = [*of_any_network(tiny), *WITHOUT_STATISTICS]
    two = ["trainer.devices=2", "data.batch_size=4", "hydra.sweep.dir=two"]
    finished = train("-m", *typed, *two, "seed=0,1")
    assert finished.status == 0, finished.err
    assert finished.out.count("batches of 4 on each of 2 processes, 8 in all") == 2
    assert "error" not in finished.err
    alone = train(*typed, "data.batch_size=8", "hydra.run.dir=one", "seed=1")
    assert alone.status == 0, alone.err

    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"cache", "one", "two"}
    assert len([*(tmp_path / "cache" / "decoded").iterdir()]) == 1
    job, run = RunFolder(tmp_path / "two" / "1"), RunFolder(tmp_path / "one")
    for together, single in zip(table(job.metrics), table(run.metrics), strict=True):
        for name in ("train_loss", "val_loss"):
            assert float(together[name]) == pytest.approx(float(single[name]), rel=1e-3)
        for name in ("train_acc", "val_acc", "val_f1", "lr"):
            assert together[name] == single[name]
    weights = [
        torch.load(one.last_checkpoint, weights_only=True)["state_dict"] for one in (job, run)
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-2, atol=1e-3)
    logs = [events(next(one.path.glob("*/events.out.tfevents.*")).parent) for one in (job, run)]
    steps = [[e.value for e in log.Scalars("train/loss_per_iteration")] for log in logs]
    assert steps[0] == pytest.approx(steps[1], rel=1e-3)
    assert [event.step for event in logs[0].Images("cam/grad_cam")] == [1, 2]
    # The summary is of one process: no image has counted twice before.
    assert score(job) == json.loads(job.summary.read_text())["val_loss"]


def test_weights_are_shared_out_and_put_together_again(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    typed = [*tiny, "trainer.devices=2", "trainer.strategy=fsdp", "callbacks.ema.enabled=false"]
    typed += ["data.batch_size=4", "trainer.precision=32-true"]
    finished = train(*typed, "hydra.run.dir=run")
    assert finished.status == 0, finished.err
    run = RunFolder(tmp_path / "run")
    assert score(run) == json.loads(run.summary.read_text())["val_loss"]
    assert float(table(run.metrics)[1]["cam_average_drop"]) >= 0
    # One process goes on with what two have begun, as the batch is the same over all of them.
    more = ["ckpt_path=run", "trainer.max_epochs=3", "trainer.devices=1", "trainer.strategy=auto"]
    refused = train(*more, "hydra.run.dir=more")
    assert refused.status == 1
    assert "add data.batch_size=8" in refused.err
    finished = train(*more, "data.batch_size=8", "hydra.run.dir=more")
    assert finished.status == 0, finished.err
    rows = table(RunFolder(tmp_path / "more").metrics)
    assert rows[:2] == table(run.metrics)
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        (["trainer.num_nodes=2"], "torchrun --nnodes=2 --nproc-per-node=1"),
        (["trainer.strategy=fsdp"], "add trainer.devices=2"),
        (["trainer.strategy=fsdp", "trainer.devices=2"], "needs callbacks.ema.enabled=false"),
        (["find_lr=true", "trainer.devices=2"], "choose trainer.devices=1"),
        (["trainer.sync_batchnorm=true", "trainer.devices=2"], "needs GPUs"),
        (["trainer.strategy=dp"], "choose one of auto, ddp, fsdp"),
    ],
)
def test_what_several_processes_cannot_do_is_said_before_anything_starts(
    train: Command, tiny: list[str], tmp_path: Path, typed: list[str], problem: str
) -> None:
    finished = train(*tiny, *typed, "hydra.run.dir=run")
    assert finished.status == 1
    assert problem in finished.err
    assert finished.err.count("error: ") == 1
    assert not (tmp_path / "run").exists()


def start(tmp_path: Path, *typed: str, by: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *by, str(SCRIPTS / "train.py"), *typed, "hydra.run.dir=run"],
        cwd=tmp_path,
        env={
            **os.environ,
            "FISHCNN_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": str(SCRIPTS.parent),
            "OMP_NUM_THREADS": "1",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(met: Callable[[], object], *running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not met():
        for one in running:
            assert one.poll() is None, one.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("killed", ["the first", "the other"])
def test_no_process_outlives_another(tiny: list[str], tmp_path: Path, killed: str) -> None:
    first = start(tmp_path, *tiny, *ENDLESS, "trainer.devices=2")
    until((tmp_path / "run" / "metrics.csv").is_file, first)
    (other,) = children(first.pid)
    os.kill(other if killed == "the other" else first.pid, signal.SIGKILL)
    _, said = first.communicate(timeout=PATIENCE)
    until(lambda: not alive(other))
    if killed == "the other":
        assert first.returncode == 1
        assert said.splitlines()[-1].startswith(
            "error: process 1 of this training, of 2 numbered from 0, was killed by SIGKILL"
        )
        assert "Traceback" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_two_machines_write_one_run_which_goes_on_when_one_of_them_has_died(
    tiny: list[str], tmp_path: Path
) -> None:
    def both(*typed: str) -> list[subprocess.Popen[str]]:
        port = 20000 + os.getpid() % 20000 + len(typed)
        by = ("-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1")
        by += ("--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=fish")
        return [start(tmp_path, *tiny, "trainer.num_nodes=2", *typed, by=by) for _ in range(2)]

    run = RunFolder(tmp_path / "run")
    machines = both("trainer.max_epochs=40", "callbacks.early_stopping.enabled=false")
    until(run.metrics.is_file, *machines)
    until(lambda: all(children(one.pid) for one in machines), *machines)
    os.kill(children(machines[1].pid)[0], signal.SIGKILL)
    for one in machines:
        one.communicate(timeout=PATIENCE)
        assert one.returncode != 0

    done = len(table(run.metrics))
    machines = both("trainer.max_epochs=40", "callbacks.early_stopping.enabled=false")
    for one in machines:
        _, said = one.communicate(timeout=PATIENCE)
        assert one.returncode == 0, said
    assert [row["epoch"] for row in table(run.metrics)] == [str(n) for n in range(1, 41)]
    assert done >= 1
    assert json.loads(run.summary.read_text())["epochs"] == 40
