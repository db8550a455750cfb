"""The command that is told to go on by."""

import shlex
import sys

import pytest

from fishcnn.commands.command_line import remember, with_setting
from fishcnn.commands.overrides import quote_values


@pytest.mark.parametrize(
    ("typed", "added"),
    [
        (["fishcnn", "train", "data.root=/my fish/a,b"], ["hydra.run.dir=runs/1"]),
        (["fishcnn", "train", "hydra.run.dir=mine"], []),
        (["scripts/train.py"], ["hydra.run.dir=runs/1"]),
    ],
)
def test_the_command_is_quoted_for_a_shell_and_names_its_folder(
    typed: list[str], added: list[str]
) -> None:
    remember(typed)
    program = [sys.executable] if typed[0].endswith(".py") else []
    assert shlex.split(with_setting("hydra.run.dir", "runs/1")) == [*program, *typed, *added]


@pytest.mark.parametrize("folder", ["it's", "a b", "মাছ", "a\\b", "x=1,y"])
def test_a_folder_of_any_name_survives_the_shell_and_hydra(folder: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    remember(["fishcnn", "train"])
    typed = shlex.split(with_setting("hydra.run.dir", folder))[2:]
    (override,) = OverridesParser.create().parse_overrides(quote_values(typed))
    assert override.value() == folder
