"""Fills the TensorBoard tabs that are written once: text, graph, chart layout, hyperparameters."""

import copy
import warnings
from collections.abc import Collection, Mapping
from typing import cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.figure import figure_to_array
from fishcnn.training.hparams_tab import Value, write_hparams, write_status

# What the HParams tab shows of each run, as it was at the latest validation.
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
    with :data:`METRICS`, and the figure ``confusion_matrix``.

    Args:
        hyperparameters: by dotted name.
        overridden: names of those that were chosen for this run.
        data_report: Markdown about the pictures.
        graph: whether to trace the network for the Graphs tab.
    """

    def __init__(
        self,
        *,
        hyperparameters: Mapping[str, Value | None],
        overridden: Collection[str],
        data_report: str,
        graph: bool,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.overridden = overridden
        self.data_report = data_report
        self.graph = graph

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write text, layout, hyperparameters and graph."""
        logger = trainer.logger
        if not isinstance(logger, TensorBoardLogger) or not trainer.is_global_zero:
            return
        logger.experiment.add_text("data", self.data_report, 0)
        logger.experiment.add_custom_scalars(_CHARTS)
        write_hparams(
            logger.experiment, self.hyperparameters, first=self.overridden, metrics=METRICS
        )
        if self.graph:
            _log_graph(logger, cast(FishClassifier, pl_module))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Mark the run as failed in the HParams tab."""
        if isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero:
            write_status(trainer.logger.experiment, succeeded=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the confusion matrix of the last validation, and mark the run as finished."""
        classifier = cast(FishClassifier, pl_module)
        if isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero:
            figure = confusion_matrix(
                classifier.confusion.numpy(), classifier.classes, "Last validation"
            )
            write_status(trainer.logger.experiment, succeeded=True)
            image = figure_to_array(figure)
            trainer.logger.experiment.add_image(
                "confusion_matrix", image, trainer.current_epoch, dataformats="HWC"
            )


def _log_graph(logger: TensorBoardLogger, classifier: FishClassifier) -> None:
    """Trace the network on an empty picture."""
    size = classifier.image_size
    example = torch.zeros(2, 3, size, size, device=classifier.device)
    network = copy.deepcopy(classifier.network).eval()  # a copy is not compiled
    with warnings.catch_warnings():
        # Tracing is all that TensorBoard can read; that torch prefers other ways is not our news.
        warnings.simplefilter("ignore")
        logger.experiment.add_graph(network, example, use_strict_trace=False)
