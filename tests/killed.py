"""Trainings that are killed at some moment, and what has to be equal afterwards."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, Self

import pytest
import torch
from running import SCRIPTS, table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from fishcnn.utils.run_folder import RunFolder

# Of metrics.csv and of the curves: what is measured by the clock.
OF_THE_CLOCK = {"seconds", "train_images_per_second", "data_wait"}


def kill_before(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, number: Signals, nth: int = 1
) -> None:
    """Send a signal to this process before the nth call of a function, which then goes on."""
    whole, calls = getattr(owner, name), 0

    def interrupted(*arguments: Any, **settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), number)
        return whole(*arguments, **settings)

    monkeypatch.setattr(owner, name, interrupted)


class Trainings:
    """Runs ``scripts/train.py`` in a process of its own each time, which may be sent a signal.

    Use it in a ``with`` statement; ``tests/dying.py`` says how it is done.

    Args:
        place: the folder to stand in; its ``cache/`` is the cache, and what is printed is added to
            its ``out.txt``.
    """

    def __init__(self, place: Path) -> None:
        self.printed = place / "out.txt"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("dying.py"))],
            cwd=place,
            env={
                **os.environ,
                "PYTHONPATH": str(SCRIPTS.parent),
                "FISHCNN_CACHE": str(place / "cache"),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, SIGKILL)  # with a training that a failed test left behind
        self.process.communicate()

    def run(self, *arguments: str, counted: str = "", signal: int = 0, nth: int = 0) -> int:
        """Train, and send the process a signal at the nth of the counted calls.

        Returns:
            The exit status, or minus the signal that has ended the process.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([counted, signal, nth, arguments]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, "tests/dying.py has ended"
        return int(line)


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
