"""The rendered data set on disk: same settings, same bytes, drawn once, never half."""

import hashlib
import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.rendering import drawn_folder, synthetic
from fishcnn.data.rendering.render import render_fish
from fishcnn.data.rendering.species import SPECIES
from fishcnn.data.rendering.synthetic import draw_all, ensure_synthetic
from fishcnn.utils.errors import FishError

Drawn = tuple[NDArray[np.uint8], NDArray[np.bool_]]

SETTINGS: dict[str, Any] = {
    "species": 2,
    "images_per_class": 5,
    "long_side": 48,
    "shortcut": 0.0,
    "seed": 7,
    "workers": 1,
}


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_picture_has_a_mask_of_its_size(tmp_path: Path) -> None:
    made = ensure_synthetic(tmp_path / "new" / "folder", **SETTINGS)
    assert _names(made) == ["masks", "pictures", "settings.json"]
    assert _names(made / "pictures") == sorted(species.name for species in SPECIES[:2])
    pictures = sorted((made / "pictures").rglob("*.jpg"))
    assert len(pictures) == 10
    for path in pictures:
        mask_path = made / "masks" / path.parent.name / f"{path.stem}.png"
        with Image.open(path) as picture, Image.open(mask_path) as mask:
            assert picture.size == mask.size
            assert picture.mode == "RGB"
            assert max(picture.size) == 48
            assert 0.02 < np.asarray(mask.convert("L")).astype(bool).mean() < 0.6
    assert len(list((made / "masks").rglob("*.png"))) == 10


def test_any_number_of_workers_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = ensure_synthetic(tmp_path / "alone", **SETTINGS)
    monkeypatch.setattr(synthetic, "FEW_IMAGES", 1)
    monkeypatch.setattr(synthetic, "IMAGES_PER_TASK", 2)
    together = ensure_synthetic(tmp_path / "together", **SETTINGS | {"workers": 2})
    assert alone.name == together.name
    assert _digests(alone) == _digests(together)


def test_processes_draw_where_signals_cannot_wait_as_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(synthetic, "signal", SimpleNamespace(SIGINT=signal.SIGINT))
    files = [tmp_path / "0", tmp_path / "1"]
    draw_all([file.touch for file in files], workers=2, description="Touching")
    assert _names(tmp_path) == ["0", "1"]


def test_more_pictures_or_classes_keep_the_first_ones(tmp_path: Path) -> None:
    few = _digests(ensure_synthetic(tmp_path, **SETTINGS) / "pictures")
    more_settings = SETTINGS | {"species": 3, "images_per_class": 7}
    more = _digests(ensure_synthetic(tmp_path, **more_settings) / "pictures")
    assert few.items() <= more.items()
    assert len(more) == 21
    other = _digests(ensure_synthetic(tmp_path, **SETTINGS | {"seed": 8}) / "pictures")
    assert not set(few.values()) & set(other.values())


@pytest.mark.parametrize(("shortcut", "marked"), [(0.4, 2), (0.7, 4), (1.0, 5)])
def test_exactly_the_asked_share_of_each_class_carries_the_tag(
    shortcut: float, marked: int, tmp_path: Path
) -> None:
    before = _digests(ensure_synthetic(tmp_path, **SETTINGS))
    after = _digests(ensure_synthetic(tmp_path, **SETTINGS | {"shortcut": shortcut}))
    for species in SPECIES[:2]:
        names = [f"pictures/{species.name}/{i:04d}.jpg" for i in range(5)]
        assert sum(before[name] != after[name] for name in names) == marked
    assert all(before[name] == after[name] for name in before if name.startswith("masks/"))


