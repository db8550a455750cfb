"""One entry point beside the scripts."""

import sys
from errno import EACCES, EFBIG, ENOSPC, EPERM, EROFS
from pathlib import Path

import pytest
from running import run_and_read

from fishcnn.commands.cli import COMMANDS, main
from fishcnn.commands.settings import CONF

SCRIPTS = Path(__file__).parents[2] / "scripts"


def fishcnn(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fishcnn", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_every_command_is_a_script_with_a_configuration() -> None:
    assert set(COMMANDS) == {path.stem for path in SCRIPTS.glob("*.py")}
    assert set(COMMANDS) == {path.stem for path in CONF.glob("*.yaml")}


@pytest.mark.parametrize(
    ("arguments", "status"), [([], 0), (["--help"], 0), (["fly"], 2), (["trian"], 2)]
)
def test_without_a_command_it_lists_them(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
) -> None:
    assert fishcnn(monkeypatch, *arguments) == status
    printed = "".join(capsys.readouterr())
    for name in COMMANDS:
        assert f"\n  {name} " in printed
    assert ("is not a command" in printed) == (status == 2)
    assert ("trian is not a command of fishcnn; did you mean train?" in printed) == (
        arguments == ["trian"]
    )


def test_a_command_says_the_same_as_its_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fishcnn(monkeypatch, "predict", "top_k=5", "--help") == 0
    printed = capsys.readouterr().out
    assert "top_k: 5" in printed
    assert "\n  fishcnn predict photo.jpg  " in printed
    script = f"{sys.executable} {SCRIPTS / 'predict.py'}"
    of_script = printed.replace("fishcnn predict", script)
    assert run_and_read("predict", "top_k=5", "--help") == (0, of_script)


def test_the_help_says_what_each_setting_is_for() -> None:
    status, printed = run_and_read("train", "model=torchvision", "--help")
    assert status == 0
    assert (
        "  # Share of each class that is held out for validation.\n  val_fraction: 0.2" in printed
    )
    assert "  # Train the new head alone.\n  freeze_backbone: false" in printed
    assert "  # The recipe that the project began with.\n  name: seed" in printed
    assert "Blocks of convolution" not in printed


def test_a_mistake_ends_a_command_with_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fishcnn(monkeypatch, "train", "seed=-1", "hydra.run.dir=run") == 1
    assert capsys.readouterr().err == "error: seed=-1: must be a whole number, 0 or more\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(EACCES, "Permission denied", "a"), "a: permission denied"),
        (PermissionError(EPERM, "Operation not permitted", "a"), "a: permission denied"),
        (PermissionError(EPERM, "Operation not permitted"), "operation not permitted"),
        (OSError(EFBIG, "File too large"), "file too large"),
        (OSError(ENOSPC, "No space left on device", "a"), "cannot write a: the disk of . is full"),
        (OSError(EROFS, "Read-only file system", "a"), "cannot write a: read-only file system"),
    ],
)
def test_what_a_disk_answers_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    error: OSError,
    said: str,
) -> None:
    def refuse(config: object) -> None:
        raise RuntimeError("of a library") from error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fishcnn.commands.predict.predict.predict", refuse)
    assert fishcnn(monkeypatch, "predict") == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {said}")
    assert printed.count("\n") == 1
