"""The same picture twice is found, whatever was done to it; pictures that look alike are not."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fishcnn.benchmark.planted_duplicates import KINDS, measure_duplicates, plant_duplicate
from fishcnn.data.duplicates import candidates, compared_pairs
from fishcnn.data.duplicates import finder as duplicates
from fishcnn.data.duplicates.candidates import candidate_pairs
from fishcnn.data.duplicates.compared_pairs import ComparedPairs
from fishcnn.data.duplicates.finder import Duplicates, find_duplicates
from fishcnn.data.duplicates.fingerprint import fingerprint, unpack


def ground(seed: int) -> Image.Image:
    """Soft random blobs, 160 x 120 pixels."""
    blobs = np.random.default_rng(seed).integers(40, 216, (9, 12, 3), np.uint8)
    return Image.fromarray(blobs).resize((160, 120), Image.Resampling.BICUBIC)


def with_fish(picture: Image.Image, left: int = 40) -> Image.Image:
    """The picture with the one fish that all of these tests know, a striped one."""
    fish = picture.copy()
    draw = ImageDraw.Draw(fish)
    draw.polygon([(left + 50, 60), (left + 80, 40), (left + 80, 80)], fill=(200, 90, 30))
    draw.ellipse((left, 40, left + 60, 80), fill=(230, 200, 60))
    for x in range(left + 15, left + 50, 10):
        draw.line((x, 45, x, 75), fill=(20, 20, 60), width=4)
    draw.ellipse((left + 5, 54, left + 11, 60), fill=(0, 0, 0))
    return fish


def find(pictures: Sequence[Image.Image], hashes: Sequence[str] | None = None) -> Duplicates:
    return find_duplicates(
        np.stack([fingerprint(picture) for picture in pictures]),
        np.stack([np.asarray(picture.resize((80, 80))) for picture in pictures]),
        np.array([picture.width / picture.height for picture in pictures], np.float32),
        hashes,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_twin_is_found_and_nothing_else(kind: str) -> None:
    originals = [with_fish(ground(seed), left=20 + 5 * seed) for seed in range(10)]
    generator = np.random.default_rng(0)
    twins = [plant_duplicate(picture, kind, generator) for picture in originals]
    found = find(originals + twins)
    assert found.pairs.tolist() == [[index, index + 10] for index in range(10)]
    assert found.groups.tolist() == 2 * list(range(10))


def test_one_fish_on_different_grounds_is_not_one_picture() -> None:
    assert len(find([with_fish(ground(seed)) for seed in range(20)]).pairs) == 0


def test_different_fish_on_one_ground_are_not_one_picture() -> None:
    white = Image.new("RGB", (160, 120), "white")
    pictures = [white.copy() for _ in range(10)]
    for seed, picture in enumerate(pictures):
        picture.paste(ground(seed).resize((80, 40)), (40, 40))
    assert len(find(pictures).pairs) == 0


def test_blank_pictures_are_duplicates_only_where_the_files_are_identical() -> None:
    blank = [Image.new("RGB", (160, 120), "white")] * 3
    assert find(blank).groups.tolist() == [0, 1, 2]
    assert find(blank, ["a", "b", "a"]).groups.tolist() == [0, 1, 0]


def test_identical_files_are_connected_without_being_looked_at() -> None:
    found = find([ground(seed) for seed in range(5)], ["a", "b", "a", "c", "a"])
    assert found.pairs.tolist() == [[0, 2], [2, 4]]
    assert found.groups.tolist() == [0, 1, 0, 2, 0]
    assert [members.tolist() for members in found.larger_than_one()] == [[0, 2, 4]]


def test_frames_of_a_video_are_one_group_and_two_videos_are_two() -> None:
    generator = np.random.default_rng(0)
    first, second = with_fish(ground(0)), with_fish(ground(1))
    frames = [plant_duplicate(first, "next_frame", generator) for _ in range(12)]
    others = [plant_duplicate(second, "next_frame", generator) for _ in range(12)]
    found = find([frame for both in zip(frames, others, strict=True) for frame in both])
    assert found.groups.tolist() == 12 * [0, 1]


def test_no_pictures_and_one_picture_have_no_duplicates() -> None:
    nothing = find_duplicates(
        np.zeros((0, len(fingerprint(ground(0)))), np.uint8),
        np.zeros((0, 80, 80, 3), np.uint8),
        np.zeros(0, np.float32),
        [],
    )
    assert nothing.pairs.shape == (0, 2)
    assert nothing.larger_than_one() == []
    assert find([ground(0)]).groups.tolist() == [0]


def test_pairs_compared_grow_with_the_collection_and_not_with_its_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []

    def count(*arguments: np.ndarray) -> np.ndarray:
        compared.append(len(arguments[-1]))
        return np.zeros(len(arguments[-1]), bool)

    monkeypatch.setattr(duplicates, "show_the_same", count)
    # The worst case: all pictures fall in the same buckets.
    one = fingerprint(with_fish(ground(0)))
    for size in (500, 2000):
        compared.clear()
        find_duplicates(
            np.tile(one, (size, 1)),
            np.zeros((size, 80, 80, 3), np.uint8),
            np.ones(size, np.float32),
            None,
        )
        assert 7 * size < sum(compared) <= 8 * size


def test_a_twin_is_compared_though_its_words_are_common() -> None:
    # Every picture has the same lower half, so that its buckets hold all pictures.
    pictures = [ground(seed) for seed in range(20)]
    for picture in pictures[1:]:
        picture.paste(pictures[0].crop((0, 60, 160, 120)), (0, 60))
    pictures.append(plant_duplicate(pictures[5], "reencoded", np.random.default_rng(0)))
    pairs = candidate_pairs(unpack(np.stack([fingerprint(picture) for picture in pictures])))
    assert [5, 20] in pairs.tolist()
    assert find(pictures).pairs.tolist() == [[5, 20]]


def test_what_is_measured_is_what_was_planted() -> None:
    pictures = [with_fish(ground(seed)) for seed in range(12)]
    measured = measure_duplicates(pictures, 2, np.random.default_rng(0))
    assert measured.recall == dict.fromkeys(KINDS, 1.0)
    assert measured.precision == 1.0
    # Two pictures that were the same all along count as wrong.
    measured = measure_duplicates([*pictures, pictures[0]], 2, np.random.default_rng(0))
    assert [0, 12] in measured.wrong.tolist()
    assert measured.precision < 1


def test_twins_are_what_their_names_say() -> None:
    picture = with_fish(ground(0))
    generator = np.random.default_rng(0)
    twins = {kind: plant_duplicate(picture, kind, generator) for kind in KINDS}
    difference = {
        kind: np.abs(np.asarray(twin, float) - np.asarray(picture)).mean()
        for kind, twin in twins.items()
        if twin.size == picture.size
    }
    assert 0 < difference["reencoded"] < 6
    assert difference["mirrored"] > 10
    assert 2 < difference["next_frame"] < 35
    assert twins["resized"].width / twins["resized"].height == pytest.approx(4 / 3, rel=0.02)
    for before, after in zip(picture.size, twins["cropped"].size, strict=True):
        assert 0.69 * before <= after <= 0.91 * before
    with pytest.raises(ValueError, match="kind is 'sepia'"):
        plant_duplicate(picture, "sepia", generator)


def test_candidates_are_the_same_however_few_are_looked_at_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(0)
    originals = [with_fish(ground(seed % 15), left=seed) for seed in range(40)]
    twins = [plant_duplicate(image, "mirrored", generator) for image in originals[::3]]
    features = unpack(np.stack([fingerprint(image) for image in originals + twins]))
    at_once = candidate_pairs(features)
    assert len(at_once) > 20
    monkeypatch.setattr(candidates, "_IMAGES_AT_ONCE", 7)
    monkeypatch.setattr(candidates, "_ENTRIES_AT_ONCE", 500)
    np.testing.assert_array_equal(candidate_pairs(features), at_once)


def test_a_search_takes_so_many_bytes_an_image_even_if_all_are_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of these has 600 pairs with others that it shares words with."""
    monkeypatch.setattr(candidates, "_IMAGES_AT_ONCE", 500)
    monkeypatch.setattr(candidates, "_ENTRIES_AT_ONCE", 100_000)
    one = fingerprint(with_fish(ground(0)))
    peaks = []
    for count in (1000, 3000):
        features = unpack(np.tile(one, (count, 1)))
        tracemalloc.start()
        try:
            pairs = candidate_pairs(features)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert 7 * count < len(pairs) <= 16 * count
    assert (peaks[1] - peaks[0]) / 2000 < 6000


