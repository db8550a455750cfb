"""What input= means."""

import io
import os
from pathlib import Path

import pytest

from fishcnn.commands.image_paths import image_paths
from fishcnn.utils.errors import FishError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand beside a folder of empty files."""
    for name in (
        "photos/b/2.JPG",
        "photos/b/10.png",
        "photos/b.jpg",
        "photos/a.b/1.jpg",
        "photos/a/1.jpg",
        "photos/a/deep/3.webp",
        "photos/a/notes.txt",
        "photos/a/.hidden.jpg",
        "photos/.trash/1.jpg",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_means_every_picture_below_it_in_the_order_of_their_paths() -> None:
    found = list(image_paths("photos"))
    assert found == sorted(found)
    assert found == [
        "photos/a.b/1.jpg",
        "photos/a/1.jpg",
        "photos/a/deep/3.webp",
        "photos/b.jpg",
        "photos/b/10.png",
        "photos/b/2.JPG",
    ]
    assert list(image_paths("photos/")) == found


def test_a_path_is_absolute_only_where_it_was_typed_so(here: Path) -> None:
    assert next(image_paths(str(here / "photos"))) == str(here / "photos/a.b/1.jpg")


def test_a_file_that_is_named_is_taken_whatever_its_suffix() -> None:
    assert list(image_paths("photos/a/notes.txt")) == ["photos/a/notes.txt"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/b/*", ["photos/b/10.png", "photos/b/2.JPG"]),
        ("photos/a/*.jpg", ["photos/a/1.jpg"]),
        ("photos/?/1.jpg", ["photos/a/1.jpg"]),
        # Folders that match are gone through.
        ("photos/[a]*", ["photos/a/1.jpg", "photos/a/deep/3.webp", "photos/a.b/1.jpg"]),
        ("photos/**/1.jpg", ["photos/a/1.jpg", "photos/a.b/1.jpg"]),
        ("**/*.webp", ["photos/a/deep/3.webp"]),
        ("photos/a/**", ["photos/a/1.jpg", "photos/a/notes.txt", "photos/a/deep/3.webp"]),
        ("photos/a/**/*", ["photos/a/1.jpg", "photos/a/notes.txt", "photos/a/deep/3.webp"]),
        ("photos/a/.h*", ["photos/a/.hidden.jpg"]),
        ("photos/nothing*", []),
    ],
)
def test_a_glob_means_every_file_that_matches_once(pattern: str, expected: list[str]) -> None:
    assert list(image_paths(pattern)) == expected


def test_a_file_whose_name_looks_like_a_glob_is_that_file(here: Path) -> None:
    (here / "photos" / "[1]*.jpg").touch()
    assert list(image_paths("photos/[1]*.jpg")) == ["photos/[1]*.jpg"]


def test_the_home_folder_may_be_written_short(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert list(image_paths("~/photos/b/*.png")) == [str(here / "photos/b/10.png")]


def test_a_link_is_followed_but_not_round_in_circles(here: Path) -> None:
    (here / "photos" / "b" / "up").symlink_to(here / "photos")
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "9.jpg").touch()
    (here / "photos" / "c").symlink_to(here / "elsewhere")
    found = list(image_paths("photos"))
    assert "photos/c/9.jpg" in found
    assert len(found) == 7
    assert len(list(image_paths("photos/**/*.jpg"))) == 3


def test_a_folder_that_cannot_be_listed_stands_for_itself(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(folder: str) -> "os._ScandirIterator[str]":
        if folder.endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(image_paths("photos"))[:3] == ["photos/a.b/1.jpg", "photos/a", "photos/b.jpg"]


def test_standard_input_has_a_path_on_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"z.jpg\n\n a b.jpg\r\nnotes.txt\nb\xffd.jpg\nlast.jpg"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    found = list(image_paths("-"))
    assert found == ["z.jpg", " a b.jpg", "notes.txt", "b\udcffd.jpg", "last.jpg"]
    assert os.fsencode(found[3]) == b"b\xffd.jpg"


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(FishError, match=r"input=/no/fotos: there is no such file or folder$"):
        image_paths("/no/fotos")
    with pytest.raises(FishError, match=r"input=fotos: there is no such file or folder in /"):
        image_paths("fotos")


def test_no_more_than_one_folder_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    scandir = os.scandir

    def watch(folder: str) -> "os._ScandirIterator[str]":
        listed.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", watch)
    assert next(image_paths("photos")) == "photos/a.b/1.jpg"
    assert listed == ["photos", "photos/a.b"]
