"""A sweep of many jobs in one process: what stays in memory, and what TensorBoard finds."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.api_pb2 import GetExperimentRequest
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.get_experiment import Handler
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from fishcnn.commands import cli
from fishcnn.models.classifier import FishClassifier
from fishcnn.training.callbacks import tensorboard_tabs
from fishcnn.utils import memory

Train = Callable[..., Any]
JOBS = 8


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many objects there are after each job."""
    found: list[int] = []

    def free() -> None:
        memory.free_memory()
        found.append(len(gc.get_objects()))

    monkeypatch.setattr(cli, "free_memory", free)
    # Nothing is collected by the way.
    gc.disable()
    yield found
    gc.enable()
    gc.collect()


def of_training() -> list[object]:
    kinds = (FishClassifier, pl.Trainer, torch.optim.Optimizer, EventFileWriter)
    # Not by isinstance, which torch answers with a warning for what it has renamed.
    return [one for one in gc.get_objects() if issubclass(type(one), kinds)]


def test_jobs_leave_no_memory_behind_and_differ_in_what_varied(
    train: Train, tiny: list[str], counts: list[int], tmp_path: Path
) -> None:
    before = {id(one) for one in of_training()}
    tensorboard_tabs._graphs.clear()
    sweep = tmp_path / "sweep"
    typed = ["trainer.max_epochs=1", "data.image_size=16", "callbacks.grad_cam.enabled=false"]
    varied = ["optimizer.lr=1e-3,2e-3,3e-3,4e-3", "model.dropout=0.1,0.2", "model.hidden=8"]
    finished = train("-m", *tiny, *typed, *varied, f"hydra.sweep.dir={sweep}", f"runs={tmp_path}")
    assert finished.status == 0, finished.err
    assert {type(one).__name__ for one in of_training() if id(one) not in before} == set()
    assert len(counts) == JOBS
    # Hydra keeps the settings of each; there are half a million objects.
    assert counts[-1] - counts[2] < 2000 * (JOBS - 3)
    # Tracing a network leaves memory in torch. With another rate of dropout it is another one.
    assert len(tensorboard_tabs._graphs) == 2

    events = EventMultiplexer().AddRunsFromDirectory(str(sweep)).Reload()
    runs = [run for run, plugins in events.Runs().items() if plugins["graph"]]
    assert len(runs) == JOBS
    context = Context(TBContext(data_provider=MultiplexerDataProvider(events, str(sweep))))
    experiment = Handler(RequestContext(), context, "", GetExperimentRequest()).run()
    # It sorts them like this; accuracy may well be the same for all.
    names = [info.name for info in experiment.hparam_infos]
    assert names == ["accuracy", "model.dropout", "optimizer.lr"]
    assert all(info.differs for info in experiment.hparam_infos[1:])
    assert {metric.name.tag for metric in experiment.metric_infos} >= {"accuracy_and_loss/accuracy"}
