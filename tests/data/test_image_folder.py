"""Folder layouts, right and wrong."""

from pathlib import Path

import numpy as np
import pytest

from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import FishError


def make(root: Path, *names: str) -> Path:
    """Make empty files; scanning never opens one."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def message_for(root: Path) -> str:
    with pytest.raises(FishError) as caught:
        scan_folder(root)
    assert f"data.root={root}" in str(caught.value)
    return str(caught.value).replace(str(root), "ROOT")


def test_one_folder_a_class_in_an_order_that_never_changes(tmp_path: Path) -> None:
    make(tmp_path, "Rui/b.jpg", "Koi/10.JPG", "Koi/2.png", "Koi/deeper/1.WebP", "Koi a/x.tif")
    listing = scan_folder(tmp_path)
    assert listing.root == tmp_path
    assert listing.classes == ("Koi", "Koi a", "Rui")
    assert [path.as_posix() for path in listing.paths] == [
        "Koi a/x.tif",
        "Koi/10.JPG",
        "Koi/2.png",
        "Koi/deeper/1.WebP",
        "Rui/b.jpg",
    ]
    assert listing.labels.tolist() == [1, 0, 0, 0, 2]
    assert listing.labels.dtype == np.int64
    assert listing.splits is None
    assert (listing.empty_classes, listing.ignored) == ((), 0)


def test_every_picture_suffix_counts_and_other_files_are_counted_as_ignored(tmp_path: Path) -> None:
    make(tmp_path, *(f"Koi/1.{suffix}" for suffix in ["jpg", "jpeg", "jfif", "png", "bmp", "gif"]))
    make(tmp_path, *(f"Koi/1.{suffix}" for suffix in ["webp", "tif", "tiff", "ppm", "pgm"]))
    make(tmp_path, "Koi/2.JPG", "Koi/3.Jpeg")
    make(tmp_path, "Rui/1.jpg", "Rui/labels.csv", "Rui/jpg", "README.md", "stray.jpg")
    listing = scan_folder(tmp_path)
    assert np.bincount(listing.labels).tolist() == [13, 1]
    assert listing.ignored == 4


def test_hidden_files_and_litter_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "Koi/1.jpg", "Rui/1.jpg")
    make(tmp_path, "Koi/._1.jpg", "Koi/.hidden/2.jpg", ".git/3.jpg", "__MACOSX/Koi/1.jpg")
    make(tmp_path, ".DS_Store", "Koi/.DS_Store", "Koi/Thumbs.db", "Rui/desktop.ini")
    listing = scan_folder(tmp_path)
    assert [path.as_posix() for path in listing.paths] == ["Koi/1.jpg", "Rui/1.jpg"]
    assert (listing.classes, listing.ignored) == (("Koi", "Rui"), 0)


def test_empty_class_folders_are_left_out_and_named(tmp_path: Path) -> None:
    make(tmp_path, "Koi/1.jpg", "Rui/1.jpg", "Hilsa/notes.txt", "Bata/deeper/.keep")
    listing = scan_folder(tmp_path)
    assert listing.classes == ("Koi", "Rui")
    assert listing.empty_classes == ("Bata", "Hilsa")
    assert listing.ignored == 1


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
    listing = scan_folder(tmp_path)
    assert listing.classes == ("Koi", "Rui")
    assert listing.splits is not None
    found = {
        path.as_posix(): (side, listing.classes[label])
        for path, side, label in zip(listing.paths, listing.splits, listing.labels, strict=True)
    }
    assert found == {
        "train/Koi/1.jpg": ("train", "Koi"),
        "train/Rui/1.jpg": ("train", "Rui"),
        "train/Rui/deeper/2.jpg": ("train", "Rui"),
        f"{val}/Rui/1.jpg": ("val", "Rui"),
        "test/Koi/9.jpg": ("test", "Koi"),
    }
    assert listing.empty_classes == (f"{val}/Koi",)
    assert listing.ignored == 1


def test_a_held_out_class_without_training_pictures_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "val/Koi/1.jpg", "val/Hilsa/1.jpg")
    assert message_for(tmp_path) == (
        "data.root=ROOT: val/ has classes that train/ does not have: Hilsa. "
        "train/ has Koi, Rui; val/ has Hilsa, Koi."
    )


def test_a_split_folder_needs_a_validation_side(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "test/Koi/1.jpg")
    assert message_for(tmp_path) == (
        "data.root=ROOT has train/, test/ but no val/. Add a val/ folder with the same classes, "
        "or type data.root=ROOT/train to have its pictures split."
    ).replace("train/, test/", "test/, train/")


def test_a_split_folder_needs_class_folders_inside(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "val/1.jpg")
    assert message_for(tmp_path) == (
        "data.root=ROOT has train/, val/ but no class folder with pictures in ROOT/val; "
        "expected one folder a class inside each."
    )


def test_two_validation_folders_are_an_error(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "train/Rui/1.jpg", "val/Koi/1.jpg", "valid/Koi/1.jpg")
    assert message_for(tmp_path) == (
        "data.root=ROOT has train/, val/, valid/: keep one folder each for train, val, test."
    )


def test_a_training_side_needs_two_classes(tmp_path: Path) -> None:
    make(tmp_path, "train/Koi/1.jpg", "val/Koi/1.jpg")
    assert message_for(tmp_path) == (
        "data.root=ROOT: train/ has only one class with pictures, Koi; "
        "expected at least two class folders."
    )


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    layout = "expected one folder a class with the pictures inside."
    assert message_for(tmp_path / "fish") == f"data.root=ROOT does not exist; {layout}"
    (tmp_path / "fish.zip").touch()
    assert message_for(tmp_path / "fish.zip") == f"data.root=ROOT is a file; {layout}"


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "Koi/notes.txt", "README.md")
    assert message_for(tmp_path) == (
        "data.root=ROOT holds no picture, only 2 other file(s); "
        "expected one folder a class with the pictures inside."
    )


def test_pictures_without_class_folders_are_an_error(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg", "2.jpg")
    assert message_for(tmp_path) == (
        "data.root=ROOT has pictures directly in it and none in a sub-folder; "
        "expected one folder a class with the pictures inside."
    )


def test_a_single_class_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "Koi/1.jpg", "Koi/2.jpg", "Rui/.keep")
    assert message_for(tmp_path) == (
        "data.root=ROOT has only one class with pictures, Koi (2 picture(s)); "
        "expected at least two class folders."
    )


@pytest.mark.parametrize("inner", ["fish", "fish/images", "train"])
def test_an_archive_unpacked_one_folder_too_deep_gets_a_suggestion(
    tmp_path: Path, inner: str
) -> None:
    make(tmp_path, f"{inner}/Koi/1.jpg", f"{inner}/Rui/1.jpg", "README.md", "__MACOSX/x.jpg")
    assert message_for(tmp_path).endswith(f"; did you mean data.root=ROOT/{inner}?")
    assert scan_folder(tmp_path / inner).classes == ("Koi", "Rui")


def test_a_folder_that_may_not_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "Koi/1.jpg", "Rui/1.jpg")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", f"{path}")

    monkeypatch.setattr("os.scandir", refuse)
    assert message_for(tmp_path) == "data.root=ROOT: cannot list ROOT: Permission denied."
