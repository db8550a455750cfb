"""A small fit, as all tests of callbacks run it."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fishcnn.training.diagnosis import Settings

# Of that fit, for the diagnosis.
SETTINGS = Settings(
    model="cnn",
    blocks=2,
    head="gap",
    dropout=0.5,
    augment="none",
    mixing=False,
    lr=0.01,
    weight_decay=0.0,
    label_smoothing=0.0,
    max_epochs=2,
    early_stopping=False,
    pretrained=False,
    rendered=False,
    optimizer="sgd",
)


def small_trainer(folder: Path, *callbacks: pl.Callback, **changes: Any) -> pl.Trainer:
    """A trainer for two epochs on the CPU that logs to TensorBoard and prints nothing."""
    folder.mkdir(exist_ok=True)
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": TensorBoardLogger(folder, name="", version=""),
            "callbacks": list(callbacks),
            "default_root_dir": folder,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            **changes,
        }
    )


def events(folder: Path) -> EventAccumulator:
    """What TensorBoard would show of that folder."""
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
