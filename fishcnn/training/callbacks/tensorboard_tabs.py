"""Fills the TensorBoard tabs that are written once: text, graph, hyperparameters.

Of each run only the values of the hyperparameters are written. From those of all runs that it
shows, TensorBoard finds the columns of its table, puts first what differs, in alphabetical order,
and behind all of them the scalars as metrics. So the accuracy is written as one of them as well:
it comes first. torch's own writer lists columns as well; then TensorBoard shows those of one run
and no others, and takes none for different.
"""

import copy
import warnings
from collections.abc import Mapping
from typing import cast

import pytorch_lightning as pl
import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard._pytorch_graph import graph

from fishcnn.models.classifier import FishClassifier
from fishcnn.models.scores import MONITOR
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.figure import figure_to_array
from fishcnn.training.callbacks.history import History
from fishcnn.training.event_files import is_continued
from fishcnn.training.writer import tensorboard_writer

Value = bool | float | str
# Of the best epoch, on the validation images. It sorts before all settings.
ACCURACY = "accuracy"
# By the settings of the network.
_graphs: dict[str, tuple[GraphDef, object]] = {}


class TensorBoardTabs(pl.Callback):
    """Write what describes the run as a whole.

    Logs the text ``data``, the graph, the hyperparameters, and the figure ``val/confusion_matrix``.

    Args:
        hyperparameters: by dotted name; None leaves a cell of the HParams tab empty.
        data_report: Markdown about the images.
        graph: whether to trace the network for the Graphs tab.
    """

    def __init__(
        self,
        *,
        hyperparameters: Mapping[str, Value | None],
        data_report: str,
        graph: bool = True,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.data_report = data_report
        self.graph = graph
        self._traced = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the text."""
        if (writer := tensorboard_writer(trainer)) and not is_continued(writer):
            writer.add_text("data", self.data_report, 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the graph after the first epoch: tracing it would keep the first step waiting."""
        if not self.graph or self._traced or not (writer := tensorboard_writer(trainer)):
            return
        self._traced = True
        if trainer.current_epoch == 0 or not is_continued(writer):
            _write_graph(writer, cast(FishClassifier, pl_module))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Write the row of the HParams tab, marked as failed, unless the run can go on."""
        # What comes first of a run counts for TensorBoard, whatever follows.
        writer = tensorboard_writer(trainer)
        if writer and not isinstance(exception, KeyboardInterrupt):
            _write_hparams(writer, self.hyperparameters)
            _write_status(writer, api_pb2.STATUS_FAILURE)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the confusion matrix of the last validation, and write the row of HParams."""
        classifier = cast(FishClassifier, pl_module)
        if writer := tensorboard_writer(trainer):
            counts = classifier.confusion.numpy()
            # TensorBoard scales an image to the width of a card: a small one stays readable.
            figure = confusion_matrix(counts, classifier.classes, "Last validation", side=300)
            image = figure_to_array(figure)
            writer.add_image(
                "val/confusion_matrix", image, trainer.current_epoch, dataformats="HWC"
            )
            _write_hparams(writer, {ACCURACY: _accuracy(trainer), **self.hyperparameters})
            _write_status(writer, api_pb2.STATUS_SUCCESS)


def _accuracy(trainer: pl.Trainer) -> float | None:
    """Validation accuracy of the epoch with the lowest validation loss, as the run is judged by."""
    histories = [one for one in trainer.callbacks if isinstance(one, History)]  # type: ignore[attr-defined]
    validated = [epoch for one in histories for epoch in one.epochs if "val_acc" in epoch]
    if not validated:
        return None
    return min(validated, key=lambda epoch: epoch[MONITOR])["val_acc"]


def _write_hparams(writer: SummaryWriter, values: Mapping[str, Value | None]) -> None:
    """Write this run's row, which TensorBoard shows when its status has followed."""
    start = SessionStartInfo()
    for name, value in values.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        elif value is not None:
            start.hparams[name].string_value = value
    _write(writer, metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def _write_status(writer: SummaryWriter, status: int) -> None:
    """Write how a run has ended."""
    end = SessionEndInfo(status=status)
    _write(writer, metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _write(writer: SummaryWriter, tag: str, data: HParamsPluginData) -> None:
    data.version = metadata.PLUGIN_DATA_VERSION
    plugin = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString()
    )
    event = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))
    file_writer = writer._get_file_writer()  # type: ignore[no-untyped-call]
    file_writer.add_summary(Summary(value=[event]))


def _write_graph(writer: SummaryWriter, classifier: FishClassifier) -> None:
    """Trace the network on an empty image, unless it is that of an earlier job of this process.

    torch keeps some megabytes of each trace for as long as the process lives.
    """
    settings = classifier.hparams
    network = repr((settings["model"], settings["image_size"], len(settings["classes"])))
    if network not in _graphs:
        _graphs[network] = _trace(classifier)
    file_writer = writer._get_file_writer()  # type: ignore[no-untyped-call]
    file_writer.add_graph(_graphs[network])


def _trace(classifier: FishClassifier) -> tuple[GraphDef, object]:
    size = classifier.image_size
    example = torch.zeros(2, 3, size, size, device=classifier.device)
    network = copy.deepcopy(classifier.network).eval()  # a copy is not compiled
    with warnings.catch_warnings():
        # Tracing is all that TensorBoard can read; that torch prefers other ways is not our news.
        warnings.simplefilter("ignore")
        traced: tuple[GraphDef, object] = graph(network, example, use_strict_trace=False)  # type: ignore[no-untyped-call]
    return traced
