"""Images to a split: what belongs together, by content or by name, is never divided."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.duplicates.fingerprint import fingerprint
from fishcnn.data.image_index import FACTS, ImageIndex
from fishcnn.data.relative_paths import RelativePaths
from fishcnn.data.splitting.grouped_split import split_images
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.utils.errors import FishError

TRACK = "^(?P<group>t[0-9]+)_"


def textured(seed: int) -> Image.Image:
    """Soft random blobs, 120 x 90 pixels."""
    blobs = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(blobs).resize((120, 90), Image.Resampling.BICUBIC)


def image_set(
    contents: list[int], tracks: list[int], splits: tuple[str, ...] | None = None
) -> ImageSet:
    """Images of one class; equal contents are near-duplicates, equal tracks are in the names."""
    originals = {seed: textured(seed) for seed in set(contents)}
    count = len(contents)
    facts = np.zeros(count, FACTS)
    facts["size"] = [120, 90]
    facts["digest"][:, 0] = np.arange(count)
    index = ImageIndex(
        root=Path("fish"),
        classes=("Koi",),
        paths=RelativePaths(f"Koi/t{track}_{row}.jpg" for row, track in enumerate(tracks)),
        labels=np.zeros(count, np.int64),
        splits=splits,
        empty_classes=(),
        ignored=0,
        facts=facts,
    )
    pixels = np.stack([np.asarray(originals[seed].resize((80, 80))) for seed in contents])
    fingerprints = np.stack([fingerprint(originals[seed]) for seed in contents])
    return ImageSet(index, pixels, fingerprints=fingerprints)


# Near-duplicates: 0, 1 and 6, 7. Tracks: 1, 2 and 3, 4, 5. Together: 0-1-2, 3-4-5, 6-7, 8, 9.
CONTENTS = [0, 0, 1, 2, 3, 4, 5, 5, 6, 7]
TRACKS = [0, 1, 1, 2, 2, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        ({"group_duplicates": False}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({}, [0, 0, 1, 2, 3, 4, 5, 5, 6, 7]),
        ({"group_duplicates": False, "group_regex": TRACK}, [0, 1, 1, 2, 2, 2, 3, 4, 5, 6]),
        ({"group_regex": TRACK}, [0, 0, 0, 1, 1, 1, 2, 2, 3, 4]),
    ],
)
def test_groups_by_name_come_on_top_of_near_duplicates(
    settings: dict[str, Any], groups: list[int]
) -> None:
    splitting = split_images(image_set(CONTENTS, TRACKS), SplitSettings(**settings))
    assert splitting.groups.tolist() == groups
    assert (splitting.duplicates is None) == ("group_duplicates" in settings)


@pytest.mark.parametrize("changes", [{}, {"folds": 3}, {"test_fraction": 0.2}])
def test_no_split_divides_what_belongs_together_either_way(changes: dict[str, Any]) -> None:
    images = image_set(CONTENTS, TRACKS)
    for seed in range(10):
        settings = SplitSettings(group_regex=TRACK, split_seed=seed, **changes)
        split = split_images(images, settings).split
        place = np.empty(10, "U5")
        for name, rows in vars(split).items():
            place[rows] = name
        for together in (CONTENTS, TRACKS):
            for value in set(together):
                assert len(set(place[np.array(together) == value])) == 1


def test_what_a_random_split_would_leak_is_counted_for_the_size_of_a_fold() -> None:
    # 20 pairs: the validation split of a fifth and that of a half differ in size.
    images = image_set([row // 2 for row in range(40)], list(range(40)))
    by_folds, by_fraction, plain = (
        split_images(images, SplitSettings(split_seed=0, **changes)).leaked
        for changes in ({"folds": 5, "val_fraction": 0.9}, {"val_fraction": 0.2}, {"folds": 2})
    )
    assert by_folds.tolist() == by_fraction.tolist()
    assert 4 <= len(by_folds) <= 8
    assert 8 < len(plain) <= 20


SIDES = ("train", "train", "val", "train", "val", "train", "test", "train", "val", "test")


def test_a_folder_that_is_split_already_keeps_its_splits_and_shows_its_leaks() -> None:
    images = image_set(CONTENTS, TRACKS, SIDES)
    splitting = split_images(images, SplitSettings(group_regex=TRACK, val_fraction=0.5))
    assert not splitting.drawn
    assert splitting.split.val.tolist() == [2, 4, 8]
    assert splitting.split.test.tolist() == [6, 9]
    # 2 is in a track with a copy of 0, 4 between frames that train, 6 a copy of 7.
    assert splitting.leaked.tolist() == [2, 4, 6]
    assert split_images(image_set(CONTENTS, TRACKS), SplitSettings()).drawn


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 4}, r"^folds=4: draws a split, but the folder has train/"),
        ({"test_fraction": 0.1}, r"^test_fraction=0.1: draws a split"),
    ],
)
def test_what_is_split_already_cannot_be_split_again(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FishError, match=message):
        split_images(image_set(CONTENTS, TRACKS, SIDES), SplitSettings(**changes))


@pytest.mark.parametrize("splits", [None, ("train", "val", "train", "test") * 10])
@pytest.mark.parametrize("changes", [{}, {"group_duplicates": False}, {"folds": 4, "fold": 1}])
def test_an_inner_split_is_drawn_from_the_training_images(
    splits: tuple[str, ...] | None, changes: dict[str, Any]
) -> None:
    if splits and "folds" in changes:
        pytest.skip("a folder that is split already has no folds")
    images = image_set([row // 2 for row in range(40)], list(range(40)), splits)
    outer = split_images(images, SplitSettings(**changes)).split
    splitting = split_images(images, SplitSettings(inner_split=True, **changes))
    inner = splitting.split
    held_back = sorted([*outer.val, *outer.test])
    assert inner.test.tolist() == held_back
    assert sorted([*inner.train, *inner.val]) == outer.train.tolist()
    assert 0 < len(inner.val) <= 0.3 * len(outer.train)
    groups = splitting.groups
    assert set(groups[inner.train]).isdisjoint(groups[inner.val])


def test_an_inner_split_that_cannot_be_drawn_is_refused() -> None:
    images = image_set([0, 1], [0, 1])
    settings = SplitSettings(inner_split=True, val_fraction=0.5)
    with pytest.raises(FishError, match=r"^inner_split=true: no group of training images"):
        split_images(images, settings)
