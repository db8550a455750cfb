from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.callbacks import LearningRateMonitor

from fishcnn.commands.build import Callbacks, native_precision
from fishcnn.commands.train.hyperparameters import hyperparameters, overridden_settings
from fishcnn.training.callbacks.checkpoint import BestCheckpoint
from fishcnn.training.callbacks.ema import AveragedWeights
from fishcnn.training.callbacks.grad_cam import GradCam
from fishcnn.training.callbacks.history import History
from fishcnn.training.callbacks.progress import EpochLines, ProgressBar
from fishcnn.training.callbacks.resuming import PatientEarlyStopping

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


def test_callbacks_are_called_in_the_order_that_they_need(tmp_path: Path) -> None:
    with configured("callbacks.ema.enabled=true") as config:
        kinds = [type(callback) for callback in Callbacks(config, "", tmp_path, None).all()]
    # The average takes its weights back when a validation ends: the maps come before that.
    assert kinds.index(GradCam) < kinds.index(AveragedWeights)
    # A checkpoint without the latest epoch's curves would continue with a gap.
    assert kinds.index(History) < kinds.index(BestCheckpoint)
    for kind in (LearningRateMonitor, PatientEarlyStopping, EpochLines):
        assert kind in kinds


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_a_bar_and_a_log_file_gets_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    with configured() as config:
        kinds = [type(callback) for callback in Callbacks(config, "", tmp_path, None).all()]
    assert (ProgressBar in kinds, EpochLines in kinds) == (terminal, not terminal)


def test_callbacks_can_be_switched_off(tmp_path: Path) -> None:
    names = ("early_stopping", "grad_cam", "progress", "ema")
    overrides = [f"callbacks.{name}.enabled=false" for name in names]
    with configured(*overrides, "logger=none") as config:
        kinds = [type(callback) for callback in Callbacks(config, "", tmp_path, None).all()]
    for kind in (
        LearningRateMonitor,
        PatientEarlyStopping,
        ProgressBar,
        GradCam,
        AveragedWeights,
        EpochLines,
    ):
        assert kind not in kinds


@pytest.mark.parametrize(
    ("accelerator", "cuda", "mps", "cpu", "expected"),
    [
        ("auto", True, False, False, "bf16-mixed"),
        ("auto", False, True, True, "32-true"),
        ("auto", False, False, True, "bf16-mixed"),
        ("auto", False, False, False, "32-true"),
        ("cpu", True, False, False, "32-true"),
        ("cpu", True, True, True, "bf16-mixed"),
        ("mps", False, True, True, "32-true"),
    ],
)
def test_bfloat16_is_used_where_the_chosen_hardware_computes_it(
    monkeypatch: pytest.MonkeyPatch,
    accelerator: str,
    cuda: bool,
    mps: bool,
    cpu: bool,
    expected: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu)
    assert native_precision(accelerator) == expected


def test_the_hparams_tab_puts_first_what_the_command_line_has_chosen() -> None:
    with configured("augment=strong", "model.blocks=3", "+trainer.limit_val_batches=2") as config:
        chosen = overridden_settings()
        values = hyperparameters(config, chosen)
    assert chosen == ["augment.name", "model.blocks", "trainer.limit_val_batches"]
    assert values["augment.name"] == "strong"
    assert values["model.blocks"] == 3
    assert values["trainer.limit_val_batches"] == 2
    # A column of the other network stays, empty, so that all runs have the same columns.
    assert values["model.architecture"] is None
    assert values["experiment"] is None
