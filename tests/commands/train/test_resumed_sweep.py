"""A sweep that is begun again does what is left of it, whatever has ended it."""

import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command, tiny_settings
from killed import kill_before
from running import SCRIPTS, run_and_read, table

import fishcnn.commands.train.train
from fishcnn.commands.run_state import RunState, read_state, write_state
from fishcnn.models.networks.cnn import FishCNN
from fishcnn.training.callbacks.history import History
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import RunFolder

QUICK = [
    "trainer.max_epochs=1",
    "logger=none",
    "callbacks.grad_cam.enabled=false",
]
SWEEP = Path("sweep")
INTO = f"hydra.sweep.dir={SWEEP}"


def manifest(sweep: Path = SWEEP) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((sweep / "manifest.json").read_text())
    return content


def states(sweep: Path = SWEEP) -> dict[str, str]:
    return {job["folder"]: job["state"] for job in manifest(sweep)["jobs"]}


def varied(name: str, sweep: Path = SWEEP) -> dict[str, object]:
    """The value of a setting in the run of each job."""
    found = {}
    for run in RunFolder.below(sweep):
        value = yaml.safe_load(run.config.read_text())
        for part in name.split("."):
            value = value[part]
        found[run.path.name] = value
    return dict(sorted(found.items()))


def written(sweep: Path = SWEEP) -> dict[str, tuple[int, bytes]]:
    """Everything that the jobs have written, and when."""
    files = [file for job in sweep.glob("[0-9]*") for file in job.rglob("*")]
    return {str(f): (f.stat().st_mtime_ns, f.read_bytes()) for f in files if f.is_file()}


