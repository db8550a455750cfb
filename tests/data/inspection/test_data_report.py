"""What a user is told about the data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.duplicates.finder import Duplicates
from fishcnn.data.image_index import FACTS, ImageIndex
from fishcnn.data.inspection.borders import Bars
from fishcnn.data.inspection.data_findings import (
    balance,
    borders,
    imbalance,
    label_conflicts,
    look_first,
    near_duplicates,
)
from fishcnn.data.inspection.data_report import data_report, sizes
from fishcnn.data.relative_paths import RelativePaths
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.splitting.split import Split

LABELS = np.array([0, 0, 0, 1, 1, 0, 1, 1, 1], np.int64)
SIZES = np.array([[500, 375]] * 7 + [[150, 33], [6000, 4000]], np.int32)
# Koi/1, Koi/2 and Rui/3 show the same; Rui/7 and Rui/8 as well.
COPIES = Duplicates(np.array([[1, 2], [2, 3], [7, 8]]), np.array([0, 1, 1, 1, 2, 3, 4, 5, 5]))


def some_images(
    labels: np.ndarray = LABELS,
    sizes: np.ndarray = SIZES,
    classes: tuple[str, ...] = ("Koi", "Rui"),
    unreadable: tuple[str, ...] = (),
    splits: tuple[str, ...] | None = None,
) -> ImageSet:
    count, bad = len(labels), len(unreadable)
    facts = np.zeros(count + bad, FACTS)
    facts["size"][:count] = sizes
    names = [f"{classes[label]}/{i}.jpg" for i, label in enumerate(labels)]
    index = ImageIndex(
        root=Path("/some/fish"),
        classes=classes,
        paths=RelativePaths([*names, *unreadable]),
        labels=np.append(labels, np.zeros(bad, np.int64)),
        splits=splits,
        empty_classes=("Bata",),
        ignored=3,
        facts=facts,
        reasons=dict.fromkeys(range(count, count + bad), "truncated"),
    )
    return ImageSet(index, np.zeros((count, 160, 160, 3), np.uint8))


def test_thousands_of_unreadable_files_are_not_all_named() -> None:
    sizes, names = np.full((2, 2), 200, np.int32), [f"Koi/bad{i}.jpg" for i in range(2500)]
    images = some_images(np.array([0, 1]), sizes, ("Koi", "Rui"), tuple(names))
    nothing = np.zeros(0, np.int64)
    split = Split(np.array([0, 1]), nothing, nothing)
    splitting = Splitting(split, np.arange(2), None, nothing, drawn=True)
    report = data_report(images, splitting)
    assert "Unreadable images: 2500" in report
    assert report.count("truncated") == 1000
    assert "- and 1500 more" in report


def many(labels: list[int] | np.ndarray, classes: tuple[str, ...]) -> ImageSet:
    sizes = np.full((len(labels), 2), 200, np.int32)
    return some_images(np.asarray(labels, np.int64), sizes, classes)


def splitting(
    duplicates: Duplicates | None = None,
    leaked: tuple[int, ...] = (),
    test: bool = False,
    drawn: bool = True,
    groups: np.ndarray | None = None,
) -> Splitting:
    held_out = np.array([5, 6, 7, 8])
    split = Split(
        train=np.arange(5),
        val=held_out[:1] if test else held_out,
        test=held_out[1:] if test else held_out[:0],
    )
    if groups is None:
        groups = np.arange(9) if duplicates is None else duplicates.groups
    return Splitting(split, groups, duplicates, np.array(leaked, np.int64), drawn)


def report(
    unreadable: int = 2,
    bad_name: str = "Koi/bad{}.jpg",
    made: Splitting | None = None,
) -> str:
    names = tuple(bad_name.format(i) for i in range(unreadable))
    return data_report(some_images(unreadable=names), made or splitting(test=True))


def texts(images: ImageSet, made: Splitting) -> str:
    return "\n".join(
        "\n".join([finding.text, *finding.items]) for finding in near_duplicates(images, made)
    )


def test_classes_are_counted_per_split() -> None:
    assert (
        "# Images in /some/fish\n\n"
        "| class | train | val | test | all |\n"
        "|---|---:|---:|---:|---:|\n"
        "| Koi | 3 | 1 | 0 | 4 |\n"
        "| Rui | 2 | 0 | 3 | 5 |\n"
        "| **all** | 5 | 1 | 3 | 9 |\n"
    ) in report()
    assert "| Rui | 2 | 3 | 5 |\n" in report(made=splitting())


@pytest.mark.parametrize(
    ("test", "shares"),
    [(False, "25.0% of val"), (True, "100.0% of val and 0.0% of test")],
)
def test_the_score_to_beat_is_that_of_the_most_frequent_training_class(
    test: bool, shares: str
) -> None:
    text = report(made=splitting(test=test))
    assert (
        f"Always answering Koi, the most frequent class in training, is right on {shares}." in text
    )


def test_sizes_are_those_of_the_originals() -> None:
    text = report()
    assert (
        "brought to 160 x 160 pixels (1 MB kept), squashed to that shape; "
        "width / height of the originals runs from 1.33 to 4.55." in text
    )
    assert (
        "the smallest is 150 x 33, the median 500 x 375 and the largest 6000 x 4000; 1 of 9" in text
    )


@pytest.mark.parametrize(
    ("resize", "shape", "enlarged"),
    [
        ("squash", "squashed to that shape", 2),
        ("letterbox", "in their own shape on their mean colour", 1),
        ("crop", "cut off at the ends of their longer side", 2),
    ],
)
def test_an_image_is_enlarged_whose_side_that_has_to_fit_is_smaller(
    resize: str, shape: str, enlarged: int
) -> None:
    images = many([0, 0, 1], ("Koi", "Rui"))  # 200 x 200
    images.sizes[:2] = [[150, 33], [400, 100]]
    said = sizes(images, resize)
    assert f"to 160 x 160 pixels (0 MB kept), {shape}; " in said
    assert said.endswith(f"; {enlarged} of 3 had to be enlarged.")


def test_everything_left_out_is_named() -> None:
    assert report().endswith(
        "## Left out\n\n"
        "- Unreadable images: 2\n"
        "  - `Koi/bad0.jpg`: truncated\n"
        "  - `Koi/bad1.jpg`: truncated\n"
        "- Empty class folders: Bata\n"
        "- Ignored files, by their suffix or outside every class folder: 3\n"
    )
    assert report(unreadable=300).count(": truncated\n") == 300


def test_a_name_that_is_no_unicode_can_still_be_written(tmp_path: Path) -> None:
    # Python reads the byte 0xff of a file name as this lone surrogate.
    text = report(bad_name="Koi/\udcff.jpg", unreadable=1)
    (tmp_path / "data.md").write_text(text, encoding="utf-8")
    assert "`Koi/\\udcff.jpg`: truncated" in text


def test_groups_leaks_and_label_conflicts_are_in_the_report_of_a_run() -> None:
    text = report(made=splitting(COPIES, leaked=(2,)))
    assert "2 groups of near-duplicates, with 5 of 9 images in them; the largest has 3." in text
    assert "a plain random split would have validated on 1 image after training on" in text
    assert "Label conflicts: 1 pair of near-duplicates in different classes." in text
    assert "  - `Koi/2.jpg` and `Rui/3.jpg`\n" in text
    assert text.endswith(
        "`python scripts/inspect_data.py data.root=/some/fish` shows all the groups as images.\n"
    )


def test_a_long_list_of_conflicts_is_cut_in_the_report_of_a_run() -> None:
    pairs = np.array([[i, i + 30] for i in range(30)])
    copies = Duplicates(pairs, np.tile(np.arange(30), 2))
    images = many(np.repeat([0, 1], 30), ("Koi", "Rui"))
    text = data_report(images, splitting(copies))
    assert "Label conflicts: 30 pairs" in text
    assert text.count(".jpg` and `") == 20
    assert "  - and 10 more\n" in text


def test_without_near_duplicates_nothing_is_alarming() -> None:
    alone = Duplicates(np.empty((0, 2), np.int64), np.arange(9))
    assert texts(some_images(), splitting(alone)) == "No near-duplicates."
    assert "inspect_data.py" not in report(made=splitting(alone))


def test_who_did_not_look_for_near_duplicates_is_told_so() -> None:
    assert texts(some_images(), splitting()) == (
        "Near-duplicates were not looked for (data.group_duplicates=false)."
    )
    by_name = splitting(groups=np.array([0, 0, 1, 1, 2, 3, 4, 5, 6]), leaked=(1,))
    assert "data.group_regex keeps 4 images together in 2 groups." in texts(some_images(), by_name)
    assert "validated on 1 image" in texts(some_images(), by_name)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["a", *[None] * 8], "data.group_regex matches 1 of 9 file names, such as 0. Each of the"),
        (
            [*"aaaaaaaa", None],
            "matches 8 of 9 file names, such as 0. Each of the others, such as 8",
        ),
        ([*"abcdefghi"], "data.group_regex puts no two images together"),
        ([*"aabbccddd"], None),
    ],
)
def test_a_pattern_that_hardly_groups_is_told_with_what_it_matches(
    parts: list[str | None], said: str | None
) -> None:
    made = replace(splitting(), parts=parts)
    warnings = "\n".join(finding.text for finding in look_first(some_images(), made))
    assert "group_regex" not in warnings if said is None else said in warnings
    assert (said or "## Near-duplicates") in report(made=made)


def test_leaks_across_the_splits_of_a_folder_are_named() -> None:
    text = texts(some_images(), splitting(COPIES, leaked=(7, 8), drawn=False))
    assert "Leaks: 2 of 4 held-out images belong to a group that is in train/" in text
    assert "\n`Rui/7.jpg`\n`Rui/8.jpg`" in text


def test_a_class_that_is_one_group_is_missed_in_validation() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2])
    copies = Duplicates(np.array([[0, 1]]), np.array([0, 0, 1, 2, 3, 4, 5, 6, 7]))
    images = many(labels, ("Koi", "Rui", "Bata"))
    assert "Classes without a validation image, as they have too few groups: Koi." in texts(
        images, splitting(copies)
    )


def test_conflicts_are_the_pairs_of_different_labels() -> None:
    assert label_conflicts(COPIES, LABELS).tolist() == [[2, 3]]
    assert label_conflicts(None, LABELS).shape == (0, 2)


def test_imbalance_is_measured_in_images() -> None:
    found = imbalance(np.array([0, 1, 1, 1, 1, 2, 2, 2]), 3)
    assert found.counts.tolist() == [1, 4, 3]
    assert (found.ratio, found.majority, found.baseline) == (4.0, 1, 0.5)
    assert imbalance(np.array([0]), 2).ratio == float("inf")


def test_rare_classes_are_given_a_setting() -> None:
    split = Split(np.arange(9), np.empty(0, np.int64), np.empty(0, np.int64))
    names = ("Koi", "Rui")
    uneven, baseline = balance(many([0] * 6 + [1] * 3, names), split)
    assert "Koi (6), has 2.0 times as many images as the smallest, Rui (3)." in uneven.text
    assert "data.balance=sampler" in uneven.text
    assert "Always answering Koi, the most frequent class, is right on 66.7%." in baseline.text
    assert "data.balance" not in balance(many([0] * 5 + [1] * 4, names), split)[0].text
    almost = balance(many([0] * 36 + [1] * 35, names), split)[0].text
    assert almost == "Every class has 35 to 36 images."
    assert balance(many([0, 1], names), split)[0].text == "Every class has 1 image."
    assert "Classes without a readable image: Rui." in balance(many([0, 0], names), split)[0].text


def bars(bottom: float, captions: tuple[str, ...] = ()) -> Bars:
    return Bars(0.0, bottom, 0.0, 0.0, captions, np.empty((0, 0), np.bool_))


def test_bars_are_named_with_their_extent() -> None:
    (finding,) = borders(some_images(), {8: bars(0.08, ("bottom",)), 0: bars(0.25)})
    assert finding.text.startswith("2 of 9 images have a border of constant colour or a caption")
    assert finding.text.endswith("1 of them with text.")
    assert finding.items == ["`Koi/0.jpg`: bottom 25%", "`Rui/8.jpg`: bottom 8% with text"]


@pytest.mark.parametrize(
    ("of_koi", "of_rui", "elsewhere"),
    [(8, 0, "0%"), (8, 3, "30%"), (8, 6, None), (5, 0, None)],
)
def test_a_class_that_bars_give_away_is_called_a_shortcut(
    of_koi: int, of_rui: int, elsewhere: str | None
) -> None:
    images = many([0] * 10 + [1] * 10, ("Koi", "Rui"))
    rows = [*range(of_koi), *range(10, 10 + of_rui)]
    findings = borders(images, {row: bars(0.1) for row in rows})
    shortcuts = [finding.text for finding in findings if "Possible shortcut" in finding.text]
    assert len(shortcuts) == (elsewhere is not None)
    for text in shortcuts:
        assert f"{of_koi} of 10 images of Koi have bars, against {elsewhere} of the others" in text


def test_of_a_hundred_small_classes_none_is_accused_for_what_chance_gives() -> None:
    barred = np.random.default_rng(0).random(700) < 0.28
    images = many(np.arange(700) // 7, tuple(f"fish {label:02}" for label in range(100)))
    findings = borders(images, {int(row): bars(0.1) for row in np.flatnonzero(barred)})
    assert (barred.reshape(100, 7).sum(1) >= 4).sum() > 5
    assert len(findings) == 1
