import re
import subprocess
import sys

import pytest

from fishcnn.utils.progress import track


def test_a_long_wait_shows_what_is_being_done_and_gives_every_item(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard error were a terminal
    assert list(track(iter(range(5)), "Counting", total=5, show=True)) == [0, 1, 2, 3, 4]
    printed = capsys.readouterr()
    assert "Counting" in printed.err
    assert "5 of 5" in re.sub(r"\x1b\[[\d;]*m", "", printed.err)
    assert printed.out == ""


def test_a_short_wait_shows_nothing_and_imports_nothing() -> None:
    program = (
        "import sys\n"
        "from fishcnn.utils.progress import track\n"
        "print(list(track(range(3), 'Counting', show=False)), 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[0, 1, 2] False\n", "")
