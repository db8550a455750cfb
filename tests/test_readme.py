"""Every command of the README, typed into a shell as it is printed, does its work on tiny data."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import pytest
from PIL import Image
from running import run_and_read

from fishcnn.commands import cli
from fishcnn.commands.arguments import read_arguments
from fishcnn.commands.settings import CONF
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [block for kind, block in BLOCKS if kind == "sh"]
COMMANDS += re.findall(r"`(python scripts/\w+\.py[^`]*)`", README)

TINY = ["trainer.max_epochs=1", "data.image_size=32", "callbacks.progress.enabled=false"]
TINY_FISH = ["data.species=3", "data.pictures_per_class=8", "data.long_side=64"]
TINY_BENCHMARK = ["parts=duplicates", "duplicates.species=2", "duplicates.pictures_per_class=12"]
TINY_BENCHMARK += ["duplicates.per_kind=1", "workers=1"]

pytestmark = [
    # TensorBoard traces the network for its Graphs tab; torch prefers other ways.
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


def programs_of(commands: str, folder: Path) -> list[list[str]]:
    """Let bash take lines apart into the programs that they start and their arguments.

    The programs are run in the process of the tests afterwards, since importing torch for each
    would take a minute.
    """
    folder.mkdir()
    record = folder / "record"
    for name in ("python", "fishcnn", "tensorboard", "pip", "pytest"):
        program = folder / name
        program.write_text(f"#!/bin/sh\nprintf '%s\\0' {name} \"$@\" '' >> '{record}'\n")
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", commands], check=True, env=environment)
    calls = record.read_text(encoding="utf-8").removesuffix("\0\0").split("\0\0")
    return [call.split("\0") for call in calls]


def run_program(program: str, *words: str) -> str:
    """Run a program, with less to do; return what it prints."""
    if program in ("pip", "pytest"):  # this happens before and around the tests
        return ""
    if program == "tensorboard":
        command = [sys.executable, "-m", "tensorboard.main", *words, "--inspect"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if program == "fishcnn":
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
            patch.setattr(sys, "argv", [program, *words])
            with pytest.raises(SystemExit, match=r"^0$"):  # Hydra's, after --help
                cli.main()
        return out.getvalue()
    script, *arguments = words
    name = script.removeprefix("scripts/").removesuffix(".py")
    if name == "demo":  # has a test of its own, in a browser
        return ""
    if name == "benchmark":
        arguments += TINY_BENCHMARK
    if name == "train" and arguments[:1] != ["ckpt_path=last"]:  # which knows its own settings
        arguments += TINY if any(map(os.path.isdir, arguments)) else TINY + TINY_FISH
    elif name == "train":
        arguments += ["trainer.max_epochs=2"]
    if name == "tune":
        arguments += [*TINY, *TINY_FISH, "tune.trials=2"]
    status, printed = run_and_read(name, *arguments)
    assert status == 0, printed
    assert name != "train" or "validation accuracy" in printed
    return printed


@pytest.fixture
def images(fish: Path, tmp_path: Path) -> Path:
    """A folder of images, called as in the README: two of each class from one track."""
    folder = tmp_path / "images"
    for number, file in enumerate(sorted((fish / "pictures").rglob("*.jpg"))):
        name = f"camera1_track{number // 2}_{number:04}.jpg"
        (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file.parent.name / name)
    return folder


@pytest.mark.parametrize("commands", COMMANDS)
def test_commands_work_as_they_are_printed(
    commands: str, trained: RunFolder, images: Path, tmp_path: Path
) -> None:
    commands = commands.replace("/path/to/images", str(images))
    for call in programs_of(commands, tmp_path / "bin"):
        printed = run_program(*call)
        if call[0] == "tensorboard":
            assert "grad_cam" in printed
        if call == ["fishcnn", "train", "--help"]:
            assert "blocks: 4" in printed
        if call[1:] == ["scripts/benchmark.py"]:
            assert "duplicates" in json.loads(Path("benchmark.json").read_text())
        if any(word.startswith("data.group_regex=") for word in call):
            assert_tracks_stay_together()


def test_settings_between_the_commands_can_be_typed() -> None:
    settings = [one for one in re.findall(r"`([a-z_.]+=[^`]*)`", README) if one[-1] != "="]
    assert len(settings) > 10
    for setting in settings:
        understood = []
        for command in cli.COMMANDS:
            with suppress(FishError):
                understood.append(read_arguments(command, ["-m", *setting.split()]))
        assert understood, setting


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_examples_of_the_help_survive_a_shell(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    conf = (CONF / f"{command}.yaml").read_text(encoding="utf-8")
    # What an example does stands beside it.
    examples = re.findall(r"^ +((?:find .*)?python scripts/.*?)(?: {3,}.*)?$", conf, re.MULTILINE)
    for number, example in enumerate(examples):
        (call,) = programs_of(example, tmp_path / str(number))
        program, script, *typed = call
        named = script.removeprefix("scripts/").removesuffix(".py")
        assert (program, named in cli.COMMANDS) == ("python", True)
        for word in typed:
            if word.startswith("runs"):
                Path(word).mkdir(parents=True, exist_ok=True)
            if word.startswith("experiment=") and word.endswith(".yaml"):
                file = Path(word.partition("=")[2])
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("seed: 1\n")
        assert read_arguments(named, typed) is not None


def assert_tracks_stay_together() -> None:
    """Look into the split of the run that was trained last."""
    last = max(Path("runs").rglob("split.json"), key=lambda path: path.stat().st_mtime)
    split = json.loads(last.read_text(encoding="ascii"))
    splits = defaultdict(set)
    for name in ("train", "val"):
        for path in split[name]:
            splits[path.rsplit("_", 1)[0]].add(name)
    assert len(splits) == 18
    assert all(len(names) == 1 for names in splits.values())


def test_every_extra_that_is_to_be_installed_exists() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = set(re.findall(r'pip install -e "\.\[(\w+)\]"', README))
    assert named >= {"test", "export", "demo", "kaggle", "benchmark"}
    assert named <= project["optional-dependencies"].keys()


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.filterwarnings("ignore:.*The .srun. command")
def test_the_python_example_works_as_it_is_printed(
    fish: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))
    shutil.copytree(fish / "pictures", tmp_path / "images")
    shutil.copy(next((fish / "pictures").rglob("*.jpg")), tmp_path / "fish.jpg")
    (example,) = [block for kind, block in BLOCKS if kind == "python"]
    (tmp_path / "example.py").write_text(example)
    with redirect_stdout(StringIO()) as printed:
        runpy.run_path(str(tmp_path / "example.py"))
    label, probability = printed.getvalue().splitlines()[-1].split()
    assert label in {folder.name for folder in (fish / "pictures").iterdir()}
    assert 0.2 < float(probability) <= 1
    with Image.open(tmp_path / "map.png") as heat_map:
        assert heat_map.size == (64, 64)


def test_the_readme_is_short_and_its_image_is_there() -> None:
    assert len(README.splitlines()) <= 150
    (image,) = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert (REPOSITORY / image).is_file()
