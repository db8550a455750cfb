"""What a user is told about the data."""

from pathlib import Path

import numpy as np
import pytest

from fishcnn.data.pictures import Pictures, Unreadable
from fishcnn.data.report import data_report
from fishcnn.data.scan import Listing
from fishcnn.data.split import Split

LABELS = np.array([0, 0, 0, 1, 1, 0, 1, 1, 1], np.int64)
SIZES = np.array([[500, 375]] * 7 + [[150, 33], [6000, 4000]], np.int32)


def report(
    sizes: np.ndarray | None = SIZES,
    unreadable: int = 2,
    test: bool = True,
    bad_name: str = "Koi/bad{}.jpg",
) -> str:
    paths = tuple(
        Path(f"{'Koi' if label == 0 else 'Rui'}/{i}.jpg") for i, label in enumerate(LABELS)
    )
    pictures = Pictures(
        images=np.zeros((9, 160, 160, 3), np.uint8),
        aspect=(SIZES[:, 0] / SIZES[:, 1]).astype(np.float32),
        masks=None,
        labels=LABELS,
        paths=paths,
        classes=("Koi", "Rui"),
        sides=None,
        unreadable=tuple(
            Unreadable(Path(bad_name.format(i)), "truncated") for i in range(unreadable)
        ),
        sizes=sizes,
    )
    listing = Listing(Path("/some/fish"), ("Koi", "Rui"), paths, LABELS, None, ("Bata",), 3)
    held_out = np.array([5, 6, 7, 8])
    split = Split(
        train=np.arange(5),
        val=held_out[:1] if test else held_out,
        test=held_out[1:] if test else held_out[:0],
    )
    return data_report(pictures, listing, split)


def test_classes_are_counted_per_side() -> None:
    assert (
        "# Pictures in /some/fish\n\n"
        "| class | train | val | test | all |\n"
        "|---|---:|---:|---:|---:|\n"
        "| Koi | 3 | 1 | 0 | 4 |\n"
        "| Rui | 2 | 0 | 3 | 5 |\n"
        "| **all** | 5 | 1 | 3 | 9 |\n"
    ) in report()
    assert "| Rui | 2 | 3 | 5 |\n" in report(test=False)


@pytest.mark.parametrize(
    ("test", "shares"),
    [(False, "25.0% of val (Koi)"), (True, "100.0% of val and 0.0% of test (Koi)")],
)
def test_the_score_to_beat_is_that_of_the_most_frequent_training_class(
    test: bool, shares: str
) -> None:
    assert f"most frequent class of the training side is right on {shares}." in report(test=test)


def test_sizes_are_those_of_the_originals() -> None:
    text = report()
    assert (
        "kept at 160 x 160 pixels (1 MB); width / height of the originals runs from 1.33 to 4.55."
        in text
    )
    assert (
        "the smallest is 150 x 33, the median 500 x 375 and the largest 6000 x 4000; 1 of 9" in text
    )
    assert "smallest" not in report(sizes=None)


def test_everything_left_out_is_named() -> None:
    assert report().endswith(
        "## Left out\n\n"
        "- Unreadable pictures: 2\n"
        "  - `Koi/bad0.jpg`: truncated\n"
        "  - `Koi/bad1.jpg`: truncated\n"
        "- Empty class folders: Bata\n"
        "- Ignored files, by their suffix or outside every class folder: 3\n"
    )
    assert report(unreadable=300).count(": truncated\n") == 300


def test_a_name_that_is_no_unicode_can_still_be_written(tmp_path: Path) -> None:
    # Python reads the byte 0xff of a file name as this lone surrogate.
    text = report(bad_name="Koi/\udcff.jpg")
    (tmp_path / "data.md").write_text(text, encoding="utf-8")
    assert "`Koi/\\udcff.jpg`: truncated" in text
