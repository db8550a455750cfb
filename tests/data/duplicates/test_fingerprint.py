"""What is remembered of a picture stays when the file is made smaller or mirrored."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from fishcnn.data.duplicates.fingerprint import (
    FINGERPRINT_BYTES,
    MIRRORED_BITS,
    fingerprint,
    middles,
    unpack,
)


def textured(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture of soft random blobs."""
    blobs = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(blobs).resize(size, Image.Resampling.BICUBIC)


def words(picture: Image.Image) -> np.ndarray:
    features = unpack(fingerprint(picture)[None])
    return features.words[features.filled]


def test_the_same_picture_has_the_same_fingerprint_of_constant_length() -> None:
    first, second = fingerprint(textured(0)), fingerprint(textured(0))
    assert first.shape == (FINGERPRINT_BYTES,)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert (first != fingerprint(textured(1))).mean() > 0.5


def test_a_picture_decoded_at_half_scale_keeps_most_of_its_words() -> None:
    picture = textured(0)
    assert np.isin(words(picture.reduce(2)), words(picture)).mean() > 0.5
    assert np.isin(words(textured(1)), words(picture)).mean() < 0.05


def test_mirroring_turns_known_bits_of_the_words() -> None:
    picture = textured(0)
    mirrored = words(ImageOps.mirror(picture))
    assert np.isin(mirrored ^ MIRRORED_BITS, words(picture)).mean() > 0.8
    assert np.isin(mirrored, words(picture)).mean() < 0.05


def test_points_are_where_the_picture_stands_out() -> None:
    grey = np.full((240, 320), 100, np.uint8)
    grey[140:150, 95:105] = 200
    features = unpack(fingerprint(Image.fromarray(grey).convert("RGB"))[None])
    nearest = middles(features.centres[features.filled])
    distance = np.abs(nearest - [100 / 320, 145 / 240]).max(axis=1)
    assert distance.min() < 0.01
    assert distance.max() < 0.15


@pytest.mark.parametrize("size", [(320, 240), (1, 1), (1, 900), (3000, 7)])
def test_a_blank_picture_of_any_shape_has_an_empty_fingerprint(size: tuple[int, int]) -> None:
    assert not fingerprint(Image.new("RGB", size, (250, 240, 230))).any()


@pytest.mark.parametrize("size", [(2000, 40), (40, 2000), (30, 20)])
def test_pictures_of_unusual_shapes_have_points(size: tuple[int, int]) -> None:
    assert len(words(textured(0, size))) > 3
