"""Files that only pretend to be images, and folders that have no end."""

import inspect
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_files import photo

from fishcnn.commands.image_paths import image_paths
from fishcnn.data.decoding.decode import content_digest, read_mask
from fishcnn.data.decoding.file_bytes import MAX_FILE_BYTES
from fishcnn.data.decoding.loading import load_images
from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.data.decoding.resize import Square
from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # The path of a socket may only have some hundred characters.
        here = os.open(path.parent, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)


NO_IMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (make_pipe, "a named pipe, not a regular file"),
    "socket": (make_socket, "a socket, not a regular file"),
    "zeros": (lambda path: path.symlink_to("/dev/zero"), "a device, not a regular file"),
    "folder": (Path.mkdir, "a folder, not a regular file"),
    "itself": (lambda path: path.symlink_to(path.name), "too many levels of symbolic links"),
    "nowhere": (lambda path: path.symlink_to("gone.jpg"), "no such file or directory"),
    "huge": (make_huge, "512 MB, more than the 512 MB that are read of a file"),
    "grows": (lambda path: path.symlink_to("/proc/self/maps"), "grew while it was read"),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_regular_file_is_listed_with_a_reason(tmp_path: Path, kind: str) -> None:
    make, why = NO_IMAGES[kind]
    for name in ("Koi/1.png", "Koi/2.png", "Ilish/1.png", "Ilish/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        photo(20, 20).save(tmp_path / name)
    odd = tmp_path / "Koi" / "x.jpg"
    make(odd)
    with pytest.raises(UnreadableImage, match=why):
        read_image(odd, long_enough_for=None)
    assert not content_digest(odd, None).any()
    if kind == "folder":
        return
    index = scan_folder(tmp_path)
    images = load_images(index, square=Square(8), workers=2, cache="ram", cache_root=tmp_path)
    assert [bad.path.as_posix() for bad in images.unreadable] == ["Koi/x.jpg"]
    assert images.unreadable[0].reason.startswith(why)
    assert str(odd) in image_paths(str(tmp_path))


def test_a_mask_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mask.png")
    with pytest.raises(FishError, match="cannot be read: a named pipe, not a regular file"):
        read_mask(tmp_path / "mask.png", square=Square(8), aspect=None)


def link_each_other(root: Path) -> None:
    (root / "Koi" / "b").symlink_to(root / "Ilish")
    (root / "Ilish" / "a").symlink_to(root / "Koi")


def link_in_a_chain(root: Path) -> None:
    """Ten folders, each with two links to the next: 1024 ways to the last one."""
    for number in range(10):
        folder = root / "Koi" / f"f{number}"
        folder.mkdir()
        for link in "xy":
            (folder / link).symlink_to(root / "Koi" / f"f{number + 1}")


def link_up(root: Path) -> None:
    (root / "Koi" / "up").symlink_to(root.parent)
    (root / "Ilish" / "root").symlink_to(root)
    (root / "Ilish" / "itself").symlink_to("itself")


def link_outside(root: Path) -> None:
    """Two folders outside that link to each other and back, reached by two names."""
    outside = root.parent / "outside"
    for name in ("p", "q"):
        (outside / name).mkdir(parents=True)
    (outside / "p" / "q").symlink_to(outside / "q")
    (outside / "q" / "p").symlink_to(outside / "p")
    (outside / "q" / "back").symlink_to(root / "Koi")
    for name in ("first", "second"):
        (root / "Koi" / name).symlink_to(outside)


@pytest.mark.parametrize("link", [link_each_other, link_in_a_chain, link_up, link_outside])
def test_links_neither_multiply_images_nor_go_round(
    tmp_path: Path, link: Callable[[Path], None]
) -> None:
    root = tmp_path / "fish"
    names = [f"{folder}/{n}.jpg" for folder in ("Ilish", "Koi") for n in range(9)]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    link(root)
    assert [path.as_posix() for path in scan_folder(root).paths] == names
    assert list(image_paths(str(root))) == [str(root / name) for name in names]
    assert len(list(image_paths(str(root / "*")))) == 18


def test_a_class_folder_may_be_a_link_to_elsewhere_or_to_a_hidden_store(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "fish", tmp_path / "elsewhere"
    for folder in (elsewhere, root / ".store" / "Koi"):
        folder.mkdir(parents=True)
        (folder / "1.jpg").touch()
    (root / "Ilish").symlink_to(elsewhere)
    (root / "Koi").symlink_to(Path(".store", "Koi"))
    assert [path.as_posix() for path in scan_folder(root).paths] == ["Ilish/1.jpg", "Koi/1.jpg"]


def test_a_folder_deeper_than_pythons_stack_is_gone_through(tmp_path: Path) -> None:
    (tmp_path / ("d/" * 150)).mkdir(parents=True)
    image = tmp_path / ("d/" * 150) / "1.jpg"
    image.touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert list(image_paths(str(tmp_path))) == [str(image)]
    finally:
        sys.setrecursionlimit(limit)


def test_a_pipe_among_the_images_gets_a_row_of_its_own(
    trained: RunFolder, script: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    os.mkfifo(folder / "x.jpg")
    photo().save(folder / "y.jpg")
    finished = script("predict", f"ckpt={trained.path}", f"input={folder}", "output=out.csv")
    rows = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert finished.status == 0, finished
    assert len(rows) == 3
    assert "a named pipe, not a regular file" in rows[1]
