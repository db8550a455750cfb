"""Contenders that take turns: each trains in a process of its own while the others wait.

Speeds of a shared or warm machine drift within minutes. Contenders that are measured one after the
other, minutes apart, meet different machines; within one round of short turns they meet the same.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from fishcnn.benchmark.process import environment_of, peak_memory_of
from fishcnn.utils.errors import FishError


@dataclass(frozen=True)
class Turn:
    """What a contender did while it was its turn.

    Attributes:
        images: it trained on.
        seconds: that took.
        waited: of these, in which the next batch was not ready.
    """

    images: int
    seconds: float
    waited: float

    @property
    def speed(self) -> float:
        """Images per second."""
        return self.images / self.seconds


class Turns:
    """In the process of a contender: waits for its turns, and reports them.

    A contender trains epochs while :meth:`more` says so, and adds each. Its first turn is its first
    epoch, with all that has to be set up for it; the others are as many epochs as take ``seconds``.
    The host has to wait for the device before an epoch is added.

    Args:
        orders: a line for each turn; the end of it ends the contender.
        reports: a line of JSON for each turn goes there.
        seconds: of a turn, at least.
    """

    def __init__(self, orders: IO[str], reports: IO[str], seconds: float) -> None:
        self._orders = orders
        self._reports = reports
        self._wanted = 0.0
        self._seconds = seconds
        self._images, self._taken, self._waited = 0, 0.0, 0.0
        self._running = False
        self._since = 0.0

    def more(self) -> bool:
        """Whether to train another epoch; waits here while it is the turn of others."""
        if not self._running:
            self._running = bool(self._orders.readline())
            self._since = time.perf_counter()
        return self._running

    def add(self, images: int, *, waited: float = 0.0, seconds: float | None = None) -> None:
        """Add an epoch.

        Args:
            images: of it.
            waited: seconds in which the next batch was not ready.
            seconds: that it took; None for all since the turn, or the epoch before, began.
        """
        now = time.perf_counter()
        self._images += images
        self._taken += now - self._since if seconds is None else seconds
        self._since = now
        self._waited += waited
        if self._taken >= self._wanted:
            turn = Turn(self._images, self._taken, self._waited)
            self._images, self._taken, self._waited = 0, 0.0, 0.0
            self._wanted = self._seconds
            self._running = False
            print(json.dumps(asdict(turn)), file=self._reports, flush=True)


class Contender:
    """A contender that waits for its turns in another process."""

    def __init__(self, name: str, process: subprocess.Popen[str], said: IO[str]) -> None:
        self._name = name
        self._process = process
        self._said = said

    def take_turn(self) -> Turn:
        """Let it train while nobody else does.

        Raises:
            FishError: it failed; the message is the end of what it said.
        """
        orders, reports = self._process.stdin, self._process.stdout
        assert orders is not None
        assert reports is not None
        try:
            print("go", file=orders, flush=True)
            line = reports.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._said.seek(0)
            raise FishError(f"{self._name} failed:\n{self._said.read()[-3000:]}")
        return Turn(**json.loads(line))

    @property
    def peak_memory(self) -> int:
        """Its largest resident set so far, in bytes; 0 where the system does not say."""
        return peak_memory_of(self._process.pid)


@contextmanager
def contender(
    module: str,
    settings: Mapping[str, Any],
    *,
    seconds: float,
    threads: int | None,
    folder: Path,
) -> Iterator[Contender]:
    """Start a contender, which imports what it needs and waits for its first turn.

    Args:
        module: of this folder, with a function ``train(settings, turns)``.
        settings: of it, as JSON can hold them.
        seconds: of a turn, at least.
        threads: of torch; None for one each core.
        folder: what it works in.
    """
    command = [sys.executable, "-m", __name__, module, json.dumps(settings), str(seconds)]
    with (folder / f"{time.perf_counter_ns()}.log").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, cwd=folder,
            env=environment_of(threads), text=True,
        )  # fmt: skip
        try:
            yield Contender(module, process, said)
        finally:
            process.kill()
            process.communicate()


def main(module: str, settings: str, seconds: str) -> None:
    """Be a contender."""
    # What is printed in a training is no report.
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    training = importlib.import_module(f"fishcnn.benchmark.{module}")
    training.train(json.loads(settings), Turns(sys.stdin, reports, float(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
