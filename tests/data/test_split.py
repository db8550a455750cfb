"""Which pictures are held out, and that the draw can be repeated."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fishcnn.data.split import Split, split_from_sides, stratified_split, write_split
from fishcnn.errors import FishError


def labels_of(*counts: int) -> np.ndarray:
    """Labels in a mixed order, counts[c] of class c."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    return np.random.default_rng(5).permutation(labels)


def val_counts(*counts: int, fraction: float, seed: int = 0) -> list[int]:
    labels = labels_of(*counts)
    split = stratified_split(labels, val_fraction=fraction, seed=seed)
    return np.bincount(labels[split.val], minlength=len(counts)).tolist()


def test_every_picture_is_on_exactly_one_side() -> None:
    labels = labels_of(17, 4, 50, 2, 1)
    split = stratified_split(labels, val_fraction=0.3, seed=3)
    everywhere = np.concatenate([split.train, split.val, split.test])
    assert sorted(everywhere.tolist()) == list(range(74))
    for side in (split.train, split.val, split.test):
        assert side.dtype == np.int64
        assert (np.diff(side) > 0).all()
    assert len(split.test) == 0


@pytest.mark.parametrize(
    ("counts", "fraction", "expected"),
    [
        ((10, 20, 30), 0.2, [2, 4, 6]),
        # 3.3 each is 9.9 in all: one class gets the tenth.
        ((11, 11, 11), 0.3, [4, 3, 3]),
        # 1.4, 2.6 and 2.0 are six in all; the largest remainder is the second class's.
        ((7, 13, 10), 0.2, [1, 3, 2]),
        # Never none and never all.
        ((2, 100), 0.1, [1, 10]),
        ((2, 100), 0.9, [1, 90]),
        ((3, 3, 3), 0.01, [1, 1, 1]),
        # A single picture can only be learnt from.
        ((1, 9), 0.5, [0, 5]),
    ],
)
def test_each_class_gives_its_share(
    counts: tuple[int, ...], fraction: float, expected: list[int]
) -> None:
    assert val_counts(*counts, fraction=fraction) == expected


def test_shares_are_right_for_any_counts_and_fraction() -> None:
    generator = np.random.default_rng(11)
    for _ in range(200):
        counts = generator.integers(20, 200, generator.integers(2, 12))
        fraction = float(generator.uniform(0.06, 0.94))
        found = np.array(val_counts(*counts.tolist(), fraction=fraction))
        assert found.sum() == round(counts.sum() * fraction)
        assert np.abs(found - counts * fraction).max() < 1


def test_the_seed_draws_other_pictures_but_as_many() -> None:
    labels = labels_of(40, 40)
    drawn = [stratified_split(labels, val_fraction=0.2, seed=seed).val for seed in (0, 1, 2)]
    assert len({tuple(val) for val in drawn}) == 3
    assert {len(val) for val in drawn} == {16}
    # No seed takes the first ones.
    assert all(val.max() > 40 for val in drawn)


def test_the_draw_is_the_same_on_every_machine() -> None:
    # Written down once; another processor, system or NumPy has to find the same.
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], np.int64)
    assert stratified_split(labels, val_fraction=0.5, seed=0).val.tolist() == [3, 4, 6, 9, 10, 11]
    assert stratified_split(labels, val_fraction=0.5, seed=7).val.tolist() == [0, 1, 4, 9, 10, 11]


def test_the_draw_is_the_same_in_another_process() -> None:
    program = (
        "import numpy as np; from fishcnn.data.split import stratified_split;"
        "labels = np.arange(100) % 3;"
        "print(stratified_split(labels, val_fraction=0.2, seed=4).val.tolist())"
    )
    run = [sys.executable, "-c", program]
    other = subprocess.run(run, capture_output=True, text=True, check=True)
    here = stratified_split(np.arange(100) % 3, val_fraction=0.2, seed=4).val.tolist()
    assert json.loads(other.stdout) == here


def test_the_global_random_state_is_neither_read_nor_touched() -> None:
    labels = labels_of(30, 30)
    np.random.seed(1)  # noqa: NPY002 - the global state is what this is about
    first = stratified_split(labels, val_fraction=0.2, seed=0)
    after = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert np.random.random() == after  # noqa: NPY002
    second = stratified_split(labels, val_fraction=0.2, seed=0)
    np.testing.assert_array_equal(first.val, second.val)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 20, float("nan")])
def test_a_fraction_that_leaves_a_side_empty_is_an_error(fraction: float) -> None:
    with pytest.raises(FishError, match=r"^data.val_fraction=.* must lie between 0 and 1, for"):
        stratified_split(labels_of(5, 5), val_fraction=fraction, seed=0)


def test_a_folder_that_is_split_already_keeps_its_sides() -> None:
    split = split_from_sides(["val", "train", "test", "train", "val"])
    assert split.train.tolist() == [1, 3]
    assert split.val.tolist() == [0, 4]
    assert split.test.tolist() == [2]
    assert split.test.dtype == np.int64


def test_the_written_split_can_be_read_back_by_path(tmp_path: Path) -> None:
    paths = [Path("Koi/1.jpg"), Path("Koi/ü.jpg"), Path("Rui/\udcff.jpg")]
    split = Split(train=np.array([0, 2]), val=np.array([1]), test=np.empty(0, np.int64))
    write_split(split, paths, tmp_path / "split.json", val_fraction=0.2, seed=0)
    assert json.loads((tmp_path / "split.json").read_text(encoding="utf-8")) == {
        "val_fraction": 0.2,
        "seed": 0,
        "train": ["Koi/1.jpg", "Rui/\udcff.jpg"],
        "val": ["Koi/ü.jpg"],
        "test": [],
    }
