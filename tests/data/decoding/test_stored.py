"""Rows that are read from disk and checked, alone and in threads."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from fishcnn.data.decoding import stored
from fishcnn.data.decoding.stored import Stored


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
