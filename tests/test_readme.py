"""Every command of the README, run as it stands but on tiny data."""

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    part.strip()
    for kind, block in BLOCKS
    if kind == "sh"
    for line in block.splitlines()
    for part in line.split("&&")
]
TRAIN = "python scripts/train.py"
BENCHMARK = "python scripts/benchmark.py"
USES = tuple(
    f"python scripts/{name}.py"
    for name in ("inspect_data", "evaluate", "explain", "predict", "export")
)
SHRUNK = ["trainer.max_epochs=1", "data.image_size=32", "callbacks.progress.enabled=false"]
SHRUNK_FISH = ["data.species=3", "data.pictures_per_class=8", "data.long_side=64"]

Command = Callable[..., Any]

pytestmark = [
    # TensorBoard traces the network for its Graphs tab; torch prefers other ways.
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    # Lightning turns its own warnings into output.
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(TRAIN)])
def test_a_training_command_works_as_it_stands(
    command: str, train: Command, fish: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = shlex.split(command.removeprefix(TRAIN))
    if arguments == ["--help"]:
        assert "blocks: 4" in train(*arguments).out
        return
    arguments = [a.replace("/path/to/pictures", str(fish / "pictures")) for a in arguments]
    chosen = [a for a in arguments if a.startswith("data=")]
    shrunk = SHRUNK if chosen else SHRUNK + SHRUNK_FISH
    if "ckpt_path=last" in arguments:
        begun = [a for a in arguments if not a.startswith(("ckpt_path", "trainer.max_epochs"))]
        assert train(*begun, *shrunk, "hydra.run.dir=runs/first").status == 0
        shrunk = [o for o in shrunk if not o.startswith("trainer.max_epochs")]
        arguments = [a.replace("max_epochs=100", "max_epochs=2") for a in arguments]
    if chosen == ["data=bengali_fish"]:
        download = SimpleNamespace(dataset_download=lambda handle: str(fish / "pictures"))
        monkeypatch.setitem(sys.modules, "kagglehub", download)
    finished = train(*arguments, *shrunk)
    assert finished.status == 0, finished.err
    assert "validation accuracy" in finished.out


def test_the_tensorboard_command_finds_the_runs(
    train: Command, tiny: list[str], tmp_path: Path
) -> None:
    assert train(*tiny, "trainer.max_epochs=1").status == 0
    (command,) = [c for c in COMMANDS if c.startswith("tensorboard")]
    program = [sys.executable, "-m", "tensorboard.main", *shlex.split(command)[1:], "--inspect"]
    printed = subprocess.run(program, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "grad_cam" in printed.stdout


def test_the_install_and_test_commands_are_those_that_ci_runs() -> None:
    ci = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert 'pip install -e ".[test]" && pytest' in README
    assert 'pip install -e ".[test]"' in ci
    assert re.search(r"^part pytest$", ci, flags=re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(USES)])
def test_a_command_on_a_trained_network_works_as_it_stands(
    command: str, script: Command, tiny: list[str], fish: Path
) -> None:
    assert script("train", *tiny, "trainer.max_epochs=1").status == 0
    program, *arguments = shlex.split(command.removeprefix("python scripts/"))
    arguments = [a.replace("/path/to/pictures", str(fish / "pictures")) for a in arguments]
    finished = script(program.removesuffix(".py"), *arguments)
    assert finished.status == 0, finished.err


def test_the_benchmark_command_measures(script: Command, tmp_path: Path) -> None:
    finished = script(
        "benchmark",
        "parts=[duplicates]",
        "duplicates.species=2",
        "duplicates.pictures_per_class=12",
        "duplicates.per_kind=1",
        "workers=1",
    )
    assert finished.status == 0, finished.err
    assert "duplicates" in json.loads((tmp_path / "benchmark.json").read_text())


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.filterwarnings("ignore:.*The .srun. command")
def test_the_python_example_works_as_it_stands(
    fish: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FISHCNN_CACHE", str(tmp_path / "cache"))
    shutil.copytree(fish / "pictures", tmp_path / "pictures")
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


def test_every_command_is_run_by_some_test() -> None:
    # The rest is installing, which happens before tests can run; and the demo has a test of its
    # own, in a browser.
    rest = [c for c in COMMANDS if not c.startswith((TRAIN, "tensorboard", *USES, BENCHMARK))]
    assert rest == [
        "pip install -e .",
        'pip install -e ".[test]"',
        "pytest",
        'pip install -e ".[kaggle]"',
        "python scripts/demo.py",
        'pip install -e ".[benchmark]"',
    ]
    assert len(COMMANDS) >= 12
    assert (REPOSITORY / ".github" / "grad_cam.png").is_file()
