"""Folder layouts, right and wrong."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import ArgumentError


def make(root: Path, *names: str) -> Path:
    """Make empty files; scanning never opens one."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def message_for(root: Path) -> str:
    with pytest.raises(ArgumentError) as caught:
        scan_folder(root)
    assert caught.value.name == "root"
    assert caught.value.value == root
    return caught.value.problem.replace(str(root), "ROOT")


def test_one_folder_a_class_in_an_order_that_never_changes(tmp_path: Path) -> None:
    make(tmp_path, "Rui/b.jpg", "Koi/10.JPG", "Koi/2.png", "Koi/deeper/1.WebP", "Koi a/x.tif")
    index = scan_folder(tmp_path)
    assert index.root == tmp_path
    assert index.classes == ("Koi", "Koi a", "Rui")
    assert [path.as_posix() for path in index.paths] == [
        "Koi a/x.tif",
        "Koi/10.JPG",
        "Koi/2.png",
        "Koi/deeper/1.WebP",
        "Rui/b.jpg",
    ]
    assert index.labels.tolist() == [1, 0, 0, 0, 2]
    assert index.labels.dtype == np.int64
    assert index.splits is None
    assert (index.empty_classes, index.ignored) == ((), 0)


def test_every_picture_suffix_counts_and_other_files_are_counted_as_ignored(tmp_path: Path) -> None:
    make(tmp_path, *(f"Koi/1.{suffix}" for suffix in ["jpg", "jpeg", "jfif", "png", "bmp", "gif"]))
    make(tmp_path, *(f"Koi/1.{suffix}" for suffix in ["webp", "tif", "tiff", "ppm", "pgm"]))
    make(tmp_path, "Koi/2.JPG", "Koi/3.Jpeg")
    make(tmp_path, "Rui/1.jpg", "Rui/labels.csv", "Rui/jpg", "README.md", "stray.jpg")
    index = scan_folder(tmp_path)
    assert np.bincount(index.labels).tolist() == [13, 1]
    assert index.ignored == 4
    names = ["README.md", "Rui/jpg", "Rui/labels.csv", "stray.jpg"]
    assert sorted(file.as_posix() for file in index.ignored_files) == names


def test_hidden_files_and_litter_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "Koi/1.jpg", "Rui/1.jpg")
    make(tmp_path, "Koi/._1.jpg", "Koi/.hidden/2.jpg", ".git/3.jpg", "__MACOSX/Koi/1.jpg")
    make(tmp_path, ".DS_Store", "Koi/.DS_Store", "Koi/Thumbs.db", "Rui/desktop.ini")
    index = scan_folder(tmp_path)
    assert [path.as_posix() for path in index.paths] == ["Koi/1.jpg", "Rui/1.jpg"]
    assert (index.classes, index.ignored) == (("Koi", "Rui"), 0)


def test_empty_class_folders_are_left_out_and_named(tmp_path: Path) -> None:
    make(tmp_path, "Koi/1.jpg", "Rui/1.jpg", "Hilsa/notes.txt", "Bata/deeper/.keep")
    index = scan_folder(tmp_path)
    assert index.classes == ("Koi", "Rui")
    assert index.empty_classes == ("Bata", "Hilsa")
    assert index.ignored == 1


def test_a_class_folder_may_be_a_link_but_not_to_a_folder_around_it(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "1.jpg", "2.jpg")
    root = make(tmp_path / "root", "Koi/1.jpg")
    (root / "Rui").symlink_to(tmp_path / "elsewhere")
    (root / "Koi" / "loop").symlink_to(root)
    assert [path.as_posix() for path in scan_folder(root).paths] == [
        "Koi/1.jpg",
        "Rui/1.jpg",
        "Rui/2.jpg",
    ]


