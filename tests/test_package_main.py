import os
import subprocess
import sys

import pytest
from running import SCRIPTS

from fishcnn.commands import command_line
from fishcnn.commands.arguments import read_arguments
from fishcnn.commands.trained_run import find_checkpoint
from fishcnn.utils.errors import FishError


def test_the_package_runs_as_a_module() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "fishcnn", "--help"],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.startswith("usage: fishcnn COMMAND")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/no/x.ckpt", "ckpt_path=/no/x.ckpt: there is no such file or folder; name a checkpoint"),
        ("lats", "there is no such file or folder in /.*; did you mean last"),
        (".", r"ckpt_path=\.: holds no checkpoint; name a checkpoint file"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_told(typed: str, said: str) -> None:
    with pytest.raises(FishError, match=said):
        find_checkpoint("ckpt_path", typed, [])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("find_lr", "such as find_lr=true$"),
        ("model.blocks=2,3", "add -m to try one value after another\n.* -m model.blocks=2,3$"),
        ("optimizer.lr=0,1", "add -m to .*; a single number is typed with a point: 0.1\n"),
    ],
)
def test_a_slip_is_answered_with_what_changes_something(
    monkeypatch: pytest.MonkeyPatch, typed: str, said: str
) -> None:
    monkeypatch.setattr(command_line._Typed, "words", ["train.py"])
    monkeypatch.setattr(command_line._Typed, "program", 1)
    with pytest.raises(FishError, match=said):
        read_arguments("train", [typed])
