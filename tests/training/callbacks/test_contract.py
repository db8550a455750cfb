"""What every callback has to bear; a new file in ``callbacks/`` is covered as it stands there."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fitting import SETTINGS, events, small_trainer
from networks import small_classifier
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Checkpoint, ProgressBar

from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.training import callbacks as package
from fishcnn.training.callbacks.averaged_weights import AveragedWeights
from fishcnn.training.callbacks.early_stopping import PatientEarlyStopping
from fishcnn.training.callbacks.epoch_lines import EpochLines
from fishcnn.training.callbacks.grad_cam import GradCam
from fishcnn.training.callbacks.history import History
from fishcnn.training.callbacks.train_batch import TrainBatch
from fishcnn.utils.run_folder import RunFolder

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    # TensorBoard traces the network for its Graphs tab; torch prefers other ways.
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    # The second part of a fit writes into the folder of the first.
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    # The first epoch of two has no validation loss yet.
    pytest.mark.filterwarnings("ignore:.*could not find the monitored key"),
]

CONF = Path(__file__).parents[3] / "conf"


def classes_of(module: str) -> list[type[pl.Callback]]:
    members = vars(importlib.import_module(f"{package.__name__}.{module}")).values()
    return [
        kind
        for kind in members
        if inspect.isclass(kind)
        and issubclass(kind, pl.Callback)
        and kind.__module__ == f"{package.__name__}.{module}"
    ]


FILES = [file.name for file in pkgutil.iter_modules(package.__path__)]
KINDS = [kind for file in FILES for kind in classes_of(file)]


def goes_on(epoch: int, loss: float) -> bool:
    """What a search says that never ends a trial; a process that is spawned can be given it."""
    return False


def made(kind: type[pl.Callback], folder: Path, history: History | None) -> pl.Callback:
    """One with the arguments that have no default."""
    given: Mapping[str, Any] = {
        "folder": RunFolder(folder),
        "history": history,
        "settings": SETTINGS,
        "hyperparameters": {"lr": 0.01, "name": "cnn", "none": None, "on": True},
        "data_report": "36 images",
        "report": goes_on,
    }
    parameters = inspect.signature(kind).parameters.values()
    return kind(**{p.name: given[p.name] for p in parameters if p.name in given})


def together(kinds: list[type[pl.Callback]], folder: Path) -> list[pl.Callback]:
    """Callbacks that share their curves."""
    history = History(RunFolder(folder))
    rest = [made(kind, folder, history) for kind in kinds if kind is not History]
    needs_history = any("history" in inspect.signature(kind).parameters for kind in kinds)
    return [history, *rest] if needs_history or History in kinds else rest


def options(callbacks: list[pl.Callback]) -> dict[str, Any]:
    """What a trainer has to be told of them."""
    return {
        "enable_progress_bar": any(isinstance(c, ProgressBar) for c in callbacks),
        "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
    }


@pytest.fixture
def classifier(datamodule: FishDataModule) -> FishClassifier:
    return small_classifier(datamodule.classes, mean=datamodule.mean, std=datamodule.std)


def test_each_file_holds_one_callback() -> None:
    assert {file: len(classes_of(file)) for file in FILES} == dict.fromkeys(FILES, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_goes_on_where_it_stopped(
    kind: type[pl.Callback], classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path
) -> None:
    first = together([kind], tmp_path)
    trainer = small_trainer(tmp_path, *first, **options(first))
    trainer.fit(classifier, datamodule=datamodule)
    assert trainer.global_step == 6  # 27 images in batches of 9
    checkpoint = tmp_path / "part.ckpt"
    trainer.save_checkpoint(checkpoint)
    second = together([kind], tmp_path)
    trainer = small_trainer(tmp_path, *second, max_epochs=3, **options(second))
    trainer.fit(classifier, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    assert trainer.global_step == 9
    assert trainer.callback_metrics["val_loss"].isfinite()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("without", ["logger", "masks", "validation in each epoch"])
def test_a_fit_does_without(
    kind: type[pl.Callback],
    classifier: FishClassifier,
    datamodule: FishDataModule,
    tmp_path: Path,
    without: str,
) -> None:
    changes: dict[str, Any] = {}
    if without == "logger":
        changes = {"logger": False}
    elif without == "masks":
        datamodule.images.masks = None
    else:
        changes = {"check_val_every_n_epoch": 2}
    callbacks = together([kind], tmp_path)
    trainer = small_trainer(tmp_path, *callbacks, **options(callbacks), **changes)
    trainer.fit(classifier, datamodule=datamodule)
    assert trainer.global_step == 6


class Spy(pl.Callback):
    """Notes what a callback has to leave alone, before and after it."""

    def __init__(self, seen: list[dict[str, Any]]) -> None:
        self.seen = seen

    def note(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        self.seen.append(
            {
                "modes": [part.training for part in module.modules()],
                "hooks": [len(part._forward_hooks) for part in module.modules()],
                "gradients": [
                    None if p.grad is None else p.grad.clone() for p in module.parameters()
                ],
                "random": torch.get_rng_state(),
            }
        )

    on_train_start = on_train_epoch_start = on_train_batch_start = note
    on_train_batch_end = on_train_epoch_end = on_validation_end = note
    on_validation_epoch_end = on_validation_start = note


class KeepsGradients(pl.Callback):
    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        for number, parameter in enumerate(module.parameters()):
            parameter.grad = torch.full_like(parameter, number)


@pytest.mark.parametrize("kind", KINDS)
def test_modes_gradients_hooks_and_random_numbers_are_left_alone(
    kind: type[pl.Callback], classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path
) -> None:
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = []
    watched = [KeepsGradients(), Spy(before), *together([kind], tmp_path), Spy(after)]
    trainer = small_trainer(tmp_path, *watched, **options(watched))
    trainer.fit(classifier, datamodule=datamodule)
    assert len(before) == len(after) == 1 + 2 * (1 + 3 * 2 + 1 + 3)
    for first, second in zip(before, after, strict=True):
        assert first["modes"] == second["modes"]
        assert first["hooks"] == second["hooks"]
        assert torch.equal(first["random"], second["random"])
        for left, right in zip(first["gradients"], second["gradients"], strict=True):
            assert (left is None and right is None) or torch.equal(left, right)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*sync_dist=True")  # what is logged is synchronised already
def test_all_of_them_together_fit_on_two_processes(
    classifier: FishClassifier, datamodule: FishDataModule, tmp_path: Path
) -> None:
    callbacks = [c for c in together(KINDS, tmp_path) if not isinstance(c, ProgressBar)]
    two = {"devices": 2, "strategy": "ddp_spawn", "enable_checkpointing": True}
    trainer = small_trainer(tmp_path, *callbacks, **two)
    trainer.fit(classifier, datamodule=datamodule)
    seen = events(tmp_path)
    # The first process alone writes.
    for tag in ("train/loss", "val/accuracy", "cam/energy_on_fish", "cam/average_drop"):
        assert [event.step for event in seen.Scalars(tag)] == [1, 2], tag
    assert [event.step for event in seen.Images("cam/grad_cam")] == [1, 2]
    assert RunFolder(tmp_path).best_checkpoint.is_file()
    assert RunFolder(tmp_path).diagnosis.is_file()


def test_the_defaults_are_those_of_the_train_command() -> None:
    conf = OmegaConf.to_container(OmegaConf.load(CONF / "callbacks" / "default.yaml"))
    switched = {
        "early_stopping": PatientEarlyStopping,
        "grad_cam": GradCam,
        "train_batch": TrainBatch,
        "ema": AveragedWeights,
        "progress": EpochLines,
    }
    assert isinstance(conf, dict)
    assert conf.keys() == switched.keys()
    for name, kind in switched.items():
        parameters = inspect.signature(kind).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        assert defaults | {"enabled": True} == conf[name]
