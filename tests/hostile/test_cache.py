"""Caches that were damaged: never believed, never a traceback, rebuilt with a line about it."""

import io
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding.disk_cache import load_cached
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.resize import Square
from fishcnn.data.duplicates.finder import known_duplicates
from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import FishError

SIDE = 48


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight noisy images, two of them the same, their masks, and a cache of both."""
    place = tmp_path_factory.mktemp("cached")
    generator = np.random.default_rng(0)
    for number in range(8):
        levels = generator.integers(0, 256, (6, 8, 3), np.uint8)
        image = Image.fromarray(levels).resize((80, 60), Image.Resampling.BICUBIC)
        for folder, content in (("images", image), ("masks", image.convert("1"))):
            file = place / folder / ("Koi", "Rui")[number // 4] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            content.save(file)
    shutil.copy(place / "images/Koi/0.png", place / "images/Rui/7.png")
    shutil.copy(place / "masks/Koi/0.png", place / "masks/Rui/7.png")
    known_duplicates(load(place, place / "cache"))
    return place


@pytest.fixture
def place(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may damage, with the stamps that its cache knows."""
    monkeypatch.chdir(shutil.copytree(filled, tmp_path / "copy"))
    return filled


def load(place: Path, cache: Path = Path("cache")) -> ImageSet:
    index = scan_folder(place / "images", place / "masks")
    return load_cached(index, square=Square(SIDE), workers=2, cache=cache)


def part(suffix: str) -> Path:
    """The only file of the cache with this suffix."""
    (file,) = Path("cache").glob(f"*/*{suffix}")
    return file


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said, but for what is said of a sound cache as well."""
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def all_of(images: ImageSet) -> tuple[NDArray[np.uint8], ...]:
    assert images.masks is not None
    return images.pixels[:], images.masks[:], images.fingerprints[:]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


def zero(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))


def swap(file: Path) -> None:
    """Exchange the two halves: all bytes are there, elsewhere."""
    content = file.read_bytes()
    file.write_bytes(content[len(content) // 2 :] + content[: len(content) // 2])


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def junk(file: Path) -> None:
    file.write_bytes(b"this is no array" * 1000)


def remove(file: Path) -> None:
    file.unlink()


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def become_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def other_arrays(file: Path) -> None:
    """A perfect file of this kind with something else in it."""
    np.savez((out := io.BytesIO()), something=np.arange(3))
    file.write_bytes(out.getvalue())


def rewritten(change: Callable[[dict[str, NDArray]], None]) -> Callable[[Path], None]:
    """Write the arrays of a file again, changed; every member of the zip file is sound."""

    def damage(file: Path) -> None:
        with np.load(file) as content:
            arrays = dict(content)
        change(arrays)
        with file.open("wb") as stream:
            np.savez(stream, **arrays)

    return damage


@rewritten
def short_facts(arrays: dict[str, NDArray]) -> None:
    arrays["facts"] = arrays["facts"][:3]


@rewritten
def other_digests(arrays: dict[str, NDArray]) -> None:
    arrays["facts"]["digest"][:] = 0


@rewritten
def short_words(arrays: dict[str, NDArray]) -> None:
    arrays["words"] = arrays["words"][:-20]


@rewritten
def other_words(arrays: dict[str, NDArray]) -> None:
    arrays["words"] = np.frombuffer(b"[1, 2]", np.uint8)


@rewritten
def few_groups(arrays: dict[str, NDArray]) -> None:
    arrays["groups"] = arrays["groups"][:2]


ANY = (flip, zero, cut, empty, junk, remove, become_a_folder)


@pytest.mark.parametrize("damage", [*ANY, swap, become_a_pipe])
@pytest.mark.parametrize("suffix", [".images", ".masks", ".fingerprints"])
def test_damaged_arrays_are_decoded_again_and_that_takes_one_line(
    place: Path,
    suffix: str,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = all_of(load(place))
    damage(part(suffix))
    for found, wanted in zip(all_of(load(place)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    (said,) = warnings(caplog)
    assert str(Path("cache")) in said
    assert "is damaged" in said
    caplog.clear()
    load(place)
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "damage",
    [*ANY[:-1], other_arrays, short_facts, other_digests, short_words, other_words],
)
def test_a_damaged_index_is_built_anew(
    place: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    expected = all_of(load(place))
    damage(part("index.npz"))
    for found, wanted in zip(all_of(load(place)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert sum("is damaged" in said for said in caplog.messages) == (damage is not remove)


@pytest.mark.parametrize("damage", [*ANY, other_arrays, few_groups])
def test_damaged_near_duplicates_are_looked_for_again(
    place: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    images = load(place)
    damage(part(".duplicates*"))
    assert known_duplicates(images).pairs.tolist() == [[0, 7]]
    silent = damage in (remove, become_a_folder)
    assert [said for said in caplog.messages if "looking for near-duplicates again" in said] == (
        [] if silent else warnings(caplog)
    )


@pytest.mark.parametrize("damage", [flip, zero, cut, empty])
def test_what_is_damaged_while_a_run_reads_it_is_decoded_again(
    place: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Cut short while it was mapped, the file would end the process by SIGBUS."""
    images = load(place)
    expected = all_of(images)
    for suffix in (".images", ".masks"):
        damage(part(suffix))
    for _ in range(2):
        gathered = images.gather(torch.arange(8))["image"].numpy()
        np.testing.assert_array_equal(gathered, expected[0])
        masks = images.gather_masks(torch.arange(8)).numpy()
        np.testing.assert_array_equal(masks, expected[1])
    said = [message for message in caplog.messages if "damaged since it was opened" in message]
    assert len(said) == 2  # once for each file


def test_what_is_lost_twice_is_named_and_not_made_up(
    place: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = scan_folder(Path("images"), Path("masks"))
    images = load_cached(index, square=Square(SIDE), workers=1, cache=tmp_path / "another")
    (file,) = (tmp_path / "another").glob("*/*.images")
    empty(file)
    Image.new("RGB", (80, 60)).save("images/Koi/2.png")
    np.testing.assert_array_equal(images.pixels[[1]], load(place).pixels[[1]])
    with pytest.raises(FishError, match=r"images/Koi/2\.png .* start again$"):
        images.pixels[[2]]


def test_only_the_damaged_rows_are_decoded(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    flip(part(".images"))
    with caplog.at_level(logging.INFO):
        load(place)
    assert any("damaged: 1 of its 8 images" in said for said in caplog.messages)
    assert any("Decoding 1 of 8 images" in said for said in caplog.messages)
