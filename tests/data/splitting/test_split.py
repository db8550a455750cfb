"""Which images are held out, and that the draw can be repeated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fishcnn.data.relative_paths import RelativePaths
from fishcnn.data.splitting.split import (
    Split,
    absent_classes,
    draw_split,
    split_from_folders,
    stratified_split,
    write_split,
)
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.data.splitting.stratified_groups import draw_groups
from fishcnn.utils.errors import FishError


def labels_of(*counts: int) -> np.ndarray:
    """Labels in a mixed order, counts[c] of class c."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    return np.random.default_rng(5).permutation(labels)


def val_counts(*counts: int, fraction: float, seed: int = 0) -> list[int]:
    labels = labels_of(*counts)
    split = stratified_split(labels, val_fraction=fraction, seed=seed)
    return np.bincount(labels[split.val], minlength=len(counts)).tolist()


def test_every_image_is_in_exactly_one_split() -> None:
    labels = labels_of(17, 4, 50, 2, 1)
    split = stratified_split(labels, val_fraction=0.3, seed=3)
    everywhere = np.concatenate([split.train, split.val, split.test])
    assert sorted(everywhere.tolist()) == list(range(74))
    for rows in (split.train, split.val, split.test):
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
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
        # A single image can only be learnt from.
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


def test_the_seed_draws_other_images_but_as_many() -> None:
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
        "import numpy as np; from fishcnn.data.splitting.split import stratified_split;"
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
def test_a_fraction_that_leaves_a_split_empty_is_an_error(fraction: float) -> None:
    with pytest.raises(FishError, match=r"^val_fraction=.*: must be a number from 0.001 to 0.999"):
        SplitSettings(val_fraction=fraction).check()


def test_a_folder_that_is_split_already_keeps_its_splits() -> None:
    split = split_from_folders(["val", "train", "test", "train", "val"])
    assert split.train.tolist() == [1, 3]
    assert split.val.tolist() == [0, 4]
    assert split.test.tolist() == [2]
    assert split.test.dtype == np.int64


def draw(labels: np.ndarray, groups: np.ndarray | None, *, seed: int = 0, **changes: Any) -> Split:
    return draw_split(labels, groups, SplitSettings(split_seed=seed, **changes))


