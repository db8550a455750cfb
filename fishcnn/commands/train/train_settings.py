"""The settings of a training that no constructor of the library checks."""

from omegaconf import DictConfig

from fishcnn.commands.settings import check_settings
from fishcnn.utils.checks import choice, flag, number, optional, whole
from fishcnn.utils.errors import FishError

_WANTED = {
    "seed": whole(0, 2**32 - 1),
    "optimizer.lr": number(0),
    "optimizer.weight_decay": number(0),
    "scheduler.factor": number(0, 0.999),
    "scheduler.patience": whole(0),
    "scheduler.eta_min": number(0),
    "scheduler.pct_start": number(0.01, 0.99),
    "loss.label_smoothing": number(0, 1),
    "callbacks.early_stopping.patience": whole(1),
    "callbacks.early_stopping.start_epoch": whole(1),
    "callbacks.grad_cam.every_n_epochs": whole(1),
    "callbacks.grad_cam.pictures": whole(1, 1000),
    "callbacks.grad_cam.measured": whole(1),
    "callbacks.grad_cam.seed": whole(0, 2**32 - 1),
    "callbacks.ema.decay": number(0, 1),
    "logger.name": choice("tensorboard", "none"),
    "trainer.gradient_clip_val": optional(number(0, above=True)),
    "trainer.max_epochs": whole(1),
    "trainer.check_val_every_n_epoch": whole(1),
    "trainer.compile": flag,
    # Weights of half precision would need images of half precision everywhere.
    "trainer.precision": choice("auto", "32-true", "bf16-mixed", "16-mixed"),
}


def check_train_settings(config: DictConfig) -> None:
    """Check the settings of a training before its data is read.

    Raises:
        FishError: a setting is out of range; the message names it and its range.
    """
    check_settings(config, _WANTED)
    epochs, every = config.trainer.max_epochs, config.trainer.check_val_every_n_epoch
    if every > epochs:
        raise FishError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={epochs}: "
            "nothing would be validated"
        )
