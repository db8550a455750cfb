"""Rows that are read from disk and checked, alone and in threads."""

import copy
import pickle
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fishcnn.data.decoding import stored
from fishcnn.data.decoding.stored import Stored
from fishcnn.utils.errors import FishError


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_come_in_the_order_that_was_asked_for_and_lost_ones_are_made_anew(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_SHARE", 1000)  # of five rows
    rows = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    file = tmp_path / "rows"
    damaged = rows.copy()
    damaged[[3, 17, 39], 2] ^= 1
    damaged.tofile(file)
    checksums = np.array([zlib.crc32(row.data) for row in rows], np.uint32)
    asked: list[int] = []

    def again(row: int) -> np.ndarray:
        asked.append(row)
        return rows[row]

    images = Stored(file, rows.shape, checksums, again, workers)
    assert np.flatnonzero(~images.intact()).tolist() == [3, 17, 39]
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(images[order], rows[order])
    assert sorted(asked) == [3, 17, 39]
    np.testing.assert_array_equal(images[4:9], rows[4:9])
    assert images[[]].shape == (0, 8, 8, 3)
    assert (len(images), images.nbytes) == (40, rows.nbytes)


def lost(row: int) -> np.ndarray:
    raise AssertionError(f"row {row} is intact")


def pickled(images: Stored) -> Stored:
    return pickle.loads(pickle.dumps(images))


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Five rows, each of its number, in a file that was named from where it is."""
    monkeypatch.chdir(tmp_path)
    rows = np.repeat(np.arange(5, dtype=np.uint8), 12).reshape(5, 2, 2, 3)
    rows.tofile("rows")
    checksums = np.array([zlib.crc32(row.data) for row in rows], np.uint32)
    return Stored(Path("rows"), rows.shape, checksums, lost, 2)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_copy_reads_by_itself_wherever_the_process_is(
    images: Stored,
    copied: Callable[[Stored], Stored],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    other = copied(images)
    del images
    np.testing.assert_array_equal(other[[3, 1]][:, 0, 0, 0], [3, 1])


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_of_a_file_that_has_gone_is_refused_in_words(
    images: Stored, copied: Callable[[Stored], Stored]
) -> None:
    Path("rows").unlink()
    with pytest.raises(FishError, match=r"rows is not there any more: .*; set up the data again"):
        copied(images)
    np.testing.assert_array_equal(images[[4]][:, 0, 0, 0], [4])  # who has it open keeps it


def test_reading_one_row_of_a_million_costs_no_more_than_the_row(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(bytes(1_000_000))
    checksums = np.full(1_000_000, zlib.crc32(b"\0"), np.uint32)
    images = Stored(file, (1_000_000, 1), checksums, lost, 2)
    tracemalloc.start()
    try:
        images[np.array([999_999, 3])]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    assert images[-1:].tolist() == [[0]]
    with pytest.raises(IndexError):
        images[[1_000_000]]


def test_some_rows_are_as_if_the_others_were_not_there(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), np.uint8)
    file = tmp_path / "rows"
    damaged = rows.copy()
    damaged[[1, 7]] ^= 1
    damaged.tofile(file)
    checksums = np.array([zlib.crc32(row.data) for row in rows], np.uint32)
    whole = Stored(file, rows.shape, checksums, lambda row: rows[row], 1)
    some = whole.only(np.array([2, 7, 9]))
    assert (some.shape, some.nbytes, len(some)) == ((3, 4, 4, 3), 3 * 48, 3)
    assert np.flatnonzero(~some.intact()).tolist() == [1]
    np.testing.assert_array_equal(some[np.array([2, 1, 0])], rows[[9, 7, 2]])
    np.testing.assert_array_equal(some.only(np.array([1]))[np.array([0])], rows[[7]])