def pure_groups(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of a few classes of 3 to 20 groups of 1 to 30 images, in mixed order."""
    classes = np.repeat(np.arange(5), generator.integers(3, 20, 5))
    sizes = generator.integers(1, generator.integers(2, 30), len(classes))
    order = generator.permutation(sizes.sum())
    return np.repeat(classes, sizes)[order], np.repeat(np.arange(len(sizes)), sizes)[order]


def any_groups(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups drawn apart, so that groups hold several classes; some groups are huge."""
    count = int(generator.integers(60, 400))
    classes = int(generator.integers(1, 8))
    labels = np.minimum(generator.geometric(0.4, count) - 1, classes - 1)
    number = int(generator.integers(8, count))
    groups = (generator.random(count) ** generator.choice([1, 3]) * number).astype(np.int64)
    return np.unique(labels, return_inverse=True)[1], groups


def rare_classes(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of 14 groups, nine classes in two or three of them each, and four more."""
    homes = [generator.choice(14, generator.integers(2, 4), replace=False) for _ in range(9)]
    homes.append(np.arange(14, 18))
    labels = np.repeat(np.arange(10), [len(home) for home in homes])
    groups = np.concatenate(homes)
    sizes = generator.integers(1, 20, len(labels))
    return np.repeat(labels, sizes), np.repeat(groups, sizes)


def check_split(split: Split, labels: np.ndarray, groups: np.ndarray) -> None:
    """Every image once, sorted, no group in two splits, every class in training."""
    splits = (split.train, split.val, split.test)
    assert sorted(np.concatenate(splits).tolist()) == list(range(len(labels)))
    assert all((np.diff(rows) > 0).all() and rows.dtype == np.int64 for rows in splits)
    found = [set(groups[rows].tolist()) for rows in splits]
    assert sum(map(len, found)) == len(set.union(*found))
    assert absent_classes(labels, split.train).tolist() == []


def has_group_to_spare(labels: np.ndarray, groups: np.ndarray, needed: int) -> np.ndarray:
    """For each class: whether it has that many groups."""
    pairs = np.unique(np.stack([labels, groups]), axis=1)
    return np.bincount(pairs[0], minlength=labels.max() + 1) >= needed


@pytest.mark.parametrize("make", [pure_groups, any_groups, rare_classes])
@pytest.mark.parametrize("test_fraction", [0.0, 0.15])
def test_a_group_is_never_in_two_splits(make: Any, test_fraction: float) -> None:
    for seed in range(60):
        labels, groups = make(np.random.default_rng(seed))
        split = draw(labels, groups, test_fraction=test_fraction, seed=seed)
        check_split(split, labels, groups)
        assert len(split.val)
        assert (len(split.test) > 0) == (test_fraction > 0)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_each_class_comes_as_close_to_its_share_as_its_groups_allow(fraction: float) -> None:
    for seed in range(60):
        labels, groups = pure_groups(np.random.default_rng(seed))
        split = draw(labels, groups, val_fraction=fraction, seed=seed)
        for label in range(5):
            sizes = np.bincount(groups[labels == label])
            possible = {0}
            for size in sizes[sizes > 0].tolist():
                possible |= {some + size for some in possible}
            share = sizes.sum() * fraction
            closest = min(abs(some - share) for some in possible - {0, sizes.sum()})
            # Shares are rounded by less than one, so that the whole comes out right; what is
            # closest to the rounded one may be that much off twice.
            assert abs((labels[split.val] == label).sum() - share) < closest + 2


def test_a_few_groups_of_many_classes_are_split_as_well_as_is_possible() -> None:
    best_found = 0
    for seed in range(30):
        generator = np.random.default_rng(seed)
        counts = generator.integers(0, 30, (9, 3)) + 1
        labels = np.repeat(np.tile(np.arange(3), 9), counts.ravel())
        groups = np.repeat(np.repeat(np.arange(9), 3), counts.ravel())
        wanted = np.round(counts.sum(0) * 0.25).astype(np.int64)
        drawn = draw_groups(labels, groups, wanted, leave=1, generator=generator)
        taken = np.array([drawn[groups == group].all() for group in range(9)])
        weights = counts.sum(0).max() // counts.sum(0)
        subsets = (np.arange(1, 2**9 - 1)[:, None] >> np.arange(9)) % 2
        costs = (subsets @ counts - wanted) ** 2 @ weights
        best_found += (taken @ counts - wanted) ** 2 @ weights == costs.min()
    assert best_found >= 28


def test_without_groups_the_split_is_the_one_it_always_was() -> None:
    for seed in range(20):
        labels = any_groups(np.random.default_rng(seed))[0]
        before = stratified_split(labels, val_fraction=0.3, seed=seed)
        alone = np.random.default_rng(seed).permutation(len(labels)) + 7
        for groups in (None, alone):
            now = draw(labels, groups, val_fraction=0.3, seed=seed)
            np.testing.assert_array_equal(now.train, before.train)
            np.testing.assert_array_equal(now.val, before.val)
            assert now.test.size == 0


def test_single_images_beside_a_test_split_come_in_the_right_numbers() -> None:
    labels = labels_of(40, 70, 100)
    split = draw(labels, None, test_fraction=0.1, val_fraction=0.2)
    assert np.bincount(labels[split.test]).tolist() == [4, 7, 10]
    assert np.bincount(labels[split.val]).tolist() == [8, 14, 20]
    # Not the images that a validation split of the same share would hold.
    earlier = draw(labels, None, val_fraction=0.1).val
    assert len(np.intersect1d(split.test, earlier)) < 10


def test_the_test_split_does_not_change_with_the_rest() -> None:
    labels, groups = any_groups(np.random.default_rng(3))
    splits = [
        draw(labels, groups, test_fraction=0.2, **settings).test.tolist()
        for settings in (
            {},
            {"val_fraction": 0.5},
            {"folds": 3, "fold": 0},
            {"folds": 4, "fold": 3},
            {"seed": 1},
        )
    ]
    assert splits[0] == splits[1] == splits[2] == splits[3] != splits[4]


def test_a_class_of_one_group_is_only_learnt_from_and_one_of_two_is_not_tested() -> None:
    labels = np.repeat([0, 1, 2], [30, 30, 30])
    groups = np.concatenate([np.zeros(30), np.repeat([1, 2], 15), np.repeat([3, 4, 5], 10)])
    split = draw(labels, groups.astype(np.int64), test_fraction=0.1)
    assert absent_classes(labels, split.train).tolist() == []
    assert absent_classes(labels, split.val).tolist() == [0]
    assert absent_classes(labels, split.test).tolist() == [0, 1]


@pytest.mark.parametrize("make", [pure_groups, any_groups, rare_classes])
@pytest.mark.parametrize("test_fraction", [0.0, 0.15])
def test_the_folds_validate_every_image_once(make: Any, test_fraction: float) -> None:
    for seed in range(30):
        labels, groups = make(np.random.default_rng(seed))
        settings = {"test_fraction": test_fraction, "folds": 4, "seed": seed}
        splits = [draw(labels, groups, fold=fold, **settings) for fold in range(4)]
        for split in splits:
            check_split(split, labels, groups)
        held_out = np.concatenate([split.val for split in splits])
        assert len(np.unique(held_out)) == len(held_out)
        left = np.setdiff1d(np.arange(len(labels)), np.concatenate([held_out, splits[0].test]))
        # The only groups of a class are learnt from in every fold.
        rest = np.setdiff1d(np.arange(len(labels)), splits[0].test)
        lonely = np.flatnonzero(~has_group_to_spare(labels[rest], groups[rest], 2))
        for group in np.unique(groups[left]):
            assert np.isin(labels[groups == group], lonely).any()
        assert make is not pure_groups or not len(left)


def test_folds_of_single_images_differ_by_one_at_most() -> None:
    for seed in range(20):
        labels = any_groups(np.random.default_rng(seed))[0]
        if not has_group_to_spare(labels, np.arange(len(labels)), 2).all():
            continue
        splits = [draw(labels, None, folds=5, fold=fold, seed=seed) for fold in range(5)]
        counts = np.array([np.bincount(labels[s.val], minlength=labels.max() + 1) for s in splits])
        assert np.ptp(counts, axis=0).max() <= 1
        assert np.ptp(counts.sum(1)) <= 1


def test_folds_of_groups_differ_in_a_class_by_its_largest_group_at_most() -> None:
    for seed in range(60):
        labels, groups = pure_groups(np.random.default_rng(seed))
        splits = [draw(labels, groups, folds=3, fold=fold, seed=seed) for fold in range(3)]
        counts = np.array([np.bincount(labels[split.val], minlength=5) for split in splits])
        for label in range(5):
            assert np.ptp(counts[:, label]) <= np.bincount(groups[labels == label]).max()


def test_classes_of_fewer_groups_than_folds_fill_the_folds_evenly() -> None:
    # 20 classes of 2 groups of 10 images: each class is in two of five folds.
    labels, groups = np.repeat(np.arange(20), 20), np.repeat(np.arange(40), 10)
    splits = [draw(labels, groups, folds=5, fold=fold) for fold in range(5)]
    assert [len(split.val) for split in splits] == [80] * 5
    for split in splits:
        check_split(split, labels, groups)


def test_the_seed_draws_other_groups_and_folds() -> None:
    labels, groups = np.repeat(np.arange(4), 100), np.repeat(np.arange(40), 10)
    for settings in ({}, {"folds": 5, "fold": 1}):
        drawn = {tuple(draw(labels, groups, seed=seed, **settings).val) for seed in range(5)}
        assert len(drawn) == 5
    again = draw(labels, groups, seed=2).val
    np.testing.assert_array_equal(again, draw(labels, groups, seed=2).val)


def test_the_draw_of_groups_is_the_same_on_every_machine() -> None:
    # Written down once; another processor, system or NumPy has to find the same.
    labels, groups = np.arange(24) % 2, np.arange(24) // 3
    split = draw(labels, groups, test_fraction=0.25, val_fraction=0.25)
    assert np.unique(groups[split.val]).tolist() == [0, 7]
    assert np.unique(groups[split.test]).tolist() == [1, 6]
    # Classes that share no group follow one another, each beginning where the last one has ended.
    labels, groups = np.repeat([0, 1, 2], 40), np.arange(120) // 4
    split = draw(labels, groups, seed=1)
    assert np.unique(groups[split.val]).tolist() == [5, 8, 11, 19, 23, 29]


def test_folds_of_groups_are_the_same_on_every_machine() -> None:
    labels, groups = np.arange(24) % 2, np.arange(24) // 3
    folds = [draw(labels, groups, folds=3, fold=fold).val for fold in range(3)]
    assert [np.unique(groups[val]).tolist() for val in folds] == [[0, 1, 3], [6, 7], [2, 4, 5]]


@pytest.mark.parametrize(
    ("settings", "val", "test"),
    [
        ({"val_fraction": 0.4}, 3_385_637, 0),
        ({"val_fraction": 0.45, "test_fraction": 0.1}, 3_754_852, 794_060),
        ({"folds": 4, "fold": 2}, 2_039_928, 0),
        ({"val_fraction": 0.1}, 761_505, 0),
    ],
)
def test_the_draw_of_many_groups_of_several_classes_is_the_same_on_every_machine(
    settings: dict[str, Any], val: int, test: int
) -> None:
    generator = np.random.Generator(np.random.PCG64(1))
    groups = np.repeat(np.arange(900), generator.integers(1, 9, 900))
    labels = generator.integers(0, 3, len(groups))
    split = draw(labels, groups, seed=5, **settings)
    # Sums of the indices, written down once.
    assert (split.val.sum(), split.test.sum()) == (val, test)


def test_a_class_whose_groups_all_hold_the_rest_of_another_is_not_held_out() -> None:
    # Class 0 is in two groups, in one with all of class 1 and in the other with all of class 2.
    labels = np.array([0, 1, 0, 2, 3, 3, 3, 3])
    groups = np.array([0, 0, 1, 1, 2, 3, 4, 5])
    for seed in range(10):
        split = draw(labels, groups, val_fraction=0.4, seed=seed)
        check_split(split, labels, groups)
        assert labels[split.val].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("counts", "settings", "val", "test"),
    [
        # A class of three images has one to test, one to validate and one to learn from.
        ((3, 40), {"val_fraction": 0.4, "test_fraction": 0.5}, [1, 16], [1, 20]),
        # A class of two has none to test, and what it would have had goes to the other.
        ((2, 10), {"val_fraction": 0.25, "test_fraction": 0.25}, [1, 2], [0, 3]),
        # A class of one has none to validate.
        ((1, 13), {"val_fraction": 0.25, "test_fraction": 0.2}, [0, 4], [0, 3]),
    ],
)
def test_a_class_of_few_images_keeps_some_for_training_and_for_validation(
    counts: tuple[int, ...], settings: dict[str, float], val: list[int], test: list[int]
) -> None:
    labels = labels_of(*counts)
    split = draw(labels, None, **settings)
    assert np.bincount(labels[split.val], minlength=2).tolist() == val
    assert np.bincount(labels[split.test], minlength=2).tolist() == test


def test_a_hundred_thousand_images_are_split_at_once() -> None:
    generator = np.random.default_rng(0)
    labels, groups = generator.integers(0, 20, 100_000), generator.integers(0, 60_000, 100_000)
    # Half a second on one slow core; comparing groups with each other would not fit into memory.
    split = draw(labels, groups)
    check_split(split, labels, groups)
    assert len(split.val) == 20_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_fraction": 0}, "val_fraction=0: must be a number from 0.001 to 0.999"),
        ({"val_fraction": float("nan")}, "val_fraction=nan: must"),
        ({"test_fraction": -0.1}, "test_fraction=-0.1: must be a number from 0 to 0.999"),
        ({"test_fraction": 1.0}, "test_fraction=1.0: must"),
        ({"test_fraction": float("nan")}, "test_fraction=nan: must"),
        (
            {"test_fraction": 0.8},
            "val_fraction=0.2: leaves nothing to train on, as test_fraction=0.8",
        ),
        ({"folds": 1}, "folds=1: must be a whole number, 2 or more"),
        ({"folds": 5, "fold": 5}, "fold=5: must be from 0 to 4, as folds=5"),
        ({"folds": 5, "fold": -1}, "fold=-1: must be a whole number, 0 or more"),
        ({"fold": 2}, "fold=2: needs folds as well, such as folds=5"),
        ({"seed": -1}, "split_seed=-1: must be a whole number, 0 or more"),
        ({"folds": 7}, "folds=7: the groups of images fill only 4 folds; choose 4"),
        ({"test_fraction": 0.1}, "test_fraction=0.1: no group of images can be spared"),
    ],
)
def test_settings_that_cannot_be_met_are_named(settings: dict[str, Any], message: str) -> None:
    labels, groups = np.repeat([0, 1], 20), np.repeat(np.arange(4), 10)
    with pytest.raises(FishError) as raised:
        draw(labels, groups, **settings)
    assert str(raised.value).startswith(message)


def test_groups_that_leave_nothing_to_validate_on_are_an_error() -> None:
    labels = np.repeat([0, 1], 20)
    with pytest.raises(FishError, match=r"^val_fraction=0.2: no group of images can be"):
        draw(labels, np.zeros(40, np.int64))
    with pytest.raises(FishError, match=r"^folds=2: .* fill only 0 folds; choose null"):
        draw(labels, labels, folds=2)
    with pytest.raises(FishError, match=r"fill only 2 folds; choose 2$"):
        draw(labels[:20], np.arange(20) // 10, folds=3)


def test_the_written_split_can_be_read_back_by_path(tmp_path: Path) -> None:
    paths = RelativePaths(["Koi/1.jpg", "Koi/ü.jpg", "Rui/\udcff.jpg"])
    split = Split(train=np.array([0, 2]), val=np.array([1]), test=np.empty(0, np.int64))
    file = tmp_path / "split.json"
    write_split(split, paths, file, SplitSettings(val_fraction=0.2, test_fraction=0.1))
    drawn_with = {"val_fraction": 0.2, "test_fraction": 0.1, "folds": None, "fold": None, "seed": 0}
    assert json.loads(file.read_text(encoding="utf-8")) == {
        **drawn_with,
        "train": ["Koi/1.jpg", "Rui/\udcff.jpg"],
        "val": ["Koi/ü.jpg"],
        "test": [],
    }
    write_split(split, paths, file, SplitSettings(folds=5, fold=2, split_seed=3))
    content = json.loads(file.read_text(encoding="utf-8"))
    assert [content[key] for key in drawn_with] == [None, 0.0, 5, 2, 3]
    write_split(split, paths, file, None)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert [content[key] for key in drawn_with] == [None] * 5
