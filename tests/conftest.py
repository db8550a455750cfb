"""What several tests need: tiny rendered data, and the real command line."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from omegaconf import OmegaConf
from running import images_of, logging_as_before, run_and_read, run_script

from fishcnn.commands.settings import plain
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.rendering.synthetic import ensure_synthetic
from fishcnn.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Page

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """No test sees how an earlier one has left the logging."""
    with logging_as_before():
        yield


@pytest.fixture(scope="session")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered species, 12 pictures each: ``pictures/`` and ``masks/``."""
    return ensure_synthetic(
        tmp_path_factory.mktemp("fish"),
        species=3,
        images_per_class=12,
        long_side=64,
        shortcut=0.0,
        seed=0,
        workers=1,
    )


@pytest.fixture(scope="session")
def plain_recipe() -> Recipe:
    """The augmentation that does nothing."""
    config = OmegaConf.load(REPOSITORY / "conf" / "augment" / "none.yaml")
    return Recipe.from_config(plain(config))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def read_only_disk(small_disk: Path) -> Path:
    """A disk that nobody may write to, not even root."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk


@pytest.fixture
def datamodule(fish: Path, plain_recipe: Recipe) -> FishDataModule:
    """The rendered pictures at 16 pixels, 27 for training and 9 for validation, set up."""
    module = FishDataModule(
        fish / "pictures",
        masks_root=fish / "masks",
        recipe=plain_recipe,
        image_size=16,
        working_size=20,
        batch_size=9,
        val_fraction=0.25,
        group_duplicates=False,
        cache="ram",
        workers=1,
    )
    module.setup()
    return module


@dataclass(frozen=True)
class Finished:
    """A script that has ended.

    Attributes:
        status: exit status.
        out: standard output.
        err: standard error.
    """

    status: int
    out: str
    err: str


Command = Callable[..., Finished]


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run a script of ``scripts/`` by its name in this process, standing in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))

    def run(name: str, *overrides: str) -> Finished:
        capfd.readouterr()
        status = run_script(name, *overrides)
        captured = capfd.readouterr()
        return Finished(status, captured.out, captured.err)

    return run


@pytest.fixture
def train(script: Command) -> Command:
    """Run ``scripts/train.py``."""
    return functools.partial(script, "train")


@pytest.fixture
def tiny(fish: Path) -> list[str]:
    """Overrides that train on the rendered pictures in a few seconds."""
    return tiny_settings(fish)


def tiny_settings(fish: Path) -> list[str]:
    """See :func:`tiny`, for fixtures that live longer than a test."""
    return [
        "data=folder",
        f"data.root={fish / 'pictures'}",
        f"data.masks_root={fish / 'masks'}",
        "data.image_size=32",
        "data.batch_size=8",
        "model.blocks=2",
        "model.hidden=16",
        "trainer.accelerator=cpu",
        "trainer.max_epochs=2",
        "callbacks.progress.enabled=false",
    ]


@pytest.fixture(scope="session")
def _trained(fish: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one training of the suite: a folder with ``images/``, ``masks/`` and ``runs/first/``."""
    place = tmp_path_factory.mktemp("trained")
    shutil.copytree(fish / "pictures", place / "images")
    shutil.copytree(fish / "masks", place / "masks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("FISHCNN_CACHE", str(place / "cache"))
        status, printed = run_and_read(
            "train",
            "data=folder",
            f"data.root={place / 'images'}",
            f"data.masks_root={place / 'masks'}",
            "data.image_size=32",
            "data.batch_size=8",
            "data.val_fraction=0.6",
            "model.blocks=2",
            "model.base_channels=32",
            "trainer.accelerator=cpu",
            "trainer.max_epochs=4",
            "callbacks.progress.enabled=false",
            "hydra.run.dir=runs/first",
        )
    assert status == 0, printed
    return place


@pytest.fixture
def trained(_trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A copy of the trained run, which a test may change, as the only run where the test stands.

    Three species at 32 pixels, 14 images for training and 22 for validation. The images that it was
    trained on, and their cache, are shared: they are not to be changed.
    """
    place = tmp_path / "place"
    shutil.copytree(_trained / "runs", place / "runs")
    monkeypatch.chdir(place)
    monkeypatch.setenv("FISHCNN_CACHE", str(_trained / "cache"))
    return RunFolder(place / "runs" / "first")


@pytest.fixture
def copy(trained: RunFolder) -> Path:
    """A copy of the images of the run: 14 that it was trained on, 22 that it was validated on."""
    return Path(shutil.copytree(images_of(trained), "copy"))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page in a browser that has no network."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install -e '.[test]'"
    )
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=chromium,
            args=("--no-sandbox", "--disable-gpu", "--no-first-run"),  # root needs the first
            headless=True,
            offline=True,
            viewport={"width": 1200, "height": 900},
        )
        yield context.pages[0]
        context.close()
