"""Events for TensorBoard's HParams tab.

TensorBoard takes the list of columns from one run of a folder and shows no others, so the runs of
a sweep should list the same. It puts first what is marked as different between the runs; torch's
own writer marks nothing, which hides what a sweep has swept among dozens of constant columns.
"""

from collections.abc import Collection, Mapping, Sequence

from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import (
    DataType,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
    Status,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from torch.utils.tensorboard import SummaryWriter

Value = bool | float | str


def write_hparams(
    writer: SummaryWriter,
    values: Mapping[str, Value | None],
    *,
    first: Collection[str],
    metrics: Sequence[str],
) -> None:
    """Write a run's row for the HParams tab.

    Args:
        writer: of the run.
        values: every column by name; None leaves a cell empty.
        first: columns to show before the others.
        metrics: tags of scalars whose latest value is shown.
    """
    columns = [
        HParamInfo(name=name, type=_data_type(value), differs=name in first)
        for name, value in values.items()
    ]
    experiment = Experiment(
        hparam_infos=columns,
        metric_infos=[MetricInfo(name=MetricName(tag=tag)) for tag in metrics],
    )
    start = SessionStartInfo()
    for name, value in values.items():
        if isinstance(value, bool):  # before numbers: a bool is an int too
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        elif value is not None:
            start.hparams[name].string_value = value
    _write(writer, metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))
    _write(writer, metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def write_status(writer: SummaryWriter, *, succeeded: bool) -> None:
    """Write how a run has ended; until then TensorBoard shows none."""
    status = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
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


def _data_type(value: Value | None) -> int:
    if isinstance(value, bool):
        return int(DataType.Value("DATA_TYPE_BOOL"))
    if isinstance(value, int | float):
        return int(DataType.Value("DATA_TYPE_FLOAT64"))
    return int(DataType.Value("DATA_TYPE_STRING"))
