from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fishcnn.commands.build import build_classifier, compose_config
from fishcnn.commands.train.build_trainer import Callbacks, native_precision
from fishcnn.commands.train.hyperparameters import hyperparameters, run_name, typed_settings
from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.averaged_weights import AveragedWeights
from fishcnn.training.callbacks.best_checkpoint import BestCheckpoint
from fishcnn.training.callbacks.early_stopping import PatientEarlyStopping
from fishcnn.training.callbacks.epoch_lines import EpochLines
from fishcnn.training.callbacks.grad_cam import GradCam
from fishcnn.training.callbacks.history import History
from fishcnn.training.callbacks.progress_bar import ProgressBar
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder

CONF = Path(__file__).parents[2] / "conf"


@contextmanager
def configured(*overrides: str) -> Iterator[DictConfig]:
    """The real configuration, as a script would get it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        try:
            yield config
        finally:
            HydraConfig.instance().cfg = None


def kinds_of(config: DictConfig, folder: Path) -> list[type[pl.Callback]]:
    return [type(callback) for callback in Callbacks(config, "", RunFolder(folder), None).all]


def test_callbacks_are_called_in_the_order_that_they_need(tmp_path: Path) -> None:
    with configured("callbacks.ema.enabled=true") as config:
        kinds = kinds_of(config, tmp_path)
    # The average takes its weights back when a validation ends: the maps come before that.
    assert kinds.index(GradCam) < kinds.index(AveragedWeights)
    # A checkpoint without the latest epoch's curves would continue with a gap.
    assert kinds.index(History) < kinds.index(BestCheckpoint)
    for kind in (PatientEarlyStopping, EpochLines):
        assert kind in kinds


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_a_bar_as_well_as_the_lines_of_a_log_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    with configured() as config:
        kinds = kinds_of(config, tmp_path)
    assert (ProgressBar in kinds, EpochLines in kinds) == (terminal, True)


def test_callbacks_can_be_switched_off(tmp_path: Path) -> None:
    names = ("early_stopping", "grad_cam", "progress", "ema")
    overrides = [f"callbacks.{name}.enabled=false" for name in names]
    with configured(*overrides, "logger=none") as config:
        kinds = kinds_of(config, tmp_path)
    for kind in (
        PatientEarlyStopping,
        ProgressBar,
        GradCam,
        AveragedWeights,
        EpochLines,
    ):
        assert kind not in kinds


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer=sgd", "optimizer.momentum=0"], "optimizer=sgd: Nesterov"),
        (["model.head=mlp"], "model.head=mlp: choose one of flatten, gap"),
        (["model.blocks=5"], "model.blocks=5: an image of 16 pixels"),
        (["model=torchvision", "model.architecture=alexnet"], "data.image_size=16: alexnet"),
    ],
)
def test_a_classifier_that_cannot_be_built_names_the_setting(
    datamodule: FishDataModule, overrides: list[str], message: str
) -> None:
    with pytest.raises(FishError) as error:
        build_classifier(compose_config(*overrides), datamodule)
    assert str(error.value).startswith(message)


def test_bfloat16_is_used_on_the_processors_that_compute_it() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()  # Linux's own list
    expected = "bf16-mixed" if "avx512_bf16" in flags else "32-true"
    assert native_precision("cpu") == expected
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        assert native_precision("auto") == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bfloat16_is_used_on_the_gpus_that_compute_it() -> None:
    native = torch.cuda.get_device_capability() >= (8, 0)  # since NVIDIA's Ampere
    assert (native_precision("auto") == "bf16-mixed") == native


def test_the_hparams_tab_has_what_the_command_line_has_chosen() -> None:
    typed = ["augment=strong", "model.blocks=3", "+trainer.limit_val_batches=2", "runs=there"]
    with configured(*typed) as config:
        chosen = typed_settings()
        values = hyperparameters(config)
    assert chosen == ["augment", "model.blocks", "trainer.limit_val_batches", "runs"]
    assert "runs" not in values
    assert values["augment.name"] == "strong"
    assert values["model.blocks"] == 3
    assert values["trainer.limit_val_batches"] == 2
    # A column of the other network stays, empty, so that all runs have the same columns.
    assert values["model.architecture"] is None
    assert values["experiment"] is None


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "cnn"),
        (["data=folder", "data.root=/fish", "trainer.max_epochs=3", "runs=there"], "cnn"),
        (["model=torchvision"], "model=torchvision"),
        (["experiment=best", "optimizer.lr=5e-4"], "experiment=best,lr=0.0005"),
        (["model.blocks=3", "optimizer.lr=1e-3"], "blocks=3,lr=0.001"),
        # The last word alone would name both.
        (["model.name=cnn", "optimizer.name=sgd"], "model.name=cnn,optimizer.name=sgd"),
        (["model.blocks=2", "model.blocks=3"], "blocks=3"),
        (["+model.note='../a b/c:*'"], "note=.._a_b_c_"),
        (["+model.note='ইলিশ'"], "note=ইলিশ"),
    ],
)
def test_tensorboard_calls_a_run_what_was_chosen_for_it(overrides: list[str], name: str) -> None:
    with configured(*overrides) as config:
        assert run_name(config) == name


def test_the_name_of_a_run_is_one_that_a_folder_can_have(tmp_path: Path) -> None:
    with configured(f"+model.note='{'ইলিশ' * 99}'") as config:
        (tmp_path / run_name(config)).mkdir()