def test_the_home_folder_may_be_written_as_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "fish", "Koi/1.jpg", "Rui/1.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert scan_folder(Path("~/fish")).root == tmp_path / "fish"


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_a_folder_that_is_split_already_is_taken_as_it_is(tmp_path: Path, val: str) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "train/Rui/deeper/2.jpg")
    make(tmp_path, f"{val}/Rui/1.jpg", f"{val}/Koi/.keep", "test/Koi/9.jpg", "other/Bata/1.jpg")
    index = scan_folder(tmp_path)
    assert index.classes == ("Koi", "Rui")
    assert index.splits is not None
    found = {
        path.as_posix(): (split, index.classes[label])
        for path, split, label in zip(index.paths, index.splits, index.labels, strict=True)
    }
    assert found == {
        "train/Koi/1.jpg": ("train", "Koi"),
        "train/Rui/1.jpg": ("train", "Rui"),
        "train/Rui/deeper/2.jpg": ("train", "Rui"),
        f"{val}/Rui/1.jpg": ("val", "Rui"),
        "test/Koi/9.jpg": ("test", "Koi"),
    }
    assert index.empty_classes == (f"{val}/Koi",)
    assert index.ignored == 1


def test_a_held_out_class_without_training_images_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "val/Koi/1.jpg", "val/Hilsa/1.jpg")
    assert message_for(tmp_path) == (
        "val/ has classes that train/ does not have: Hilsa; "
        "train/ has Koi, Rui; val/ has Hilsa, Koi"
    )


def test_a_split_folder_needs_a_validation_split(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "test/Koi/1.jpg")
    assert message_for(tmp_path) == (
        "has train/, test/ but no val/; add a val/ folder with the same classes, "
        "or name ROOT/train to have its images split"
    ).replace("train/, test/", "test/, train/")


def test_a_split_folder_needs_class_folders_inside(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "val/1.jpg")
    assert message_for(tmp_path) == (
        "has train/, val/ but no class folder with images in ROOT/val; "
        "expected one folder a class inside each"
    )


def test_two_validation_folders_are_an_error(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "val/Koi/1.jpg", "valid/Koi/1.jpg")
    assert message_for(tmp_path) == (
        "has train/, val/, valid/; keep one folder each for train, val, test"
    )


def test_a_training_split_needs_two_classes(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "val/Koi/1.jpg")
    assert message_for(tmp_path) == (
        "train/ has only one class with images, Koi; expected at least two class folders"
    )


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    layout = "expected one folder a class with the images inside"
    assert message_for(tmp_path / "fish") == f"does not exist; {layout}"
    (tmp_path / "fish.zip").touch()
    assert message_for(tmp_path / "fish.zip") == f"is a file; {layout}"


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "Koi/notes.txt", "README.md")
    assert message_for(tmp_path) == (
        "has no image, only 2 other file(s); expected one folder a class with the images inside"
    )


def test_images_without_class_folders_are_an_error(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg", "2.jpg")
    assert message_for(tmp_path) == (
        "has images directly in it and none in a sub-folder; "
        "expected one folder a class with the images inside"
    )


def test_a_single_class_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "Koi/1.jpg", "Koi/2.jpg", "Rui/.keep")
    assert message_for(tmp_path) == (
        "has only one class with images, Koi (2 image(s)); expected at least two class folders"
    )


@pytest.mark.parametrize("inner", ["fish", "fish/images", "train"])
def test_an_archive_unpacked_one_folder_too_deep_gets_a_suggestion(
    tmp_path: Path, inner: str
) -> None:
    make(tmp_path, f"{inner}/Koi/1.jpg", f"{inner}/Rui/1.jpg", "README.md", "__MACOSX/x.jpg")
    assert message_for(tmp_path).endswith(f"; did you mean ROOT/{inner}?")
    assert scan_folder(tmp_path / inner).classes == ("Koi", "Rui")


def test_a_folder_that_may_not_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "Koi/1.jpg", "Rui/1.jpg")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", f"{path}")

    monkeypatch.setattr("os.scandir", refuse)
    assert message_for(tmp_path) == "cannot list ROOT: Permission denied"


def test_a_million_paths_find_room(tmp_path: Path) -> None:
    """Of each file, its text and its label are kept: some 110 bytes."""
    count = 4000
    for number in range(count):
        file = tmp_path / f"species {number % 20:02}" / f"caught {number:07}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    scan_folder(tmp_path)
    tracemalloc.start()
    try:
        index = scan_folder(tmp_path)
        kept = tracemalloc.take_snapshot().statistics("lineno")
    finally:
        tracemalloc.stop()
    assert len(index.paths) == count
    # Python's own table of names grows at times, by one large block.
    assert sum(one.size for one in kept if one.count > 1 or one.size < 16 * count) < 200 * count
