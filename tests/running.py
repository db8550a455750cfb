"""Scripts of ``scripts/``, run in the process of the tests, and what they leave behind."""

import contextlib
import csv
import io
import json
import logging
import runpy
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any

import pytest
from omegaconf import OmegaConf

from fishcnn.models.classifier import FishClassifier
from fishcnn.utils import stopping
from fishcnn.utils.run_folder import RunFolder

SCRIPTS = Path(__file__).parents[1] / "scripts"


@contextlib.contextmanager
def logging_as_before() -> Iterator[None]:
    """Take back what Hydra and commands set meanwhile.

    Hydra's handlers would go on writing to the files of this test, and its level would let more
    through in the next one.
    """
    root, ours = logging.getLogger(), logging.getLogger("fishcnn")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    raising = logging.raiseExceptions
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        logging.raiseExceptions = raising


def run_script(name: str, *arguments: str) -> int:
    """Run ``scripts/NAME.py`` and return its exit status."""
    script = str(SCRIPTS / f"{name}.py")
    answers = {name: signal.getsignal(name) for name in (SIGINT, SIGTERM, SIGHUP)}
    with pytest.MonkeyPatch.context() as patch, logging_as_before():
        patch.setattr(sys, "argv", [script, *arguments])
        patch.setattr(sys, "orig_argv", [sys.executable, script, *arguments])
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            stopping.watch()  # without the signals of this run
            for name, answer in answers.items():
                signal.signal(name, answer)
    return 0


def run_and_read(name: str, *arguments: str) -> tuple[int, str]:
    """Run ``scripts/NAME.py``; return its exit status and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = run_script(name, *arguments)
    return status, printed.getvalue()


def images_of(run: RunFolder) -> Path:
    """The folder of the images that a run was trained on; its masks are in ``masks/`` beside it."""
    return Path(OmegaConf.load(run.config).data.root)


def network_of(run: RunFolder) -> FishClassifier:
    """The best network of a run, on the CPU, in eval mode."""
    return FishClassifier.load_from_checkpoint(
        run.best_checkpoint, weights_only=True, map_location="cpu"
    ).eval()


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def evaluated_copy(run: RunFolder, *more: str) -> tuple[dict[str, Any], str]:
    """Evaluate a run on the folder ``copy``: what ``evaluation.json`` says, and what is printed."""
    status, printed = run_and_read("evaluate", "data_root=copy", *more)
    assert status == 0, printed
    return json.loads((run.evaluation("copy") / "evaluation.json").read_text()), printed
