"""Trains as each line of its input says, in a process of its own that may kill itself.

This program loads torch once and never computes with it: the child of a process in which OpenMP has
begun its threads would wait for them for ever.

A line is a JSON list: which calls to count (``""`` for none), a signal, the number of the call that
it comes at, and the arguments of ``scripts/train.py``. The answer is a line: the exit status, or
minus the signal that has ended the process. What it prints is added to ``out.txt``.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fishcnn.commands.train.train  # noqa: F401 - so that it is loaded once
from fishcnn.commands.cli import start
from fishcnn.training.callbacks.history import History
from fishcnn.utils import stopping


def send_at(counted: str, number: int, nth: int) -> None:
    """Send this process a signal at the nth call.

    Args:
        counted: ``"steps"`` of the training, ``"writes"`` (before a file is put in its place), or
            ``"steps and checkpoints"`` (before and after a checkpoint is put in its place).
        number: the signal.
        nth: from 1.
    """
    passed = 0

    def count() -> None:
        nonlocal passed
        passed += 1
        if passed == nth:
            os.kill(os.getpid(), number)

    def count_at(owner: Any, name: str, moments: Callable[..., tuple[bool, bool]]) -> None:
        call = getattr(owner, name)

        def counted_call(*arguments: Any, **settings: Any) -> Any:
            before, after = moments(*arguments)
            if before:
                count()
            result = call(*arguments, **settings)
            if after:
                count()
            return result

        setattr(owner, name, counted_call)

    calls: dict[str, tuple[Any, str, Callable[..., tuple[bool, bool]]]] = {
        "writes": (os, "fsync", lambda *_: (True, False)),
        "steps": (History, "on_train_batch_end", lambda *_: (False, True)),
        "checkpoints": (os, "replace", lambda _, target: (Path(target).suffix == ".ckpt",) * 2),
    }
    for kind in counted.split(" and "):
        count_at(*calls[kind])


def train(counted: str, number: int, nth: int, arguments: list[str]) -> int:
    """Train as ``scripts/train.py`` does; returns the exit status."""
    sys.argv = [sys.argv[0], *arguments]
    stopping._State.program = True  # ends as the script does
    if counted:
        send_at(counted, number, nth)
    try:
        start("train")
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if not child:
            log = os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            # What a shell starts in the background ignores it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os._exit(train(*json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
