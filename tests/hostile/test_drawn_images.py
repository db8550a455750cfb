"""Drawn images that were damaged in the cache: drawn again, and said."""

import itertools
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

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
