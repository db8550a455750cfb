import errno
import fcntl
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fishcnn.utils.errors import FishError
from fishcnn.utils.lock import locked, user_of


def _hold(folder: Path) -> None:
    with locked(folder):
        (folder / "held").touch()
        time.sleep(60)


def test_the_second_is_told_who_holds_it_and_a_kill_frees_it(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with pytest.raises(FishError, match=f"is being written to by process {process.pid} on "):
        locked(tmp_path).__enter__()
    process.kill()
    process.join()
    with locked(tmp_path):
        pass


def test_who_can_wait_comes_after_the_other(tmp_path: Path) -> None:
    held = threading.Event()

    def hold() -> None:
        with locked(tmp_path):
            held.set()
            time.sleep(0.5)
            (tmp_path / "written").touch()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    with locked(tmp_path, wait=60):
        assert (tmp_path / "written").exists()
    other.join()


def test_files_of_one_folder_are_locked_each_for_itself(tmp_path: Path) -> None:
    with locked(tmp_path / "a.csv"), locked(tmp_path / "b.csv"):
        pass
    with locked(tmp_path / "a.csv"), pytest.raises(FishError, match=r"a\.csv is being written to"):
        locked(tmp_path / "a.csv").__enter__()


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_file_system_without_locks_is_no_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path), pytest.raises(FishError, match="is being written to by process"):
        locked(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):
        pass


def test_a_lock_that_is_removed_while_it_is_awaited_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, removed = fcntl.flock, []

    def flock(file: int, operation: int) -> None:
        if not removed:
            removed.append((tmp_path / ".lock").unlink())
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()
        with pytest.raises(FishError, match="is being written to by process"):
            locked(tmp_path).__enter__()


HOLD = """
import os, sys
from pathlib import Path
from fishcnn.utils.lock import locked
with locked(Path(sys.argv[1])):
    os.kill(os.getpid(), 9)
"""


def test_what_a_kill_has_left_goes_with_the_next_lock_in_that_folder(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    command = [sys.executable, "-c", HOLD, str(file)]
    assert subprocess.run(command, check=False).returncode == -9
    left = {".lock-rows.csv", ".in-use-by-rows.csv"}
    assert {path.name for path in tmp_path.iterdir()} == left
    assert user_of(file) is None
    with locked(tmp_path / "used.csv"), locked(tmp_path / "others.csv"):
        assert not left & {path.name for path in tmp_path.iterdir()}
        assert str(user_of(tmp_path / "used.csv")).startswith(f"process {os.getpid()} on ")
    assert list(tmp_path.iterdir()) == []


def test_what_another_program_calls_a_lock_stays(tmp_path: Path) -> None:
    for name in (".lock-of-another", ".lockdown.txt", ".in-use-by-me"):
        (tmp_path / name).write_text(name)
    with locked(tmp_path / "rows.csv"), locked(tmp_path):
        pass
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        name: name for name in (".lock-of-another", ".lockdown.txt", ".in-use-by-me")
    }
