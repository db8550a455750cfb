"""A sweep that is killed at any moment ends, by the same command, as one that was not."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import pytest
from killed import assert_equal
from running import SCRIPTS, table

from fishcnn.utils.run_folder import RunFolder

# Loads torch once. Then, for each line of its input, a process of its own trains as the arguments
# say, and is sent a signal before its nth call: of the writing of a file, or of the end of a step.
STARTS = """
import json, os, runpy, sys
import fishcnn.commands.train.train, fishcnn.utils.files, fishcnn.training.callbacks.history
from fishcnn.commands.cli import start
from fishcnn.utils import stopping

def counted(owner, name, signal, nth):
    whole, calls = getattr(owner, name), []
    def called(*arguments, **settings):
        calls.append(name)
        if len(calls) == nth:
            os.kill(os.getpid(), signal)
        return whole(*arguments, **settings)
    setattr(owner, name, called)

MOMENTS = {
    "rename": (os, "fsync"),
    "step": (fishcnn.training.callbacks.history.History, "on_train_batch_end"),
}
for line in sys.stdin:
    moment, signal, nth, arguments = json.loads(line)
    child = os.fork()
    if not child:
        sys.argv = [sys.argv[0], *arguments]
        stopping._State.program = True  # ends as the script does
        if moment:
            counted(*MOMENTS[moment], signal, nth)
        sys.stdout = open("out.txt", "a")
        try:
            start("train")
        except SystemExit as end:
            os._exit(end.code or 0)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


# Of summary.json: what is measured by the clock or follows from that, and where the run lies.
OF_A_START = {
    *("seconds", "seconds_to_first_step", "train_images_per_second"),
    *("diagnosis", "checkpoint"),
}


class Starts:
    """Trainings one after another."""

    def __init__(self, place: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTS],
            cwd=place,
            env={
                **os.environ,
                "PYTHONPATH": str(SCRIPTS.parent),
                "FISHCNN_CACHE": str(place / "cache"),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, moment: str = "", signal: int = 0, nth: int = 0) -> int:
        """Train; returns the exit status, or minus the signal that has ended it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([moment, signal, nth, arguments]), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


def results(sweep: Path) -> dict[str, Any]:
    """What has come of each job, by its folder."""
    jobs = {}
    content = json.loads((sweep / "manifest.json").read_text())
    for job in content["jobs"]:
        run = RunFolder(sweep / job["folder"])
        summary = json.loads(run.summary.read_text())
        jobs[job["folder"]] = {
            "state": job["state"],
            "digest": job["digest"],
            "config": run.config.read_text(),
            "epochs": [row["epoch"] for row in table(run.metrics)],
            "summary": {key: summary[key] for key in summary.keys() - OF_A_START},
            # A figure of the first batch is not drawn where nothing was left to train.
            "files": _names(run.path) - {"figures/train_batch.png"},
        }
    return jobs


def _names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def starts(tmp_path: Path) -> Iterator[Starts]:
    made = Starts(tmp_path)
    yield made
    made.process.communicate()


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_any_moment_ends_as_one_that_was_not(
    starts: Starts, tiny: list[str], tmp_path: Path
) -> None:
    fast = ["data.image_size=16", "logger=none", "callbacks.grad_cam.enabled=false"]
    command = ["-m", *tiny, *fast, "model.blocks=1,2"]
    assert starts.run(*command, "hydra.sweep.dir=whole") == 0
    expected = results(tmp_path / "whole")
    assert [job["epochs"] for job in expected.values()] == [["1", "2"]] * 2
    draw = random.Random(0)
    moments = [
        *(("rename", SIGKILL, nth) for nth in draw.sample(range(2, 40), 4)),
        *(("step", SIGKILL, nth) for nth in draw.sample(range(1, 16), 2)),
        ("step", SIGTERM, draw.randrange(1, 16)),
        ("step", SIGINT, draw.randrange(1, 16)),
    ]
    for moment, signal, nth in moments:
        name = f"{moment}-{signal.name}-{nth}"
        into = f"hydra.sweep.dir={name}"
        status = starts.run(*command, into, moment=moment, signal=signal, nth=nth)
        assert status == (-SIGKILL if signal == SIGKILL else 128 + signal), name
        left = [job for job in "01" if RunFolder(tmp_path / name / job).summary.is_file()]
        times = {job: _times(tmp_path / name / job) for job in left}
        assert starts.run(*command, into) == 0, name
        assert results(tmp_path / name) == expected, name
        for job in "01":
            assert_equal(RunFolder(tmp_path / "whole" / job), RunFolder(tmp_path / name / job))
        for job in left:
            assert times[job].items() <= _times(tmp_path / name / job).items(), name


def _times(job: Path) -> dict[str, int]:
    run = RunFolder(job)
    files = (run.summary, run.best_checkpoint, run.last_checkpoint, run.metrics, run.config)
    return {file.name: file.stat().st_mtime_ns for file in files}