@pytest.fixture(scope="module")
def _swept(fish: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A sweep of two jobs that has finished, and its command."""
    place = tmp_path_factory.mktemp("swept")
    command = ["-m", *tiny_settings(fish), *QUICK, INTO, "model.blocks=1,2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("FISHCNN_CACHE", str(place / "cache"))
        status, printed = run_and_read("train", *command)
    assert status == 0, printed
    return place, command


@pytest.fixture
def sweep(_swept: tuple[Path, list[str]], train: Command, tmp_path: Path) -> list[str]:
    """The command of a sweep of two jobs that has finished in ``sweep``, where the test stands."""
    place, command = _swept
    for name in (SWEEP, "cache"):
        shutil.copytree(place / name, tmp_path / name)
    return [*command]


def test_a_finished_sweep_is_left_as_it_is_and_not_even_torch_is_loaded(sweep: list[str]) -> None:
    before = written()
    program = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print('loaded', sorted({'torch'} & set(sys.modules)))"
    )
    again = subprocess.run(
        [sys.executable, "-c", program, str(SCRIPTS / "train.py"), *sweep],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "0 of 2 jobs left to do" in again.stdout
    assert "to go on" not in again.stdout
    assert again.stdout.endswith("loaded []\n")
    assert written() == before
    content = json.loads((SWEEP / "sweep.json").read_text())
    assert [job["state"] for job in content["jobs"]] == ["finished", "finished"]
    assert all(job["val_acc"] is not None for job in content["jobs"])


def test_a_longer_grid_adds_jobs_and_keeps_the_folders_of_the_others(
    train: Command, sweep: list[str]
) -> None:
    before = written()
    # The first value is a new one, and the default was not typed before.
    longer = [*sweep[:-1], "model.blocks=3,2,1", "seed=0"]
    assert train(*longer).status == 0
    assert varied("model.blocks") == {"0": 1, "1": 2, "2": 3}
    assert before.items() <= written().items()
    # Part of the grid is finished.
    finished = train(*sweep[:-1], "model.blocks=2")
    assert "0 of 1 job left to do" in finished.out
    assert len(json.loads((SWEEP / "sweep.json").read_text())["jobs"]) == 3


def test_what_was_typed_for_all_jobs_may_not_change(train: Command, sweep: list[str]) -> None:
    before, jobs = written(), manifest()
    finished = train(*sweep, "trainer.max_epochs=2", "model.dropout=0.25")
    assert finished.status == 1
    (line,) = finished.err.splitlines()
    assert "trainer.max_epochs=2 (1 in that sweep)" in line
    assert "model.dropout=0.25 (" in line
    assert "type both: " in line
    assert finished.out == ""
    assert (written(), manifest()) == (before, jobs)
    removed = train(*sweep, "~model.head")
    assert "without model.head (gap in that sweep)" in removed.err
    added = train(*sweep, "+trainer.max_steps=3")
    assert "trainer.max_steps=3 (not set in that sweep)" in added.err
    assert written() == before
    # As a part of the grid it may.
    assert train(*sweep, "trainer.max_epochs=1,2").status == 0
    assert varied("trainer.max_epochs") == {"0": 1, "1": 1, "2": 2, "3": 2}


def test_a_default_that_has_changed_is_refused(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    for name in ("mine", "other"):
        (own / f"{name}.yaml").write_text("# @package _global_\nseed: 5\n")
    command = ["-m", "--config-dir", "own", *tiny, *QUICK, INTO, "experiment=mine,other"]
    assert train(*command).status == 0
    assert varied("seed") == {"0": 5}  # both are the same job
    (own / "other.yaml").write_text("# @package _global_\nseed: 6\n")
    assert train(*command).status == 0
    (own / "mine.yaml").write_text("# @package _global_\nseed: 7\n")
    finished = train(*command)
    assert finished.status == 1
    assert "seed=7 (5 in that sweep)" in finished.err
    assert varied("seed") == {"0": 5, "1": 6}


def test_last_goes_on_with_the_newest_sweep_below_runs(
    train: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no sweep lies below" in train("sweep.resume=last").err
    older, newer = (f"hydra.sweep.dir=runs/multirun/{name} one" for name in "zy")
    assert train("-m", *tiny, *QUICK, older, "seed=0").status == 0
    place = Path("runs/multirun/z one/manifest.json")
    content = json.loads(place.read_text())
    place.write_text(json.dumps(content | {"begun": "2020-01-01T00:00:00Z"}))
    root = next(word for word in tiny if word.startswith("data.root="))
    Path("photos").symlink_to(root.partition("=")[2])
    relative = [word for word in tiny if not word.startswith(("data.root", "data.masks"))]
    grid = ["data.root=photos", "model.blocks=1,0", "data.fold=range(2)", "data.folds=2"]
    assert train("-m", *relative, *QUICK, newer, *grid).status == 1
    sweep = tmp_path / "runs" / "multirun" / "y one"
    assert list(states(sweep).values()) == ["finished"] * 2 + ["failed"] * 2
    # Whoever stands elsewhere means the same images.
    monkeypatch.chdir(tmp_path / "cache")
    before = written(sweep)
    again = train("sweep.resume=last", "runs=../runs", "model.blocks=1,2", "-m")
    assert again.status == 1  # what has failed was tried again
    assert "/../runs/multirun/y one, begun 20" in again.err
    assert "skipped" not in again.err
    assert again.err.count("error: model.blocks=0") == 2
    assert list(states(sweep).values()) == ["finished"] * 2 + ["failed"] * 2 + ["finished"] * 2
    assert before.items() <= written(sweep).items()
    assert set(varied("data.fold", sweep).values()) == {0, 1}


def test_last_says_which_sweep_it_is_and_which_it_is_not(
    train: Command, sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps = Path("runs/multirun")
    sweeps.mkdir(parents=True)
    older = SWEEP.rename(sweeps / "older")
    content = manifest(older)
    (older / "manifest.json").write_text(json.dumps(content | {"begun": "2020-01-01T10:00:00Z"}))
    (sweeps / "comparison").mkdir()
    is_older = f"sweep.resume=last is {tmp_path / older}, begun 20"
    (said,) = train("sweep.resume=last").err.splitlines()
    assert said.startswith(is_older)
    # Of the next one nothing is left.
    command = [word for word in sweep if word != INTO]
    with monkeypatch.context() as patch:
        patch.setattr(
            History, "on_train_epoch_start", lambda *_: signal.raise_signal(signal.SIGTERM)
        )
        assert train(*command).status == 143
    assert {one.name for one in sweeps.iterdir()} == {"older", "comparison"}
    (said,) = train("sweep.resume=last").err.splitlines()
    assert said.startswith(is_older)
    # These were killed while their first files were written.
    for name, later in (("newer", 2000), ("zzz", 1000), ("same", 1)):
        (sweeps / name).mkdir()
        (sweeps / name / ".lock").touch()
        # 1 s is none, as times are written in whole ones.
        os.utime(sweeps / name, (1577872800 + later, 1577872800 + later))
    first, second = train("sweep.resume=last").err.splitlines()
    assert first.startswith(is_older)
    assert second == f"skipped {tmp_path / sweeps / 'newer'}: nothing in it can be resumed"
    # A damaged one whose jobs can be read again is the newest by the time of its files.
    (sweeps / "newer" / "multirun.yaml").write_bytes((older / "multirun.yaml").read_bytes())
    assert f"last is {tmp_path / sweeps / 'newer'}, begun " in train("sweep.resume=last").err


def test_a_sweep_is_named_by_its_folder_alone(
    train: Command, sweep: list[str], tmp_path: Path
) -> None:
    shutil.rmtree(SWEEP / "0")  # somebody wants it again
    other = train(f"sweep.resume={SWEEP}", "hydra.sweep.dir=elsewhere")
    assert "goes on in its own folder: leave out hydra.sweep.dir=" in other.err
    assert train("sweep.resume=nowhere").err.startswith("error: sweep.resume=nowhere is not")
    moved = SWEEP.rename("a sweep, moved")
    finished = train(f"sweep.resume={moved}")
    assert finished.status == 0, finished.err
    assert "1 of 2 jobs left to do" in finished.out
    assert varied("model.blocks", moved) == {"0": 1, "1": 2}
    assert not Path("elsewhere").exists()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [Path.unlink, empty, half])
def test_a_power_cut_costs_no_job(
    train: Command, sweep: list[str], damage: Callable[[Path], None]
) -> None:
    trained = {name: file for name, file in written().items() if "state.json" not in name}
    damage(SWEEP / "manifest.json")
    damage(RunFolder(SWEEP / "0").state)
    write_state(RunFolder(SWEEP / "1"), RunState.RUNNING)
    assert read_state(RunFolder(SWEEP / "1")) == "interrupted"
    finished = train(*sweep[:-1], "model.blocks=1,2,3")
    assert finished.status == 0, finished.err
    assert varied("model.blocks") == {"0": 1, "1": 2, "2": 3}
    assert set(states().values()) == {"finished"}
    again = {name: content for name, (_, content) in written().items()}
    for name, (_, content) in trained.items():
        if ".hydra" not in name and not name.endswith(".log"):
            assert again[name] == content, name


def test_the_jobs_of_an_earlier_version_are_known_by_what_was_typed(
    train: Command, sweep: list[str]
) -> None:
    (SWEEP / "manifest.json").unlink()
    for job in "01":
        RunFolder(SWEEP / job).state.unlink()
        # It knew not all settings of today.
        file = RunFolder(SWEEP / job).composed
        content = yaml.safe_load(file.read_text())
        del content["sweep"], content["find_lr"]
        file.write_text(yaml.safe_dump(content))
    before = written()
    finished = train(*sweep)
    assert finished.status == 0, finished.err
    assert "0 of 2 jobs left to do" in finished.out
    assert written() == before
    assert states() == {"0": "finished", "1": "finished"}


def test_one_process_at_a_time_works_on_a_sweep(train: Command, sweep: list[str]) -> None:
    before = written()
    with locked(SWEEP.absolute()):
        finished = train(*sweep[:-1], "model.blocks=3")
    assert finished.status == 1
    assert "is being written to by process" in finished.err
    assert finished.err.count("\n") == 1
    with locked((SWEEP / "0").absolute()):
        write_state(RunFolder(SWEEP / "0"), RunState.RUNNING)
        finished = train(*sweep)
    assert finished.status == 1
    *_, heading, last = finished.out.splitlines()
    assert heading == (
        "1 of 2 jobs left to do, 1 in another process; to go on when that has ended:"
    )
    assert last.endswith(f" sweep.resume={Path.cwd() / SWEEP}")
    assert "another process is at it" in finished.out
    assert "running" in finished.out
    write_state(RunFolder(SWEEP / "0"), RunState.FINISHED)
    assert written().keys() == before.keys()


def test_a_folder_is_that_of_a_sweep_or_of_a_run(
    train: Command, tiny: list[str], sweep: list[str]
) -> None:
    finished = train(*tiny, *QUICK, f"hydra.run.dir={SWEEP}")
    assert finished.status == 1
    assert "is the folder of a sweep" in finished.err
    assert train(*sweep).status == 0
    finished = train(*sweep[:-2], "model.blocks=1,2", f"hydra.sweep.dir={SWEEP / '0'}")
    assert finished.status == 1
    assert "holds a single run" in finished.err
    assert read_state(RunFolder(SWEEP / "0")) == "finished"


def test_what_has_failed_is_tried_again_and_goes_on(
    train: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["-m", *tiny, *QUICK, "trainer.max_epochs=2", INTO, "model.blocks=1,2"]
    forward = FishCNN.forward

    def crash(self: FishCNN, images: Any) -> Any:
        in_second_epoch = RunFolder(SWEEP / "0").last_checkpoint.is_file()
        if len(self.blocks) == 1 and in_second_epoch:
            raise MemoryError("no memory\nfor one block")
        return forward(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(FishCNN, "forward", crash)
        finished = train(*command)
    assert finished.status == 1
    assert states() == {"0": "failed", "1": "finished"}
    assert manifest()["jobs"][0]["reason"] == "no memory"
    assert "ckpt_path" not in finished.out
    again = train(*command)
    assert again.status == 0, again.err
    assert "Going on after epoch 1 of" in again.out
    assert states() == {"0": "finished", "1": "finished"}
    assert [row["epoch"] for row in table(RunFolder(SWEEP / "0").metrics)] == ["1", "2"]


def test_a_job_in_a_folder_of_another_run_hands_its_checkpoint_to_nobody(
    train: Command, sweep: list[str]
) -> None:
    # As a run that was trained on by itself, and then killed.
    run = RunFolder(SWEEP / "0")
    run.config.write_text(run.config.read_text().replace("seed: 0", "seed: 1", 1))
    write_state(run, RunState.INTERRUPTED)
    finished = train(*sweep)
    assert finished.status == 1
    assert "holds a run with other settings already" in finished.err
    assert "ckpt_path" not in finished.out + finished.err
    assert states() == {"0": "interrupted", "1": "finished"}


def test_only_the_first_process_of_a_job_writes_for_the_sweep(
    train: Command,
    tiny: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fishcnn")  # that process changes it for good
    monkeypatch.setenv("RANK", "1")
    finished = train("-m", *tiny, *QUICK, INTO, "seed=-1,-2")
    assert finished.status == 1
    assert "neither torchrun nor SLURM has started it" in finished.err
    assert "Jobs of this sweep" not in finished.out
    assert not list(Path().rglob("*.json"))


def test_one_folder_for_several_jobs_is_refused(train: Command, tiny: list[str]) -> None:
    finished = train("-m", *tiny, *QUICK, INTO, "seed=0,1", "hydra.sweep.subdir=same")
    assert finished.status == 1
    assert "hydra.sweep.subdir names same for more than one job" in finished.err
    assert not SWEEP.exists()
    named = ["hydra.sweep.subdir=${hydra.job.override_dirname}", "hydra.sweep.dir=a b"]
    settings = ["hydra.job.config.override_dirname.exclude_keys=[data.root,data.masks_root]"]
    assert train("-m", *tiny, *QUICK, "seed=0,1", *named, *settings).status == 0
    assert set(states(Path("a b")).values()) == {"finished"}
    hydras = sorted(Path("a b").glob("*/.hydra/hydra.yaml"))
    assert [yaml.safe_load(one.read_text())["hydra"]["job"]["num"] for one in hydras] == [0, 1]


def test_relative_folders_of_images_are_meant_from_where_the_sweep_was_begun(
    train: Command, sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    content = manifest()
    content["place"] = str(tmp_path)
    (SWEEP / "manifest.json").write_text(json.dumps(content))
    monkeypatch.chdir(elsewhere)
    command = [word for word in sweep if word != INTO]
    into = f"hydra.sweep.dir={tmp_path / SWEEP}"
    assert train(*command, into).status == 0  # with absolute ones
    content["common_settings"]["data.root"] = "fish"
    (tmp_path / SWEEP / "manifest.json").write_text(json.dumps(content))
    root = next(word for word in command if word.startswith("data.root="))
    finished = train(*(word for word in command if word != root), "data.root=fish", into)
    assert finished.status == 1
    assert f"data.root=fish was meant from {tmp_path}" in finished.err


@pytest.mark.parametrize("moment", ["torch is loaded", "the first epoch begins"])
def test_a_sweep_that_is_stopped_before_anything_is_trained_can_only_be_begun_again(
    train: Command, tiny: list[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    owner, name = {
        "torch is loaded": (fishcnn.commands.train.train, "train"),
        "the first epoch begins": (History, "on_train_epoch_start"),
    }[moment]
    kill_before(monkeypatch, owner, name, signal.SIGTERM)
    finished = train("-m", *tiny, *QUICK, INTO, "model.blocks=1,2")
    assert finished.status == 143
    assert "before the end of the first epoch; to begin again: " in finished.err
    assert "sweep.resume" not in finished.err + finished.out
    assert "Jobs of this sweep" not in finished.out  # of which there is nothing to tell
    assert not SWEEP.exists()


def test_a_sweep_with_jobs_left_that_cannot_be_compared_says_why_and_has_failed(
    train: Command, sweep: list[str]
) -> None:
    (SWEEP / "sweep.json").unlink()
    (SWEEP / "sweep.json").mkdir()
    finished = train(*sweep[:-1], "model.blocks=0")
    assert finished.status == 1
    assert "The jobs cannot be compared: " in finished.err + finished.out
    assert "Traceback" not in finished.err


def test_a_sweep_that_is_stopped_ends_with_the_command_that_goes_on(
    train: Command, sweep: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            History, "on_train_epoch_start", lambda *_: signal.raise_signal(signal.SIGTERM)
        )
        finished = train(*sweep[:-1], "model.blocks=1,2,3,4")
    assert finished.status == 143
    command = shlex.join([sys.executable, str(SCRIPTS / "train.py")])
    command += f" sweep.resume={Path.cwd() / SWEEP}"
    assert "stopped by SIGTERM (kill) before the end of the first epoch" in finished.err
    assert "Train the best again" in finished.out
    heading, last = finished.out.splitlines()[-2:]
    assert heading == "2 of 4 jobs left to do; to go on:"
    assert last == f"  {command}"


@pytest.mark.slow
def test_the_status_is_that_of_jobs_in_other_processes(train: Command, tiny: list[str]) -> None:
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    finished = train("-m", *tiny, *QUICK, INTO, *joblib, "model.blocks=0,1")
    assert finished.status == 1
    assert states() == {"0": "failed", "1": "finished"}
    content = json.loads((SWEEP / "sweep.json").read_text())
    assert [job["state"] for job in content["jobs"]] == ["failed", "finished"]
    assert not (SWEEP / "0").exists()
    finished = train("sweep.resume=sweep")  # with the same launcher
    assert finished.status == 1
    assert finished.out.count("Joblib.Parallel(n_jobs=2") == 1
