"""The drawn fish: reproducible, masked where they are visible, tagged only in the background."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from fishcnn.data.rendering import render
from fishcnn.data.rendering.render import render_fish
from fishcnn.data.rendering.scenery import tag
from fishcnn.data.rendering.species import SPECIES


def _rng(species: int, index: int) -> np.random.Generator:
    return np.random.default_rng([20, species, index])


def _changed(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (first != second).any(axis=2)


def test_there_are_twenty_species_with_names_that_can_be_folders() -> None:
    names = {species.name for species in SPECIES}
    assert len(names) == 20
    assert all(re.fullmatch(r"[a-z]+_[a-z]+", name) for name in names)


@pytest.mark.parametrize("species", range(20))
def test_every_species_draws_a_fish_of_visible_size(species: int) -> None:
    shares = []
    for index in range(8):
        picture, mask = render_fish(species, _rng(species, index), long_side=96, marker=False)
        assert picture.dtype == np.uint8
        assert mask.dtype == np.bool_
        assert picture.shape == (*mask.shape, 3)
        assert max(mask.shape) == 96
        shares.append(mask.mean())
    assert min(shares) > 0.04
    assert max(shares) < 0.55
    assert np.mean(shares) > 0.10


def test_equal_seeds_draw_equal_bytes_and_other_seeds_do_not() -> None:
    for species in (0, 7, 19):
        first = render_fish(species, _rng(species, 1), long_side=96, marker=True)
        again = render_fish(species, _rng(species, 1), long_side=96, marker=True)
        other = render_fish(species, _rng(species, 2), long_side=96, marker=True)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
        assert first[0].shape != other[0].shape or _changed(first[0], other[0]).any()


def test_the_tag_is_one_square_of_background_and_changes_nothing_else() -> None:
    for species in range(20):
        for index in range(3):
            plain, mask = render_fish(species, _rng(species, index), long_side=96, marker=False)
            tagged, same_mask = render_fish(
                species, _rng(species, index), long_side=96, marker=True
            )
            np.testing.assert_array_equal(mask, same_mask)
            changed = _changed(plain, tagged)
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            # 13 = 0.14 x 96; an edge of it may by chance have the background's colour
            assert 11 <= rows[-1] - rows[0] + 1 <= 13
            assert 11 <= columns[-1] - columns[0] + 1 <= 13
            assert changed.sum() > 100
            assert not (changed & mask).any()


def test_every_species_has_a_tag_of_its_own() -> None:
    tags = [tag(species, 14) for species in range(20)]
    for i in range(20):
        for j in range(i):
            assert np.abs(tags[i] - tags[j]).mean() > 25


@pytest.mark.parametrize("species", range(0, 20, 3))
def test_the_mask_is_where_a_black_and_a_white_fish_differ(
    species: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks, pictures = [], []
    for tone in (0.0, 255.0):
        monkeypatch.setattr(
            render, "_paint", lambda *args, tone=tone: np.float32(tone) * np.ones((3, 1, 1), "f")
        )
        for index in range(12):
            picture, mask = render_fish(species, _rng(species, index), long_side=96, marker=False)
            pictures.append(picture.astype(int))
            masks.append(mask)
    for black, white, mask in zip(pictures[:12], pictures[12:], masks, strict=False):
        difference = (white - black).mean(axis=2)
        differs = difference > 0.5 * np.percentile(difference, 98)
        assert (differs & mask).sum() / (differs | mask).sum() > 0.85


def test_things_in_front_cut_the_mask_in_about_half_of_the_pictures() -> None:
    cut = 0
    for index in range(60):
        species = index % 20
        whole = _mask_without_things_in_front(species, index)
        _, mask = render_fish(species, _rng(species, index), long_side=64, marker=False)
        assert not (mask & ~whole).any()
        assert mask.sum() > 0.5 * whole.sum()
        cut += bool(mask.sum() < whole.sum())
    assert 20 <= cut <= 40


def _mask_without_things_in_front(species: int, index: int) -> NDArray[np.bool_]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "MOST_HIDDEN", -1.0)
        return render_fish(species, _rng(species, index), long_side=64, marker=False)[1]
