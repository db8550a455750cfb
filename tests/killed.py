"""Trainings that are killed at some moment, and what has to be equal afterwards."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from running import run_and_read, table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from fishcnn.training.callbacks.history import History
from fishcnn.utils import files
from fishcnn.utils.run_folder import RunFolder

# Of metrics.csv and of the curves: what is measured by the clock.
OF_THE_CLOCK = {"seconds", "train_images_per_second", "data_wait"}


def die_at(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Kill this process at a moment: at a step, or before or after a file is put in its place."""
    passed = 0

    def count() -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    step, replace = History.on_train_batch_end, os.replace

    def counted_step(*arguments: Any, **settings: Any) -> None:
        step(*arguments, **settings)
        count()

    def counted_replace(source: Any, target: Any, **settings: Any) -> None:
        if Path(target).suffix == ".ckpt":
            count()
        replace(source, target, **settings)
        if Path(target).suffix == ".ckpt":
            count()

    patch.setattr(History, "on_train_batch_end", counted_step)
    patch.setattr(files.os, "replace", counted_replace)


def train_and_die(moment: int, *command: str) -> bool:
    """Train in a process of its own that kills itself; whether it came to that."""
    child = os.fork()
    if not child:
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, moment)
            status, printed = run_and_read("train", *command)
            print(printed)
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def leaves(content: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Whatever is in a checkpoint, but what the clock has measured."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key not in OF_THE_CLOCK | {"waited", "events", "dirpath"}:
                yield from leaves(value, f"{name}.{key}")
    elif isinstance(content, list | tuple):
        for number, value in enumerate(content):
            yield from leaves(value, f"{name}.{number}")
    else:
        yield name, content


def differences(one: Path, other: Path) -> list[str]:
    """What two checkpoints do not have in common, but for the folders of their runs."""
    first, second = (
        {name.replace(str(file.parents[1]), ""): value for name, value in leaves(content)}
        for file in (one, other)
        for content in (torch.load(file, weights_only=True),)
    )
    folders = str(one.parents[1]), str(other.parents[1])
    return sorted(
        name
        for name in first.keys() | second.keys()
        if not same(first.get(name), second.get(name), folders)
    )


def same(one: object, other: object, folders: tuple[str, str]) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        # NaN is equal to NaN.
        return one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, str) and isinstance(other, str):
        return one.replace(folders[0], "") == other.replace(folders[1], "")
    return one == other or (one != one and other != other)


def measured(run: RunFolder) -> list[dict[str, str]]:
    """metrics.csv without what the clock has measured."""
    rows = table(run.metrics)
    return [{key: row[key] for key in row if key not in OF_THE_CLOCK} for row in rows]


def shown(run: RunFolder) -> dict[str, list[Any]]:
    """What TensorBoard shows of a run, in the order in which it was told."""
    found: dict[str, list[Any]] = {}
    for folder in sorted({file.parent for file in run.path.rglob("events.out.tfevents.*")}):
        events = EventAccumulator(str(folder), {"scalars": 0, "images": 0, "tensors": 0}).Reload()
        tags, name = events.Tags(), folder.name
        for tag in tags["scalars"]:
            if tag.partition("/")[2] not in OF_THE_CLOCK:
                values = [(event.step, event.value) for event in events.Scalars(tag)]
                found[f"{name} {tag}"] = values
        for tag in tags["images"]:
            found[f"{name} {tag}"] = [event.step for event in events.Images(tag)]
        for tag in tags["tensors"]:
            found[f"{name} {tag}"] = [event.step for event in events.Tensors(tag)]
        found[f"{name} graph"] = [tags["graph"]]
    return found


def assert_equal(one: RunFolder, other: RunFolder) -> None:
    """Compare two runs bit for bit."""
    for file in ("last_checkpoint", "best_checkpoint"):
        assert differences(getattr(one, file), getattr(other, file)) == [], file
    assert measured(one) == measured(other)
    assert shown(one) == shown(other)