def test_a_finished_folder_is_reused_without_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ensure_synthetic(tmp_path, **SETTINGS)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    monkeypatch.setattr(synthetic, "render_fish", None)
    assert ensure_synthetic(tmp_path, **SETTINGS | {"workers": 8}) == made
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_every_setting_that_changes_the_pictures_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS | {"images_per_class": 2}
    changes: list[dict[str, float]] = [
        {},
        {"species": 3},
        {"images_per_class": 3},
        {"long_side": 50},
        {"seed": 1},
        {"shortcut": 0.2},
    ]
    made = [ensure_synthetic(tmp_path, **settings | change) for change in changes]
    monkeypatch.setattr(synthetic, "RENDERER_VERSION", -1)
    made.append(ensure_synthetic(tmp_path, **settings))
    assert len(set(made)) == 7
    written = json.loads((made[5] / "settings.json").read_text())
    assert written["shortcut"] == 0.2
    assert written["long_side"] == 48


def test_an_interrupted_build_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "render_fish", _interrupted_after(3))
        with pytest.raises(KeyboardInterrupt):
            ensure_synthetic(tmp_path, **SETTINGS)
    assert _names(tmp_path) == []

    # What a power cut leaves: the hidden folder, some pictures in it.
    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "render_fish", _interrupted_after(3))
        patch.setattr(drawn_folder.shutil, "rmtree", lambda *args, **options: None)
        with pytest.raises(KeyboardInterrupt):
            ensure_synthetic(tmp_path, **SETTINGS)
    assert all(name.startswith(".") for name in _names(tmp_path))
    made = ensure_synthetic(tmp_path, **SETTINGS)
    assert len(list(made.rglob("*.jpg"))) == 10
    assert _names(tmp_path) == [made.name]


def _interrupted_after(pictures: int) -> Callable[..., Drawn]:
    left = iter(range(pictures))

    def draw(species: int, rng: np.random.Generator, *, long_side: int, marker: bool) -> Drawn:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return render_fish(species, rng, long_side=long_side, marker=marker)

    return draw


def test_of_two_builds_at_once_both_return_the_one_complete_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[Path] = []
    running = iter([True])
    draw_all = synthetic.draw_all

    def draw_while_another_finishes(*args: Any, **options: Any) -> None:
        draw_all(*args, **options)
        if next(running, False):
            others.append(ensure_synthetic(tmp_path, **SETTINGS))

    monkeypatch.setattr(synthetic, "draw_all", draw_while_another_finishes)
    slower = ensure_synthetic(tmp_path, **SETTINGS)
    assert others == [slower]
    assert _names(tmp_path) == [slower.name]
    assert len(list(slower.rglob("*.jpg"))) == 10


def test_a_build_that_another_one_takes_for_left_behind_may_end_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "fish"
    locked = drawn_folder.locked
    with ExitStack() as other:
        growing = other.enter_context(drawn_folder.drawn_folder(final, files=1))
        (growing / "whole").touch()

        def locked_when_the_other_has_ended(path: Path) -> AbstractContextManager[None]:
            other.close()
            return locked(path)

        monkeypatch.setattr(drawn_folder, "locked", locked_when_the_other_has_ended)
        with drawn_folder.drawn_folder(final, files=1) as slower:
            assert slower != growing
    assert [file.name for file in final.iterdir()] == ["whole"]
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("species", 1, "a whole number from 2 to 20"),
        ("species", 21, "a whole number from 2 to 20"),
        ("images_per_class", 1, "a whole number, 2 or more"),
        ("long_side", 47, "a whole number from 48 to 1024"),
        ("long_side", 5000, "a whole number from 48 to 1024"),
        ("shortcut", -0.1, "a number from 0 to 1"),
        ("shortcut", 1.1, "a number from 0 to 1"),
        ("shortcut", float("nan"), "a number from 0 to 1"),
        ("seed", -1, "a whole number, 0 or more"),
    ],
)
def test_a_bad_value_is_named_before_anything_is_written(
    name: str, value: float, allowed: str, tmp_path: Path
) -> None:
    with pytest.raises(FishError, match=f"^{name}={value}: must be {allowed}$"):
        ensure_synthetic(tmp_path, **SETTINGS | {name: value})
    assert _names(tmp_path) == []