def test_a_search_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compared_pairs, "_FEW", 1)
    monkeypatch.setattr(duplicates, "_BATCH", 5)
    images = [with_fish(ground(seed % 4), left=20 + seed) for seed in range(24)]
    compared: list[tuple[int, int]] = []
    show_the_same = duplicates.show_the_same

    def counted(*arguments: np.ndarray) -> np.ndarray:
        if len(compared) >= stop_after:
            raise KeyboardInterrupt
        compared.extend(map(tuple, arguments[-1].tolist()))
        return show_the_same(*arguments)

    def search(rows: np.ndarray, some: list[Image.Image]) -> Duplicates:
        known = ComparedPairs(tmp_path / "some.compared", rows)
        fingerprints = np.stack([fingerprint(image) for image in some])
        squares = np.stack([np.asarray(image.resize((80, 80))) for image in some])
        aspect = np.full(len(some), 4 / 3, np.float32)
        return find_duplicates(fingerprints, squares, aspect, None, known)

    stop_after = 1000
    monkeypatch.setattr(duplicates, "show_the_same", counted)
    whole = find(images)
    every = list(compared)
    assert len(every) > 15
    compared.clear()
    stop_after = 10
    with pytest.raises(KeyboardInterrupt):
        search(np.arange(24), images)
    stop_after = 1000
    found = search(np.arange(24), images)
    assert sorted(compared) == sorted(every)
    assert found.pairs.tolist() == whole.pairs.tolist()
    # One more image, before the others: only its own pairs are compared.
    compared.clear()
    found = search(np.array([24, *range(24)]), [images[3], *images])
    assert len(every) > len(compared) > 0
    assert all(0 in pair for pair in compared)
    assert [0, 4] in found.pairs.tolist()
    (tmp_path / "some.compared").write_bytes(b"junk")
    assert search(np.arange(24), images).pairs.tolist() == whole.pairs.tolist()
    assert "is damaged" in caplog.text
