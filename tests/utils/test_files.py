import multiprocessing
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fishcnn.utils.errors import FishError
from fishcnn.utils.files import all_below, found_below, replacing, write_bytes, write_text


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "ছবি.md", "মাছ\n")
    assert (tmp_path / "ছবি.md").read_bytes() == "মাছ\n".encode()
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_within_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with suppress(RuntimeError), replacing(tmp_path / "a.txt") as unfinished:
        unfinished.write_text("new")
        raise RuntimeError
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def _write_for_ever(path: Path) -> None:
    with replacing(path) as unfinished, unfinished.open("w") as file:
        while True:
            file.write("new")
            file.flush()


def test_a_kill_within_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    process = multiprocessing.get_context("spawn").Process(
        target=_write_for_ever, args=(tmp_path / "a.txt",)
    )
    process.start()
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / "a.txt").read_text() == "old"
    write_text(tmp_path / "a.txt", "next")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["next"]


def test_what_is_removed_while_a_folder_is_searched_is_not_found(tmp_path: Path) -> None:
    for name in ("a/last.ckpt", "b/deep/last.ckpt", "last.ckpt", "c/other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    elsewhere.mkdir()
    (elsewhere / "last.ckpt").touch()
    (tmp_path / "c" / "deep").symlink_to(elsewhere)  # as of a larger disk
    for name in ("last.ckpt", "deep/last.ckpt", "other", "missing"):
        assert set(found_below(tmp_path, name)) == set(tmp_path.rglob(name))
    assert set(all_below(tmp_path)) == set(tmp_path.rglob("*"))
    found = found_below(tmp_path, "last.ckpt")
    assert next(found) == tmp_path / "last.ckpt"
    shutil.rmtree(tmp_path / "b")  # of another process
    assert list(found) == [tmp_path / "a/last.ckpt"]
    assert list(found_below(tmp_path / "b", "last.ckpt")) == list(all_below(tmp_path / "b")) == []


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_what_is_not_a_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        before = path.stat().st_mode
        with pytest.raises(FishError, match=r"is (a folder|not a regular file)"):
            write_text(path, "new")
        assert path.stat().st_mode == before


def test_a_full_disk_is_told_with_what_is_wanted_and_free(small_disk: Path) -> None:
    (small_disk / "a.bin").write_bytes(b"old")
    with pytest.raises(FishError) as caught:
        write_bytes(small_disk / "a.bin", bytes(3_000_000))
    assert f"the disk of {small_disk} is full (3.0 MB wanted, 1.0 MB free)" in str(caught.value)
    assert [p.read_bytes() for p in small_disk.iterdir()] == [b"old"]


def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(FishError, match=r"cannot write .*missing/a.txt: no such file"):
        write_text(tmp_path / "missing" / "a.txt", "new")
