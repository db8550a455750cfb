"""Whether a program without fishcnn prepares files as predict does."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fishcnn.commands.export.preparation import compare_files, prepare, source
from fishcnn.data.decoding.image_formats import readable_formats
from fishcnn.data.decoding.read import read_image
from fishcnn.data.decoding.resize import RESIZES, Square
from fishcnn.models.classifier import FishClassifier

SIDE = 24


def drawn(mode: str) -> Image.Image:
    levels = np.random.default_rng(2).integers(0, 256, (9, 13, 4), np.uint8)
    return Image.fromarray(levels).resize((700, 500), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", "jpg"),
        ("L", "jpg"),
        ("CMYK", "jpg"),
        ("RGB", "png"),
        ("RGBA", "png"),
        ("LA", "png"),
        ("P", "png"),
        ("RGBA", "webp"),
        ("RGB", "tif"),
        ("P", "gif"),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("resize", RESIZES)
def test_the_program_of_the_card_prepares_the_same_pixels(
    tmp_path: Path, mode: str, suffix: str, orientation: int, resize: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"fish.{suffix}"
    drawn(mode).save(path, exif=exif)
    expected = Square(SIDE, resize).of_image(read_image(path, long_enough_for=SIDE))
    np.testing.assert_array_equal(prepare(str(path), SIDE, resize), expected)


def test_files_that_it_prepares_otherwise_are_counted(tmp_path: Path) -> None:
    classifier = FishClassifier(
        classes=["Ilish", "Koi"],
        image_size=16,
        working_size=16,
        mean=[0.0, 0.0, 0.0],
        std=[1.0, 1.0, 1.0],
        model={"name": "cnn", "blocks": 1, "base_channels": 4, "max_channels": 4, "head": "gap"},
        optimizer={"name": "adam", "lr": 1e-3, "weight_decay": 0.0},
        scheduler={"name": "none"},
        label_smoothing=0.0,
        class_weights=None,
    ).eval()
    drawn("RGB").save(tmp_path / "a.jpg")
    deep = np.random.default_rng(3).integers(0, 4096, (30, 30), np.uint16)
    Image.fromarray(deep).save(tmp_path / "b.png")  # Pillow alone makes it white
    drawn("RGB").save(tmp_path / "c.jp2")
    files = [tmp_path / name for name in ("a.jpg", "b.png", "c.jp2")]
    expected = np.array(
        [list(one.probabilities.values()) for one in classifier.predict(files[:1])], np.float32
    )
    names = list(classifier.predict(files[0])[0].probabilities)
    order = [names.index(name) for name in classifier.classes]
    probabilities = np.repeat(expected[:, order], 3, axis=0)
    probabilities[1] = 1 - probabilities[1]
    found = compare_files(classifier, files, probabilities)
    assert (found.pictures, found.unreadable) == (3, 1)
    assert found.same_top1 <= 2
    assert found.max_abs_difference > 0
    assert compare_files(classifier, files[:1], probabilities[:1]).max_abs_difference < 1e-6


def test_the_program_of_the_card_opens_only_formats_that_are_read() -> None:
    listed = re.search(r"formats=(\[.*?\])", source())
    assert listed is not None
    formats = ast.literal_eval(listed[1])
    assert formats
    assert set(formats) <= set(readable_formats())
