"""What is shown of a sweep."""

import json
import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from fishcnn.commands.run_state import RunState, write_state
from fishcnn.commands.train.sweep import CompareJobs, read_jobs
from fishcnn.metrics.intervals import t_interval, wilson_interval
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # TensorBoard traces the network for its Graphs tab; torch prefers other ways.
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


def write_job(folder: Path, overrides: list[str], **summary: Any) -> None:
    """What Hydra and a run leave; without numbers, a job that has failed."""
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(overrides), folder / ".hydra" / "overrides.yaml")
    if summary:
        numbers = {
            "val_acc_interval": wilson_interval(7, 10),
            "val_pictures": 10,
            "val_loss": 1.5,
            "best_epoch": 3,
            "seconds": 61.4,
        }
        (folder / "summary.json").write_text(json.dumps(numbers | summary))


def compare(sweep: Path) -> dict[str, Any]:
    CompareJobs().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    content: dict[str, Any] = json.loads((sweep / "sweep.json").read_text(encoding="utf-8"))
    return content


def rows(text: str) -> list[str]:
    """Lines with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_intervals_of_a_mean_are_those_of_student() -> None:
    # Student 1908, additional hours of sleep by hyoscyamine: mean 0.75, interval -0.53 to 2.03.
    sleep = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    shares = [(hours + 5) / 20 for hours in sleep]
    interval = t_interval(shares)
    assert interval is not None
    assert [end * 20 - 5 for end in interval] == pytest.approx([-0.5298, 2.0298], abs=1e-3)
    # Two values: half their difference by the first quantile.
    assert t_interval([0.50, 0.51]) == pytest.approx((0.505 - 0.06353, 0.505 + 0.06353))
    assert t_interval([0.2, 0.9]) == (0.0, 1.0)
    assert t_interval([0.5]) is None
    many = t_interval([0.4, 0.6] * 50)
    assert many is not None
    assert many[1] - 0.5 == pytest.approx(1.984 * 0.1 / math.sqrt(99), rel=0.03)


def test_jobs_are_listed_by_number_with_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for job, rate in ((10, "1e-3"), (2, "5e-4")):
        overrides = ["data=folder", f"optimizer.lr={rate}", "+x=[a,b]"]
        write_job(tmp_path / str(job), overrides, val_acc=0.7)
    write_job(tmp_path / "1", ["data=folder", "optimizer.lr=-1", "+x=[a,c]"])
    content = compare(tmp_path)
    assert [job["folder"] for job in content["jobs"]] == ["1", "2", "10"]
    assert content["differing"] == ["optimizer.lr", "x"]
    assert content["jobs"][1]["overrides"]["data"] == "folder"
    assert content["jobs"][1]["val_acc"] == 0.7
    assert content["jobs"][0]["val_acc"] is None
    assert content["repeated"] == []
    printed = capsys.readouterr().out
    assert "1 optimizer.lr=-1 x=[a,c] failed" in rows(printed)
    assert "10 optimizer.lr=1e-3 x=[a,b] 70.0% 39.7 to 89.2% 1.5000 3 61 s" in rows(printed)
    assert f"sweep: {tmp_path / 'sweep.json'}" in printed
    assert "against the best" not in printed


def test_folds_are_summarised_for_each_choice_of_the_rest(tmp_path: Path) -> None:
    hits = {"2": [7, 8, 9], "3": [5, 10, 6]}
    job = 0
    for blocks, numbers in hits.items():
        for fold, number in enumerate(numbers):
            overrides = [f"model.blocks={blocks}", "data.folds=3", f"data.fold={fold}"]
            summary = {"val_acc": number / (10 + fold), "val_pictures": 10 + fold}
            write_job(tmp_path / str(job), overrides, **summary, val_loss=1.0 + fold)
            job += 1
    (tmp_path / "4" / "summary.json").unlink()
    content = compare(tmp_path)
    assert content["repeated_over"] == "data.fold"
    two, three = content["repeated"]
    assert two["overrides"] == {"model.blocks": "2"}
    assert two["jobs"] == ["0", "1", "2"]
    shares = [7 / 10, 8 / 11, 9 / 12]
    assert two["val_acc"] == pytest.approx(sum(shares) / 3)
    assert two["val_acc_interval"] == pytest.approx(t_interval(shares))
    assert two["val_loss"] == pytest.approx(2.0)
    assert two["pooled_val_acc"] == pytest.approx(24 / 33)
    assert two["pooled_val_pictures"] == 33
    assert two["pooled_val_acc_interval"] == pytest.approx(wilson_interval(24, 33))
    assert three["jobs"] == ["3", "5"]
    assert three["failed"] == ["4"]
    assert three["pooled_val_pictures"] == 22


def test_seeds_are_summarised_but_not_pooled_as_they_validate_on_the_same_pictures(
    tmp_path: Path,
) -> None:
    for seed, share in enumerate((0.5, 0.7)):
        write_job(tmp_path / str(seed), [f"seed={seed}"], val_acc=share)
    content = compare(tmp_path)
    assert content["repeated_over"] == "seed"
    assert len(content["repeated"]) == 1
    assert content["repeated"][0]["val_acc"] == pytest.approx(0.6)
    assert content["repeated"][0]["pooled_val_acc"] is None


def test_folds_of_several_seeds_have_a_row_for_each_seed(tmp_path: Path) -> None:
    for job in range(4):
        overrides = [f"data.fold={job % 2}", f"seed={job // 2}"]
        write_job(tmp_path / str(job), overrides, val_acc=0.5)
    content = compare(tmp_path)
    assert [row["overrides"] for row in content["repeated"]] == [{"seed": "0"}, {"seed": "1"}]


def test_numbers_that_are_missing_are_left_out(tmp_path: Path) -> None:
    # A loss that was not finite, and a summary that was cut short.
    write_job(tmp_path / "0", ["data.fold=0"], val_acc=0.5, val_loss=None)
    write_job(tmp_path / "1", ["data.fold=1"], val_acc=0.7, val_pictures=None)
    write_job(tmp_path / "2", ["data.fold=2"], val_acc=0.7)
    (tmp_path / "2" / "summary.json").write_text('{"val_acc": 0.')
    (row,) = compare(tmp_path)["repeated"]
    assert row["jobs"] == ["0", "1"]
    assert row["failed"] == ["2"]
    assert row["val_acc"] == pytest.approx(0.6)
    assert row["val_loss"] is row["pooled_val_acc"] is None


def test_a_job_is_as_far_as_it_says_whatever_the_times_of_its_files(tmp_path: Path) -> None:
    write_job(tmp_path / "0", ["seed=0"], val_acc=0.5)
    begun = tmp_path / "0" / ".hydra" / "overrides.yaml"
    later = begun.stat().st_mtime + 60
    os.utime(begun, (later, later))
    assert read_jobs(tmp_path)[0].val_acc == 0.5
    write_state(RunFolder(tmp_path / "0"), RunState.FAILED, "no memory")
    (job,) = read_jobs(tmp_path)
    assert (job.state, job.val_acc) == ("failed", None)


def test_a_folder_without_jobs_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    CompareJobs().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_nothing_heavy_is_imported_with_the_comparison() -> None:
    program = (
        "import sys, fishcnn.commands.train.sweep;"
        "print(sorted({'torch', 'numpy', 'matplotlib', 'rich'} & set(sys.modules)))"
    )
    run = [sys.executable, "-c", program]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_sweep_ends_with_its_comparison(
    train: Callable[..., Any], tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("FORCE_COLOR", raising=False)  # which makes a terminal of any output
    quick = [*tiny, "trainer.max_epochs=1", "logger=none", "callbacks.grad_cam.enabled=false"]
    finished = train("-m", *quick, "data.folds=2", "data.fold=0,1", "model.blocks=0,1")
    # Two jobs were refused.
    assert finished.status == 1
    found = re.search(
        r"^sweep: (/.*/runs/multirun/.*/sweep.json)$", finished.out, flags=re.MULTILINE
    )
    assert found
    assert "fold 1 of 2, numbered from 0, is validated on" in finished.out
    file = Path(found[1])
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["differing"] == ["model.blocks", "data.fold"]
    for job in (2, 3):
        summary = json.loads((file.parent / str(job) / "summary.json").read_text())
        assert content["jobs"][job]["val_acc"] == summary["val_acc"]
        assert content["jobs"][job]["val_pictures"] == summary["val_pictures"] == 18
    refused, done = content["repeated"]
    assert refused["failed"] == ["0", "1"]
    assert done["overrides"] == {"model.blocks": "1"}
    assert done["jobs"] == ["2", "3"]
    # Each of the 36 pictures was held out once.
    assert done["pooled_val_pictures"] == 36
    # Their mean has one interval, that of the leaderboard.
    assert finished.out.count("95% interval  ") == 2
    assert re.search(r"^ +1 +\d +2 +blocks=1 ", finished.out, flags=re.MULTILINE)
    # What to type next stands last, be it that nothing is finished.
    heading, command = finished.out.splitlines()[-2:]
    assert heading == "2 of 4 jobs failed; to try again when the cause is mended:"
    assert "has failed: model.blocks=0" in finished.out
    assert command.endswith(f"train.py sweep.resume={file.parent}")
    again = train(*shlex.split(command)[2:], "-m", "model.blocks=0")
    assert again.status == 1
    assert again.out.splitlines()[-2:] == [heading, command]


def test_a_single_run_is_not_compared(
    train: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    finished = train(*tiny, "trainer.max_epochs=1", "logger=none", f"hydra.run.dir={run}")
    assert finished.status == 0, finished.err
    assert not list(tmp_path.rglob("sweep.json"))
    assert "Jobs of this sweep" not in finished.out
