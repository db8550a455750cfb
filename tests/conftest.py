"""What several tests need: tiny rendered data, and the real command line."""

import logging
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.sources import FolderSource
from fishcnn.data.synthetic import ensure_synthetic
from fishcnn.settings import plain

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered species, 12 pictures each: ``pictures/`` and ``masks/``."""
    return ensure_synthetic(
        tmp_path_factory.mktemp("fish"),
        species=3,
        pictures_per_class=12,
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
def datamodule(fish: Path, plain_recipe: Recipe) -> FishDataModule:
    """The rendered pictures at 16 pixels, 27 for training and 9 for validation, set up."""
    module = FishDataModule(
        source=FolderSource(str(fish / "pictures"), str(fish / "masks")),
        recipe=plain_recipe,
        image_size=16,
        working_size=20,
        batch_size=9,
        val_fraction=0.25,
        split_seed=0,
        normalize="dataset",
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
def train(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run ``scripts/train.py`` in this process, standing in an empty folder."""
    script = REPOSITORY / "scripts" / "train.py"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))

    def run(*overrides: str) -> Finished:
        monkeypatch.setattr(sys, "argv", [str(script), *overrides])
        capfd.readouterr()
        handlers = list(logging.getLogger().handlers)
        try:
            runpy.run_path(str(script), run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            # Hydra's own would go on writing to this test's files.
            for handler in set(logging.getLogger().handlers) - set(handlers):
                logging.getLogger().removeHandler(handler)
                handler.close()
        captured = capfd.readouterr()
        return Finished(status, captured.out, captured.err)

    return run


@pytest.fixture
def tiny(fish: Path) -> list[str]:
    """Overrides that train on the rendered pictures in a few seconds."""
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
