"""Fills the TensorBoard tabs that are written once: text, graph, chart layout, hyperparameters.

TensorBoard takes the list of hyperparameter columns from one run of a folder and shows no others,
so the runs of a sweep should list the same. It puts first what is marked as different between the
runs; torch's own writer marks nothing, which hides what a sweep has swept among dozens of constant
columns.
"""

import copy
import warnings
from collections.abc import Collection, Mapping
from typing import cast

import pytorch_lightning as pl
import torch
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from torch.utils.tensorboard import SummaryWriter

from fishcnn.models.classifier import FishClassifier
from fishcnn.models.scores import SCORES, VAL_SCORES
from fishcnn.plots.confusion_matrix import confusion_matrix
from fishcnn.plots.figure import figure_to_array
from fishcnn.training.writer import tensorboard_writer

Value = bool | float | str

_CHARTS = {
    "training": {
        score.title: ["Multiline", [f"train_{score.key}", f"val_{score.key}"]]
        for score in SCORES
        if score.in_training
    }
}
_KINDS = {
    bool: ("bool_value", api_pb2.DATA_TYPE_BOOL),
    int: ("number_value", api_pb2.DATA_TYPE_FLOAT64),
    float: ("number_value", api_pb2.DATA_TYPE_FLOAT64),
}


class TensorBoardTabs(pl.Callback):
    """Write what describes the run as a whole.

    Logs the text ``data``, the graph, the custom scalars layout ``training``, the hyperparameters
    with the latest validation scores, and the figure ``confusion_matrix``.

    Args:
        hyperparameters: by dotted name; None leaves a cell of the HParams tab empty.
        overridden: names of those that were chosen for this run; their columns come first.
        data_report: Markdown about the images.
        graph: whether to trace the network for the Graphs tab.
    """

    def __init__(
        self,
        *,
        hyperparameters: Mapping[str, Value | None],
        overridden: Collection[str],
        data_report: str,
        graph: bool = True,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.overridden = overridden
        self.data_report = data_report
        self.graph = graph

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write text, layout, hyperparameters and graph."""
        if writer := tensorboard_writer(trainer):
            writer.add_text("data", self.data_report, 0)
            writer.add_custom_scalars(_CHARTS)
            _write_hparams(writer, self.hyperparameters, self.overridden)
            if self.graph:
                _write_graph(writer, cast(FishClassifier, pl_module))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Mark the run as failed in the HParams tab."""
        if writer := tensorboard_writer(trainer):
            _write_status(writer, api_pb2.STATUS_FAILURE)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the confusion matrix of the last validation, and mark the run as finished."""
        classifier = cast(FishClassifier, pl_module)
        if writer := tensorboard_writer(trainer):
            counts = classifier.confusion.numpy()
            image = figure_to_array(confusion_matrix(counts, classifier.classes, "Last validation"))
            writer.add_image("confusion_matrix", image, trainer.current_epoch, dataformats="HWC")
            _write_status(writer, api_pb2.STATUS_SUCCESS)


def _write_hparams(
    writer: SummaryWriter, values: Mapping[str, Value | None], first: Collection[str]
) -> None:
    """Write the columns and this run's row; until its status follows, TensorBoard shows none."""
    start = SessionStartInfo()
    columns = []
    for name, value in values.items():
        field, kind = _KINDS.get(type(value), ("string_value", api_pb2.DATA_TYPE_STRING))
        if value is not None:
            setattr(start.hparams[name], field, value)
        columns.append(api_pb2.HParamInfo(name=name, type=kind, differs=name in first))
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in VAL_SCORES]
    experiment = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)
    _write(writer, metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))
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
    """Trace the network on an empty image."""
    size = classifier.image_size
    example = torch.zeros(2, 3, size, size, device=classifier.device)
    network = copy.deepcopy(classifier.network).eval()  # a copy is not compiled
    with warnings.catch_warnings():
        # Tracing is all that TensorBoard can read; that torch prefers other ways is not our news.
        warnings.simplefilter("ignore")
        writer.add_graph(network, example, use_strict_trace=False)
