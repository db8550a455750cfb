"""Drawn images that were damaged in the cache: drawn again, and said."""

import itertools
import logging
import multiprocessing
import random
import shutil
import time
import traceback
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fishcnn.data.rendering import drawn_files, synthetic
from fishcnn.data.rendering.synthetic import ensure_synthetic


def draw(folder: Path) -> dict[str, bytes]:
    made = ensure_synthetic(
        folder, species=2, images_per_class=2, long_side=48, shortcut=0.5, seed=1, workers=1
    )
    names = sorted(path.relative_to(made) for path in made.rglob("*.*"))
    return {str(name): (made / name).read_bytes() for name in names if name.name[0] == "0"}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def junk(file: Path) -> None:
    file.write_bytes(b"[[[")


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *itertools.product(["0001.jpg", "0000.png"], [flip, cut, empty, junk, remove]),
        *itertools.product(["settings.json"], [cut, empty, junk, remove]),
    ],
)
def test_a_damaged_file_is_drawn_again(
    tmp_path: Path, name: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    before = draw(tmp_path)
    damage(sorted(tmp_path.rglob(name))[0])
    assert draw(tmp_path) == before
    count = 4 if name == "settings.json" else 1
    (said,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert said.endswith(f"are damaged: {count} of 4 are drawn again.")
    caplog.clear()
    assert draw(tmp_path) == before
    assert "damaged" not in caplog.text


def test_a_repair_that_is_stopped_writes_nothing_and_the_next_one_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = draw(tmp_path)
    for file in tmp_path.rglob("*.jpg"):
        cut(file)
    damaged = {file: file.read_bytes() for file in tmp_path.rglob("*.*") if file.is_file()}
    calls = iter([1, 1])
    save_image = synthetic.save_image

    def stopped(image: Image.Image, path: Path, **options: int) -> None:
        save_image(image, path, **options)
        if next(calls, None) is None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "save_image", stopped)
        with pytest.raises(KeyboardInterrupt):
            draw(tmp_path)
    assert {file: file.read_bytes() for file in damaged} == damaged
    assert draw(tmp_path) == before
    assert [file.name[0] for file in tmp_path.iterdir()] == ["f"]


def test_two_processes_repair_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = draw(tmp_path)
    for file in tmp_path.rglob("0001.*"):
        cut(file)
    first = iter([True])
    write_list, others = synthetic.write_list, []

    def while_another_repairs(*args: Any, **options: Any) -> None:
        write_list(*args, **options)
        if next(first, False):
            others.append(draw(tmp_path))

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "write_list", while_another_repairs)
        assert draw(tmp_path) == before
    assert others == [before]
    monkeypatch.setattr(synthetic, "render_fish", None)  # nothing is left to draw
    monkeypatch.setattr(drawn_files, "_checksum", None)  # nor in doubt
    assert draw(tmp_path) == before
    assert [file.name[0] for file in tmp_path.iterdir()] == ["f"]


AT_ONCE, ROUNDS = 4, 20


def draw_at_once(folder: Path, started: Barrier) -> None:
    failed = []
    for number in range(ROUNDS):
        started.wait(60)
        time.sleep(random.uniform(0, 0.05))  # so that some begin while others end
        try:
            draw(folder / str(number))
        except Exception:
            failed.append(traceback.format_exc())
    assert not failed, failed[0]


def test_processes_that_begin_on_an_empty_cache_at_once_all_draw(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    started = context.Barrier(AT_ONCE)
    processes = [
        context.Process(target=draw_at_once, args=(tmp_path, started)) for _ in range(AT_ONCE)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * AT_ONCE
    for folder in tmp_path.iterdir():
        assert [file.name[0] for file in folder.iterdir()] == ["f"]
    assert len(list(tmp_path.iterdir())) == ROUNDS


def test_a_class_folder_that_was_removed_comes_back(tmp_path: Path) -> None:
    before = draw(tmp_path)
    shutil.rmtree(next(tmp_path.glob("*/masks/*")))
    assert draw(tmp_path) == before
