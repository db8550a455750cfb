import multiprocessing
import time
from pathlib import Path

import pytest

from fishcnn.utils.errors import FishError
from fishcnn.utils.lock import locked


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


def test_files_of_one_folder_are_locked_each_for_itself(tmp_path: Path) -> None:
    with locked(tmp_path / "a.csv"), locked(tmp_path / "b.csv"):
        pass
    with locked(tmp_path / "a.csv"), pytest.raises(FishError, match=r"a\.csv is being written to"):
        locked(tmp_path / "a.csv").__enter__()
