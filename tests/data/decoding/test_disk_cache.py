"""Decoded images on disk: what is decoded again, what is not, and what goes wrong."""

import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding import decode as decoding
from fishcnn.data.decoding import disk_cache as module
from fishcnn.data.decoding.decode import Decoded, decode
from fishcnn.data.decoding.disk_cache import load_cached
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.resize import Square
from fishcnn.data.decoding.row_files import RowFiles
from fishcnn.data.decoding.stored import Stored
from fishcnn.data.duplicates.fingerprint import FINGERPRINT_BYTES
from fishcnn.data.image_folder import scan_folder
from fishcnn.utils.errors import FishError

SIDE = 16
LONG_AGO = 1_700_000_000


def paint(file: Path, level: int, size: tuple[int, int] = (60, 40)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(file)
    os.utime(file, (LONG_AGO, LONG_AGO))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six grey images whose level is their number times ten."""
    for number in range(6):
        paint(tmp_path / "fish" / ("Koi", "Rui")[number // 3] / f"{number}.png", 10 * number)
    return tmp_path / "fish"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were decoded, as they are."""
    names: list[str] = []

    def spy(path: Path, mask: Path | None, *, square: Square) -> object:
        names.append(path.name)
        return decode(path, mask, square=square)

    monkeypatch.setattr(decoding, "decode", spy)
    return names


def load(root: Path, *, masks: Path | None = None, side: int = SIDE) -> ImageSet:
    return load_cached(
        scan_folder(root, masks), square=Square(side), workers=2, cache=root.parent / "cache"
    )


def levels(stored: ImageSet) -> list[int]:
    return [int(level) for level in stored.pixels[:][:, 3, 3, 0]]


def arrays(root: Path) -> list[str]:
    """What is in the only folder of the cache, without the index and the lock."""
    (folder,) = (root.parent / "cache").iterdir()
    names = {file.name for file in folder.iterdir()} - {"index.npz", "lock"}
    return sorted(Path(name).suffix for name in names)


def test_a_raised_limit_decodes_only_what_it_kept_out(
    root: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(root / "Koi" / "large.png", 70, (90, 90))
    monkeypatch.setenv("FISHCNN_MAX_PIXELS", "8000")
    assert [file.path.name for file in load(root).unreadable] == ["large.png"]
    decoded.clear()
    assert len(load(root).unreadable) == 1
    assert decoded == []
    monkeypatch.setenv("FISHCNN_MAX_PIXELS", "9000")
    images = load(root)
    assert (images.unreadable, decoded) == ((), ["large.png"])
    assert len(list((root.parent / "cache").iterdir())) == 1
    np.testing.assert_array_equal(images.pixels[:][:, 0, 0, 0], [0, 10, 20, 70, 30, 40, 50])


def test_a_second_start_decodes_nothing_and_sees_the_same(root: Path, decoded: list[str]) -> None:
    first = load(root)
    assert levels(first) == [0, 10, 20, 30, 40, 50]
    assert len(decoded) == 6
    decoded.clear()
    second = load(root)
    assert decoded == []
    np.testing.assert_array_equal(second.pixels[:], first.pixels[:])
    assert second.sizes.tolist() == [[60, 40]] * 6
    assert second.arrays == first.arrays
    np.testing.assert_array_equal(second.fingerprints[:], first.fingerprints[:])


def test_files_that_are_no_images_are_named_as_they_are_now(root: Path) -> None:
    assert load(root).index.ignored_files == ()
    (root / "notes.txt").write_text("caught in May")
    index = load(root).index
    assert (index.ignored, index.ignored_files) == (1, (Path("notes.txt"),))
    (root / "notes.txt").unlink()
    assert load(root).index.ignored == 0


def test_what_is_in_the_cache_is_what_decoding_gives(root: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "Koi" / "noise.png")
    stored = load(root)
    row = stored.paths.index(Path("Koi/noise.png"))
    facts, expected = decode(root / "Koi" / "noise.png", None, square=Square(SIDE))
    assert not isinstance(expected, str)
    np.testing.assert_array_equal(stored.pixels[[row]][0], expected.image)
    np.testing.assert_array_equal(stored.moments[row], facts["moments"])
    image = stored.pixels[[row]].reshape(-1, 3).astype(np.int64)
    np.testing.assert_array_equal(stored.moments[row], [image.sum(0), (image**2).sum(0)])


def test_only_what_is_new_or_changed_is_decoded(root: Path, decoded: list[str]) -> None:
    load(root)
    decoded.clear()
    paint(root / "Koi" / "1.png", 200)
    paint(root / "Rui" / "35.png", 35)
    (root / "Koi" / "0.png").unlink()
    stored = load(root)
    assert sorted(decoded) == ["1.png", "35.png"]
    assert levels(stored) == [200, 20, 30, 35, 40, 50]
    assert arrays(root) == [".fingerprints", ".images"]


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    """Inode and size of the arrays of the only folder of the cache."""
    (folder,) = (root.parent / "cache").iterdir()
    stats = {file.suffix: file.stat() for file in folder.iterdir()}
    return {
        suffix: (stat.st_ino, stat.st_size)
        for suffix, stat in stats.items()
        if suffix in (".images", ".masks", ".fingerprints")
    }


@pytest.mark.parametrize("change", ["added", "changed", "removed"])
def test_one_image_of_many_costs_one_row(
    root: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    load(root)
    before, written = files_of(root), []
    append = RowFiles.append

    def spy(files: RowFiles, decoded: Decoded) -> int:
        written.append(decoded)
        return append(files, decoded)

    expected = [0, 10, 20, 30, 40, 50]
    if change == "removed":
        (root / "Koi" / "1.png").unlink()
        del expected[1]
    else:
        paint(root / "Koi" / ("1.png" if change == "changed" else "15.png"), 15)
        expected[1 if change == "changed" else slice(2, 2)] = 15 if change == "changed" else [15]
    with monkeypatch.context() as patch:
        patch.setattr(RowFiles, "append", spy)
        assert levels(load(root)) == expected
    assert levels(load(root)) == expected
    more = change != "removed"
    assert len(written) == more
    rows = {".images": SIDE * SIDE * 3, ".fingerprints": FINGERPRINT_BYTES}
    for suffix, (inode, size) in files_of(root).items():
        assert inode == before[suffix][0]
        assert size == (6 + more) * rows[suffix]


def test_no_more_than_half_of_a_cache_is_waste_and_what_is_kept_is_copied_many_at_a_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COPIED", 2)
    load(root)
    read: list[list[int]] = []
    rows_of = Stored.__getitem__

    def spy(stored: Stored, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        read.append(rows.tolist())
        return rows_of(stored, rows)

    for number in (0, 2, 4):
        assert len(set(files_of(root).values())) == 2
        (root / ("Koi", "Rui")[number // 3] / f"{number}.png").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Stored, "__getitem__", spy)
        images = load(root)
    assert read == [[1, 3], [1, 3], [5], [5]]
    assert levels(images) == [10, 30, 50]
    assert files_of(root)[".images"][1] == 3 * SIDE * SIDE * 3
    assert arrays(root) == [".fingerprints", ".images"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, FishError])
def test_what_was_decoded_before_an_end_is_not_decoded_again(
    root: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    append = RowFiles.append

    def ending(files: RowFiles, one: Decoded) -> int:
        if files.end == 3:
            raise error
        return append(files, one)

    with monkeypatch.context() as patch:
        patch.setattr(RowFiles, "append", ending)
        with pytest.raises(error):
            load(root)
    decoded.clear()
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert sorted(decoded) == ["3.png", "4.png", "5.png"]


def test_what_was_decoded_long_enough_before_a_kill_is_not_decoded_again(
    root: Path, decoded: list[str]
) -> None:
    with start(root, keep_seconds=0) as process:
        assert process.stdout is not None
        for _ in range(5):  # one is decoded ahead of what is written
            assert process.stdout.readline().startswith("decoded")
        process.send_signal(signal.SIGKILL)
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert len(decoded) <= 4
    again = len(decoded)
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert len(decoded) == again


def test_rows_that_a_kill_left_behind_are_written_over(root: Path) -> None:
    load(root)
    (file,) = (root.parent / "cache").rglob("*.images")
    file.write_bytes(file.read_bytes() + bytes(1000))  # a row and a part of one
    paint(root / "Koi" / "15.png", 15)
    assert levels(load(root)) == [0, 10, 15, 20, 30, 40, 50]
    assert levels(load(root)) == [0, 10, 15, 20, 30, 40, 50]
    assert file.stat().st_size == 7 * SIDE * SIDE * 3


def test_a_large_cache_is_compared_as_a_whole_only_after_damage_was_seen(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_COMPARED", 1000)
    images = load(root)
    (file,) = (root.parent / "cache").rglob("*.images")
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    images = load(root)
    assert caplog.messages == []
    assert levels(images)[1] == 10  # decoded again where it was read
    assert "has been damaged since" in caplog.text
    caplog.clear()
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert "is damaged: 1 of its 6 images" in caplog.text
    caplog.clear()
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert caplog.messages == []
    assert arrays(root) == [".fingerprints", ".images"]


def test_a_change_that_keeps_size_and_name_is_seen(root: Path) -> None:
    for level in (61, 62, 63):
        file = root / "Koi" / "1.bmp"  # of one length, whatever is in it
        Image.new("RGB", (60, 40), (level,) * 3).save(file)
        assert levels(load(root))[1] == level


def test_touched_and_renamed_files_are_not_decoded_again(root: Path, decoded: list[str]) -> None:
    first = load(root)
    decoded.clear()
    os.utime(root / "Koi" / "0.png", (LONG_AGO + 5, LONG_AGO + 5))
    assert load(root).arrays == first.arrays
    (root / "Koi" / "1.png").rename(root / "Rui" / "9.png")
    assert levels(load(root)) == [0, 20, 30, 40, 50, 10]
    assert decoded == []


def test_swapped_files_swap_their_images(root: Path) -> None:
    load(root)
    (root / "Koi" / "0.png").rename(root / "x")
    (root / "Koi" / "1.png").rename(root / "Koi" / "0.png")
    (root / "x").rename(root / "Koi" / "1.png")
    assert levels(load(root))[:2] == [10, 0]


def test_a_copy_that_keeps_size_and_time_is_seen(root: Path, tmp_path: Path) -> None:
    for name, level in (("old", 61), ("new", 62)):
        paint(tmp_path / f"{name}.bmp", level)
    shutil.copy2(tmp_path / "old.bmp", root / "Koi" / "1.bmp")
    assert levels(load(root))[1] == 61
    time.sleep(2.1)  # until the stamp is old enough to be believed
    load(root)
    shutil.copy2(tmp_path / "new.bmp", root / "Koi" / "1.bmp")
    assert levels(load(root))[1] == 62


def test_a_file_that_was_repaired_comes_in(root: Path) -> None:
    broken = root / "Koi" / "00.png"
    broken.write_bytes(b"half a pict")
    os.utime(broken, (LONG_AGO, LONG_AGO))
    stored = load(root)
    assert len(stored.pixels) == 6
    assert stored.index.reasons[1] == "not an image in any known format"
    paint(broken, 99)
    assert levels(load(root))[:3] == [0, 99, 10]


# In the future, so that the time of a file is that of its content and not that of its inode.
STAMP = 4_000_000_000 * 10**9
SECOND, HOUR = 10**9, 3600 * 10**9


def write(file: Path, content: bytes) -> None:
    """Write 10,000 bytes, which image formats allow for, at the time STAMP."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.ljust(10_000, b"\0"))
    os.utime(file, ns=(STAMP, STAMP))


def grey(level: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (60, 40), level).save(content, "png")
    return content.getvalue()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the time: nanoseconds after STAMP."""
    return lambda after: monkeypatch.setattr(time, "time_ns", lambda: STAMP + after)


def test_an_unreadable_file_is_tried_again_whatever_its_size_and_time(
    root: Path, clock: Callable[[int], None]
) -> None:
    clock(HOUR)
    write(root / "Koi" / "00.png", b"half an image")
    for _ in range(2):
        assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    write(root / "Koi" / "00.png", grey(99))
    assert levels(load(root)) == [0, 99, 10, 20, 30, 40, 50]


def test_a_file_that_could_not_be_opened_is_tried_again(root: Path, tmp_path: Path) -> None:
    (root / "Koi" / "00.png").symlink_to(tmp_path / "later.png")
    assert load(root).unreadable == ((Path("Koi/00.png"), "no such file or directory"),)
    paint(tmp_path / "later.png", 99)
    images = load(root)
    assert (images.unreadable, levels(images)[:2]) == ((), [0, 99])


@pytest.mark.parametrize("changed", ["image", "mask"])
def test_a_rewrite_within_one_tick_of_the_clock_is_noticed_at_the_next_start(
    root: Path, tmp_path: Path, clock: Callable[[int], None], changed: str
) -> None:
    files = {"image": root / "Koi" / "1.png", "mask": tmp_path / "masks" / "Koi" / "1.png"}
    for image in root.rglob("*.png"):
        paint(tmp_path / "masks" / image.relative_to(root), 0)
    write(files[changed], grey(0))
    clock(SECOND)
    load(root, masks=tmp_path / "masks")
    write(files[changed], grey(200))
    clock(HOUR)
    images = load(root, masks=tmp_path / "masks")
    assert images.masks is not None
    seen = {"image": int(images.pixels[[1]][0, 0, 0, 0]), "mask": int(images.masks[[1]].max())}
    assert seen[changed] == {"image": 200, "mask": 255}[changed]


def test_a_file_that_is_known_for_longer_is_not_even_read(
    root: Path, clock: Callable[[int], None]
) -> None:
    write(root / "Koi" / "1.png", grey(60))
    for after in (SECOND, HOUR):  # doubted, then believed
        clock(after)
        load(root)
    write(root / "Koi" / "1.png", grey(200))
    assert levels(load(root))[1] == 60


def test_masks_are_kept_and_a_new_mask_counts_as_a_change(root: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    for image in root.rglob("*.png"):
        mask = masks / image.relative_to(root)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (60, 40), 0).save(mask)
        os.utime(mask, (LONG_AGO, LONG_AGO))
    stored = load(root, masks=masks)
    assert stored.masks is not None
    assert stored.masks.shape == (6, SIDE, SIDE)
    assert stored.masks[:].max() == 0
    Image.new("L", (60, 40), 255).save(masks / "Koi" / "1.png")
    stored = load(root, masks=masks)
    assert stored.masks is not None
    assert stored.masks[:][:, 0, 0].tolist() == [0, 255, 0, 0, 0, 0]


def test_a_broken_image_with_a_mask_is_not_taken_for_a_change(root: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    for image in root.rglob("*.png"):
        (masks / image.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (60, 40), 0).save(masks / image.relative_to(root))
    (root / "Koi" / "1.png").write_bytes(b"half a pict")
    first = load(root, masks=masks)
    assert len(first.pixels) == 5
    assert load(root, masks=masks).arrays == first.arrays


def test_another_size_is_another_cache(root: Path) -> None:
    assert load(root).pixels.shape == (6, SIDE, SIDE, 3)
    assert load(root, side=20).pixels.shape == (6, 20, 20, 3)
    assert len(list((root.parent / "cache").iterdir())) == 2


def test_writing_to_the_images_of_a_run_leaves_the_cache_alone(root: Path) -> None:
    load(root).pixels[:][:] = 7
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]


def test_who_has_the_old_images_open_keeps_them(root: Path) -> None:
    before = load(root)
    paint(root / "Koi" / "1.png", 200)
    after = load(root)
    assert levels(before)[1] == 10
    assert levels(after)[1] == 200


def test_the_cost_is_said_before_it_is_paid(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load(root, side=500)
    (said,) = caplog.messages
    assert said.startswith("Decoding 6 of 6 images to 500x500: 5 MB in ")
    assert said.endswith(" GB free).")


def test_a_disk_that_is_too_small_is_refused_before_the_first_image(
    root: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=4000))
    with pytest.raises(
        FishError,
        match=r"cache_root=.*: 0 MB are needed, 0 MB are free; .* choose ram as the cache",
    ):
        load(root)
    assert decoded == []


def test_a_disk_that_fills_up_ends_in_a_clear_message_and_leaves_no_index(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full to stand for a full disk")
    folder = module._cache_folder(scan_folder(root), Square(SIDE), root.parent / "cache")

    def name_of_a_full_disk() -> SimpleNamespace:
        (folder / "ffffffffffff.images").symlink_to("/dev/full")
        return SimpleNamespace(hex="f" * 12)

    with monkeypatch.context() as patch:
        patch.setattr(module.uuid, "uuid4", name_of_a_full_disk)
        with pytest.raises(FishError, match=r"cache_root=.*: the disk is full; free some space"):
            load(root)
    assert [file.name for file in folder.iterdir()] == ["lock"]
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]


def test_a_cache_that_cannot_be_written_names_the_way_out(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    index = scan_folder(root)
    with pytest.raises(
        FishError, match=r"cache_root=.*: cannot be used \(.*\); .* ram as the cache"
    ):
        load_cached(index, square=Square(SIDE), workers=1, cache=tmp_path / "file")


@pytest.mark.parametrize("damage", ["index.npz", ".images"])
def test_a_damaged_cache_is_built_anew(
    root: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    load(root)
    (file,) = (root.parent / "cache").rglob(f"*{damage}")
    file.write_bytes(file.read_bytes()[:-100])
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert "is damaged" in caplog.text


PROGRAM = """
import sys, time
from pathlib import Path
from fishcnn.data.decoding import decode as decoding
from fishcnn.data.decoding import disk_cache
from fishcnn.data.decoding.disk_cache import load_cached
from fishcnn.data.decoding.decode import decode
from fishcnn.data.decoding.resize import Square
from fishcnn.data.image_folder import scan_folder

def slow(path, mask, *, square):
    time.sleep(0.3)
    print("decoded", path.name, flush=True)
    return decode(path, mask, square=square)

decoding.decode = slow
root = Path(sys.argv[1])
disk_cache._KEEP_SECONDS = float(sys.argv[2])
stored = load_cached(
    scan_folder(root), square=Square(16), workers=1, cache=root.parent / "cache"
)
print([int(level) for level in stored.pixels[:][:, 3, 3, 0]])
"""


def start(root: Path, keep_seconds: float = 30) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(root), str(keep_seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_build_leaves_nothing_half_believed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(root) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("decoded")
        process.send_signal(signal.SIGKILL)
    assert arrays(root) == [".fingerprints", ".images"]  # the half that was written
    # It is no reason to call the disk too small.
    free = shutil.disk_usage(root).free
    half = next((root.parent / "cache").rglob("*.images"))

    def usage(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=0 if half.exists() else free)

    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert arrays(root) == [".fingerprints", ".images"]


def test_others_may_begin_while_all_images_are_compared(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(root)
    (folder,) = (root.parent / "cache").iterdir()
    free: list[int] = []
    intact = Stored.intact

    def spy(stored: Stored) -> NDArray[np.bool_]:
        with FileLock(folder / "lock", timeout=0):
            free.append(len(stored))
        return intact(stored)

    monkeypatch.setattr(Stored, "intact", spy)
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert free == [6, 6]  # the images and their fingerprints


def test_what_another_process_has_mended_meanwhile_is_not_decoded_again(
    root: Path,
    decoded: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load(root)
    (file,) = (root.parent / "cache").rglob("*.images")
    file.write_bytes(
        bytes(file.stat().st_size // 2) + file.read_bytes()[file.stat().st_size // 2 :]
    )
    decoded.clear()
    intact, others = Stored.intact, iter([True])

    def mended_after(stored: Stored) -> NDArray[np.bool_]:
        found = intact(stored)
        if next(others, False):
            load(root)
        return found

    monkeypatch.setattr(Stored, "intact", mended_after)
    assert levels(load(root)) == [0, 10, 20, 30, 40, 50]
    assert decoded == ["1.png", "2.png"]  # 0 is black as it is
    assert caplog.text.count("is damaged: 2 of its 6 images") == 1


def test_two_processes_at_once_decode_every_image_once(root: Path) -> None:
    outputs = [process.communicate()[0] for process in [start(root), start(root)]]
    for output in outputs:
        assert output.splitlines()[-1] == "[0, 10, 20, 30, 40, 50]"
    assert sorted(output.count("decoded") for output in outputs) == [0, 6]


def test_the_same_files_in_another_layout_have_other_classes(
    tmp_path: Path, decoded: list[str]
) -> None:
    for number in range(8):
        name = f"{('train', 'val')[number // 4]}/{('Koi', 'Rui')[number % 2]}/{number}.png"
        paint(tmp_path / "split" / name, 10 * number)
    for layout, classes in (("auto", ("Koi", "Rui")), ("classes", ("train", "val"))):
        index = scan_folder(tmp_path / "split", layout=layout)
        images = load_cached(index, square=Square(SIDE), workers=1, cache=tmp_path / "cache")
        assert images.classes == classes
        assert images.labels.tolist() == index.labels.tolist()
        assert images.splits == index.splits
    assert len(decoded) == 8
