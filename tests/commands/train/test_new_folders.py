import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest
from conftest import Command
from killed import kill_before
from running import SCRIPTS

import fishcnn.commands.train.train
from fishcnn.training.callbacks.history import History
from fishcnn.utils.files import unwritable
from fishcnn.utils.run_folder import RunFolder

QUICK = [
    "data.image_size=16",
    "trainer.max_epochs=1",
    "logger=none",
    "callbacks.grad_cam.enabled=false",
]


def one_class(root: Path) -> None:
    (root / "Rui").mkdir(parents=True)


def unreadable(root: Path) -> None:
    for name in ("Rui", "Catla"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            (root / name / f"{number}.jpg").write_text("no image")


FAULTS: dict[str, tuple[list[str], Callable[[Path], None] | None]] = {
    "range": (["seed=-1"], None),
    "unknown choice": (["data.balance=often"], None),
    "no folder": (["data=folder", "data.root=nowhere"], None),
    "no root": (["data=folder"], None),
    "one class": (["data=folder", "data.root=images"], one_class),
    "unreadable": (["data=folder", "data.root=images"], unreadable),
    "nothing to go on with": (["ckpt_path=nowhere.ckpt"], None),
    "unknown setting": (["model.bloks=3"], None),
    "Hydra's own": (["hydra.job_logging.version=7"], None),
    "swept": (["-m", "seed=-1,-2"], None),
    "swept unreadable": (["-m", "data=folder", "data.root=images", "seed=0,1"], unreadable),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_start_that_fails_leaves_no_folder(train: Command, tmp_path: Path, fault: str) -> None:
    overrides, make = FAULTS[fault]
    if make:
        make(tmp_path / "images")
    finished = train(*overrides)
    assert finished.status != 0
    assert not (tmp_path / "runs").exists()


def test_a_signal_while_the_program_is_loaded_leaves_no_folder(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPTS / "train.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS.parent)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not RunFolder.below(tmp_path) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(SIGTERM)
    again = f"to begin again: {sys.executable} {SCRIPTS / 'train.py'}"
    assert process.communicate()[1] == f"stopped by SIGTERM (kill) before it began; {again}\n"
    assert process.returncode == 128 + SIGTERM
    assert not (tmp_path / "runs").exists()


def test_a_fault_after_the_inputs_are_written_leaves_no_folder(
    train: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: RunFolder) -> None:
        assert run.config.is_file()
        raise unwritable(run.path, OSError(28, "No space left on device"))

    monkeypatch.setattr(History, "on_fit_start", lambda self, *_: full(self.folder), raising=False)
    assert train(*tiny, *QUICK[:2], "hydra.run.dir=a/b/run").status == 1
    assert not (tmp_path / "a").exists()


def test_what_was_there_before_stays(train: Command, tmp_path: Path) -> None:
    for folder in ("runs", "there", "sweep/0"):
        (tmp_path / folder).mkdir(parents=True)
    assert train("seed=-1").status == 1
    assert train("seed=-1", "hydra.run.dir=there").status == 1
    assert train("-m", "seed=-1,-2", "hydra.sweep.dir=sweep").status == 1
    assert list((tmp_path / "runs").iterdir()) == []
    assert (tmp_path / "there" / ".hydra").is_dir()
    assert [(tmp_path / "sweep" / job).exists() for job in "01"] == [True, False]


def test_a_file_of_somebody_else_keeps_its_folder(
    train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fishcnn.commands.train.train.check_train

    def check(config: object) -> object:
        (tmp_path / "new" / "notes.txt").write_text("mine")
        return whole(config)  # type: ignore[arg-type]

    monkeypatch.setattr(fishcnn.commands.train.train, "check_train", check)
    assert train("seed=-1", "hydra.run.dir=new").status == 1
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"


def test_a_job_that_fails_goes_and_stays_in_the_table(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    finished = train("-m", *tiny, *QUICK, "data.workers=1,0", "hydra.sweep.dir=sweep")
    assert finished.status == 1
    assert [(tmp_path / "sweep" / job).exists() for job in "01"] == [True, False]
    assert "failed" in finished.out
    jobs = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["jobs"]
    assert [job["val_acc"] is None for job in jobs] == [False, True]


@pytest.mark.parametrize(
    "moment", ["on_train_epoch_start", "on_train_batch_end", "on_validation_end"]
)
@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_is_stopped_before_its_first_checkpoint_leaves_no_folder(
    train: Command,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    there: bool,
) -> None:
    kill_before(monkeypatch, History, moment, SIGTERM)
    if there:
        (tmp_path / "run").mkdir()
    finished = train(*tiny, *QUICK[:2], *["hydra.run.dir=run"] * there)
    assert finished.status == 143
    assert "nothing is kept; to begin again: " in finished.err
    assert ("hydra.run.dir=run" in finished.err) == there
    assert RunFolder(tmp_path / "run").config.is_file() == there
    assert not (tmp_path / "runs").exists()


def test_a_run_whose_first_epoch_fails_stays(
    train: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = History.on_train_batch_end

    def failing(self: History, *arguments: object) -> None:
        whole(self, *arguments)  # type: ignore[arg-type]
        raise unwritable(self.folder.path, OSError(28, "No space left on device"))

    monkeypatch.setattr(History, "on_train_batch_end", failing)
    assert train(*tiny, *QUICK, "hydra.run.dir=run").status == 1
    assert RunFolder(tmp_path / "run").config.is_file()


@pytest.mark.parametrize("name", ["predict", "evaluate", "explain", "export", "inspect_data"])
def test_no_command_that_fails_leaves_a_new_folder(
    script: Command, trained: RunFolder, name: str
) -> None:
    Path("empty").mkdir()
    file = "/out.csv" if name == "predict" else ""
    settings = {
        "predict": ["input=empty"],
        "evaluate": ["data_root=empty"],
        "explain": ["input=empty", "trust=false"],
        "export": ["input=empty"],
        "inspect_data": ["data.root=empty"],
    }
    finished = script(name, *settings[name], f"output=new/deep{file}")
    assert finished.status == 1, finished.out
    assert not Path("new").exists()
