import re
import subprocess
import sys

import pytest

from fishcnn.utils.progress import track, waiting


def test_a_long_wait_shows_what_is_being_done_and_gives_every_item(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard error were a terminal
    assert list(track(iter(range(5)), "Counting", total=5, show=True)) == [0, 1, 2, 3, 4]
    printed = capsys.readouterr()
    assert "Counting" in printed.err
    assert "5 of 5" in re.sub(r"\x1b\[[\d;]*m", "", printed.err)
    assert printed.out == ""


def test_batches_are_counted_by_their_images(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(track(range(0, 148, 64), "Explaining", total=148, step=64)) == [0, 64, 128]
    with waiting("Measuring"):
        pass
    printed = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().err)
    assert "148 of 148" in printed
    assert "Measuring" in printed


def test_a_log_file_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(3), "Counting")) == [0, 1, 2]
    with waiting("Measuring"):
        pass
    assert "".join(capsys.readouterr()) == ""


def test_a_short_wait_shows_nothing_and_imports_nothing() -> None:
    program = (
        "import sys\n"
        "from fishcnn.utils.progress import track, waiting\n"
        "print(list(track(range(3), 'Counting', show=False)), 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[0, 1, 2] False\n", "")
