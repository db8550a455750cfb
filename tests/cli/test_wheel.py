"""The package as it is installed from a wheel, far from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fishcnn.metrics.intervals import wilson_interval
from fishcnn.utils.run_folder import RunFolder

REPOSITORY = Path(__file__).parents[2]
LIBRARY = """
import fishcnn, pytorch_lightning
from fishcnn import FishClassifier, FishDataModule
datamodule = FishDataModule("images", image_size=32)
datamodule.setup()
classifier = FishClassifier.for_data(datamodule, blocks=2)
trainer = pytorch_lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False)
trainer.fit(classifier, datamodule)
print(trainer.callback_metrics["val_loss"].item(), fishcnn.__file__)
"""
pytestmark = pytest.mark.slow
Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, REPOSITORY], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel in it."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps"]
    subprocess.run([*pip, wheel], check=True)
    # What fishcnn needs comes from the environment of the tests; the checkout is not in it, as .pth
    # files have no effect there.
    (packages,) = (environment / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


@pytest.fixture
def run(programs: Path, fish: Path, tmp_path: Path) -> Run:
    """Run a program of the environment beside ``images/``; return what it prints."""
    shutil.copytree(fish / "pictures", tmp_path / "images")
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run_program(name: str, *arguments: str) -> str:
        finished = subprocess.run(
            [programs / name, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=without | {"FISHCNN_CACHE": str(tmp_path / "cache")},
            timeout=300,
        )
        assert finished.returncode == 0, finished.stderr[-3000:]
        return finished.stdout

    return run_program


def test_a_wheel_holds_every_file_of_the_package_and_the_configuration(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("fishcnn/")}
    folders = {"fishcnn": REPOSITORY / "fishcnn", "fishcnn/conf": REPOSITORY / "conf"}
    expected = {
        f"{name}/{file.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }
    assert packed == expected


def test_the_library_trains_from_a_wheel(run: Run, programs: Path) -> None:
    loss, file = run("python", "-c", LIBRARY).split()[-2:]
    assert 0 < float(loss) < 10
    assert Path(file).is_relative_to(programs.parent)


def test_the_console_command_trains_on_two_processes_and_evaluates(
    run: Run, tmp_path: Path
) -> None:
    small = ["data.image_size=32", "data.batch_size=8", "model.blocks=2", "trainer.max_epochs=1"]
    two = ["trainer.accelerator=cpu", "trainer.devices=2"]
    run("fishcnn", "train", "data=folder", "data.root=images", *small, *two, "hydra.run.dir=run")
    folder = tmp_path / "run"
    summary = json.loads((folder / "summary.json").read_text())
    # Every validation image counts once, although the two processes share them out.
    total = len(json.loads((folder / "split.json").read_text())["val"])
    hits = round(summary["val_acc"] * total)
    assert summary["val_acc"] == pytest.approx(hits / total)
    assert summary["val_acc_interval"] == pytest.approx(wilson_interval(hits, total))
    logs = RunFolder(folder).events("")
    assert logs.name == "blocks=2"
    events = EventAccumulator(str(logs), size_guidance={"images": 0}).Reload()
    assert [event.step for event in events.Images("cam/grad_cam")] == [1]

    assert "report" in run("fishcnn", "evaluate", "ckpt=run")
    assert (folder / "evaluation" / "val" / "report.html").stat().st_size > 10_000

    # The second process starts when the first one has made the folder of the new run.
    more = ["ckpt_path=last", "runs=.", "trainer.max_epochs=2", "hydra.run.dir=more"]
    run("fishcnn", "train", "data=folder", "data.root=images", *small, *two, *more)
    assert json.loads((tmp_path / "more" / "summary.json").read_text())["epochs"] == 2
