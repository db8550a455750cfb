"""Fills the TensorBoard tabs that are written once: text, graph, chart layout, hyperparameters."""

import warnings
from collections.abc import Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from fishcnn.classifier import FishClassifier
from fishcnn.figures import figure_to_array
from fishcnn.plots import confusion_matrix

# The HParams tab takes as metrics only those that it was told of at the first call.
METRICS = ("val_loss", "val_acc", "val_f1", "val_top3")

_CHARTS = {
    "training": {
        "loss": ["Multiline", ["train_loss", "val_loss"]],
        "accuracy": ["Multiline", ["train_acc", "val_acc"]],
    }
}


class TensorBoardTabs(pl.Callback):
    """Write what describes the run as a whole.

    Logs the text ``data``, the graph, the custom scalars layout ``training``, the hyperparameters
    with ``hparams/<metric>`` for each of :data:`METRICS`, and the figure ``confusion_matrix``.

    Args:
        overrides: hyperparameters by dotted name; numbers, strings and booleans.
        data_report: Markdown about the pictures.
        graph: whether to trace the network for the Graphs tab.
    """

    def __init__(
        self, *, overrides: Mapping[str, float | str | bool], data_report: str, graph: bool
    ) -> None:
        self.overrides = dict(overrides)
        self.data_report = data_report
        self.graph = graph

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write text, layout, hyperparameters and graph."""
        logger = trainer.logger
        if not isinstance(logger, TensorBoardLogger) or not trainer.is_global_zero:
            return
        logger.experiment.add_text("data", self.data_report, 0)
        logger.experiment.add_custom_scalars(_CHARTS)
        unknown = {f"hparams/{name}": float("nan") for name in METRICS}
        logger.log_hyperparams(self.overrides, unknown, step=0)
        if self.graph:
            _log_graph(logger, cast(FishClassifier, pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the metrics of the HParams tab up to date, so that a killed run has some too."""
        metrics = {f"hparams/{name}": trainer.callback_metrics.get(name) for name in METRICS}
        known = {name: float(value) for name, value in metrics.items() if value is not None}
        if isinstance(trainer.logger, TensorBoardLogger):
            trainer.logger.log_metrics(known, trainer.current_epoch + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the confusion matrix of the last validation."""
        classifier = cast(FishClassifier, pl_module)
        if isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero:
            figure = confusion_matrix(
                classifier.confusion.numpy(), classifier.classes, "Last validation"
            )
            image = figure_to_array(figure)
            trainer.logger.experiment.add_image(
                "confusion_matrix", image, trainer.current_epoch, dataformats="HWC"
            )


def _log_graph(logger: TensorBoardLogger, classifier: FishClassifier) -> None:
    size = classifier.image_size
    example = torch.zeros(2, 3, size, size, device=classifier.device)
    training = classifier.training
    classifier.eval()
    with warnings.catch_warnings():
        # Tracing is all that TensorBoard can read; that torch prefers other ways is not our news.
        warnings.simplefilter("ignore")
        logger.experiment.add_graph(classifier.network, example, use_strict_trace=False)
    classifier.train(training)


def plain_items(config: Mapping[str, Any], prefix: str = "") -> dict[str, float | str | bool]:
    """Flatten nested settings to dotted names with values that the HParams tab can show."""
    flat: dict[str, float | str | bool] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= plain_items(value, f"{name}.")
        elif isinstance(value, bool | int | float | str):
            flat[name] = value
        else:
            flat[name] = str(value)
    return flat
