"""A sweep that is killed at any moment ends, by the same command, as one that was not."""

import json
import random
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import pytest
from killed import Trainings, assert_equal
from running import table

from fishcnn.utils.run_folder import RunFolder

# Of summary.json: what is measured by the clock or follows from that, and where the run lies.
OF_A_START = {
    *("seconds", "seconds_to_first_step", "train_images_per_second"),
    *("diagnosis", "checkpoint"),
}


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


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_any_moment_ends_as_one_that_was_not(
    tiny: list[str], tmp_path: Path
) -> None:
    fast = ["data.image_size=16", "logger=none", "callbacks.grad_cam.enabled=false"]
    command = ["-m", *tiny, *fast, "model.blocks=1,2"]
    draw = random.Random(0)
    moments = [
        *(("writes", SIGKILL, nth) for nth in draw.sample(range(2, 40), 4)),
        *(("steps", SIGKILL, nth) for nth in draw.sample(range(1, 16), 2)),
        ("steps", SIGTERM, draw.randrange(1, 16)),
        ("steps", SIGINT, draw.randrange(1, 16)),
    ]
    with Trainings(tmp_path) as trainings:
        assert trainings.run(*command, "hydra.sweep.dir=whole") == 0
        expected = results(tmp_path / "whole")
        assert [job["epochs"] for job in expected.values()] == [["1", "2"]] * 2
        for counted, signal, nth in moments:
            name = f"{counted}-{signal.name}-{nth}"
            into = f"hydra.sweep.dir={name}"
            status = trainings.run(*command, into, counted=counted, signal=signal, nth=nth)
            assert status == (-SIGKILL if signal == SIGKILL else 128 + signal), name
            left = [job for job in "01" if RunFolder(tmp_path / name / job).summary.is_file()]
            times = {job: _times(tmp_path / name / job) for job in left}
            assert trainings.run(*command, into) == 0, name
            assert results(tmp_path / name) == expected, name
            for job in "01":
                assert_equal(RunFolder(tmp_path / "whole" / job), RunFolder(tmp_path / name / job))
            for job in left:
                assert times[job].items() <= _times(tmp_path / name / job).items(), name


def _times(job: Path) -> dict[str, int]:
    run = RunFolder(job)
    files = (run.summary, run.best_checkpoint, run.last_checkpoint, run.metrics, run.config)
    return {file.name: file.stat().st_mtime_ns for file in files}
