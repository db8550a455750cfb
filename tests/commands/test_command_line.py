"""The commands that are told to type next: they run where they are pasted, as they were meant."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from running import SCRIPTS

from fishcnn.commands.command_line import (
    another,
    as_typed,
    instead,
    remember,
    training_on,
    with_setting,
)
from fishcnn.commands.overrides import quote_values

PYTHON = Path(sys.executable)


@pytest.mark.parametrize(
    ("typed", "added"),
    [
        (["fishcnn", "train", "data.root=/my fish/a,b"], ["hydra.run.dir=runs/1"]),
        (["fishcnn", "train", "hydra.run.dir=mine"], []),
        (["python", "scripts/train.py"], ["hydra.run.dir=runs/1"]),
    ],
)
def test_the_command_is_quoted_for_a_shell_and_names_its_folder(
    typed: list[str], added: list[str]
) -> None:
    remember(typed, 2)
    assert shlex.split(with_setting("hydra.run.dir", "runs/1")) == [*typed, *added]


@pytest.mark.parametrize(
    ("program", "wanted"),
    [
        (["python", "scripts/tune.py"], "python scripts/train.py"),
        (["python3", "tune.py"], "python3 train.py"),
        (["/a b/python", "/my code/scripts/tune.py"], '"/a b/python" "/my code/scripts/train.py"'),
        (["fishcnn", "tune"], "fishcnn train"),
        (["python", "-m", "fishcnn", "tune"], "python -m fishcnn train"),
    ],
)
def test_another_command_is_told_in_the_form_that_was_typed(
    program: list[str], wanted: str
) -> None:
    remember([*program, "data.root=/fish"], len(program))
    assert another("train") == wanted
    assert training_on("/fish", "best") == f"{wanted} experiment=best data.root=/fish"


@pytest.mark.parametrize(
    ("typed", "place", "again"),
    [
        ("python scripts/train.py", SCRIPTS.parent, None),
        (f"{PYTHON.name} train.py", SCRIPTS, None),
        (f"python {SCRIPTS}/train.py", Path("/"), None),
        (f"{PYTHON} {SCRIPTS}/train.py", Path("/"), None),
        ("shim scripts/train.py", SCRIPTS.parent, f"{PYTHON} scripts/train.py"),
        ("python -m fishcnn train", Path("/"), None),
        ("fishcnn train", Path("/"), None),
        ("other/fishcnn train", None, None),
    ],
)
def test_a_command_is_told_as_it_was_typed_where_that_finds_the_same_program(
    tmp_path: Path, typed: str, place: Path | None, again: str | None
) -> None:
    main = f"#!{PYTHON}\nfrom fishcnn.commands.cli import main\nmain()\n"
    shim = f'#!/bin/sh\nexec {PYTHON} "$@"\n'
    for name, content in {"bin/fishcnn": main, "other/fishcnn": main, "bin/shim": shim}.items():
        program = tmp_path / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(content)
        program.chmod(0o755)
    finished = subprocess.run(
        ["bash", "-c", f"{typed} model.bloks=3"],
        cwd=place or tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("UV_")},
            "PATH": f"{tmp_path / 'bin'}:{PYTHON.parent}:/usr/bin:/bin",
            "PYTHONPATH": str(SCRIPTS.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stderr.splitlines()[-1] == f"{again or typed} model.blocks=3"


def test_a_name_that_leads_to_another_program_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py"])
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    for name in ("python", "fishcnn"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert as_typed(["train.py"]) == [sys.executable, "train.py"]
    assert as_typed(["mine/bin/fishcnn", "train"]) == ["mine/bin/fishcnn", "train"]
    here = [str(tmp_path / "fishcnn"), "train"]
    assert as_typed(here) == ["fishcnn", "train"]
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert as_typed(here) == here


FOLDERS = [
    "it's",
    "a b",
    "মাছ ধরা",
    "a\\b",
    "a b\\",
    "x=1,y",
    "$HOME `id`",
    "hey! you",
    'a "b"',
    "'q'",
    "{a}",
]


@pytest.mark.parametrize("folder", [f"/{name}/1" for name in FOLDERS] + FOLDERS)
@pytest.mark.parametrize("setting", ["hydra.run.dir", "data.root", "sweep.resume", "a.text"])
def test_a_value_survives_the_shell_and_hydra(setting: str, folder: str) -> None:
    remember(["fishcnn", "train"], 2)
    printed = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {instead({setting: folder})}"],
        capture_output=True,
        text=True,
        check=True,
    )
    typed = printed.stdout.split("\0")[2:-1]
    (override,) = OverridesParser.create().parse_overrides(quote_values(typed))
    assert override.value() == folder


def test_a_value_is_quoted_once_where_that_will_do() -> None:
    remember(["fishcnn", "train", "data.root='/my fish'"], 2)
    again = with_setting("hydra.run.dir", "/my runs/1")
    assert again == """fishcnn train "data.root='/my fish'" "hydra.run.dir=/my runs/1\""""
