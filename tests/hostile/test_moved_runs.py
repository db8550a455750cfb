"""Runs and their images that have moved: found again by data.root=, and never mistaken."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Command
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from running import images_of

from fishcnn.commands.images_of_run import run_datamodule, validation_files
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import cache_folder
from fishcnn.utils.run_folder import RunFolder


@pytest.fixture
def moved(trained: RunFolder) -> RunFolder:
    """The run on another machine: its images are in ``here/``, and no folder of then is there."""
    before = images_of(trained)
    shutil.copytree(before, "here/images")
    shutil.copytree(before.parent / "masks", "here/masks")
    change(trained, root="/gone/images", masks_root="/gone/masks", cache_root="/gone/cache")
    return trained


def change(run: RunFolder, **data: object) -> None:
    config = OmegaConf.load(run.config)
    config.data.update(data)
    OmegaConf.save(config, run.config)


def data(root: str | None = None, masks_root: str | None = None) -> DictConfig:
    return OmegaConf.create({"root": root, "masks_root": masks_root})


def first(run: RunFolder, split: str = "val") -> Path:
    """Where the first image of a split lies now."""
    return Path("here/images") / json.loads(run.split.read_text())[split][0]


def test_the_images_are_found_where_they_are_now(moved: RunFolder) -> None:
    datamodule = run_datamodule(moved.best_checkpoint, data("here/images"))
    held_out = json.loads(moved.split.read_text())["val"]
    paths = [datamodule.images.paths[row].as_posix() for row in datamodule.split.val]
    assert paths == held_out
    assert datamodule.images.masks is not None  # beside the images, as they were
    assert datamodule.cache_root == cache_folder() / "decoded"
    _, files = validation_files(moved.best_checkpoint, data("here/images"))
    assert [
        file.relative_to(Path("here/images").absolute()).as_posix() for file in files
    ] == held_out


@pytest.mark.parametrize("look", [run_datamodule, validation_files])
def test_without_a_word_about_it_the_error_says_what_to_type(
    moved: RunFolder, look: Callable[..., object]
) -> None:
    with pytest.raises(FishError, match=r"^data\.root=/gone/images: .* data\.root=/where/they/are"):
        look(moved.best_checkpoint, data())


def remove(run: RunFolder) -> None:
    first(run).unlink()


def exchange(run: RunFolder) -> None:
    Image.new("RGB", (64, 48), "red").save(first(run))


def rename(run: RunFolder) -> None:
    folder = first(run).parent
    folder.rename(folder.with_name("another_class"))


def one_more_letter(run: RunFolder) -> None:
    file = first(run)
    file.write_bytes(file.read_bytes() + b"\n")


@pytest.mark.parametrize("look", [run_datamodule, validation_files])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove, r"1 are missing \(.*\.jpg\)"),
        (exchange, r"1 are different from then \(.*\.jpg\)"),
        (one_more_letter, r"1 are different from then \(.*\.jpg\)"),
        (rename, r"\d+ are missing \(.*, \.\.\.\)"),
    ],
)
def test_other_images_are_refused_and_counted(
    moved: RunFolder,
    damage: Callable[[RunFolder], None],
    said: str,
    look: Callable[..., object],
) -> None:
    damage(moved)
    with pytest.raises(FishError, match=rf"^data\.root=.*here/images has changed .*{said}"):
        look(moved.best_checkpoint, data("here/images"))


@pytest.mark.parametrize("place", ["nowhere", "runs/first/split.json", "here"])
@pytest.mark.parametrize("look", [run_datamodule, validation_files])
def test_a_place_without_the_images_is_named(
    moved: RunFolder, place: str, look: Callable[..., object]
) -> None:
    with pytest.raises(FishError, match=rf"^data\.root=.*{place}"):
        look(moved.best_checkpoint, data(place))


def test_images_that_were_exchanged_in_their_place_are_refused_as_well(moved: RunFolder) -> None:
    change(moved, root=str(Path("here/images").absolute()), masks_root=None)
    run_datamodule(moved.best_checkpoint)
    file = first(moved, "train")
    Image.new("RGB", (64, 48), "red").save(file)
    with pytest.raises(FishError, match=r"1 are different from then"):
        run_datamodule(moved.best_checkpoint)


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_where_the_digests_are_lost_the_names_are_compared(
    moved: RunFolder, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    moved.digests.unlink()
    if content is not None:
        moved.digests.write_bytes(content)
    run_datamodule(moved.best_checkpoint, data("here/images"))
    assert ("images are compared by name" in caplog.text) == (content is not None)
    remove(moved)
    with pytest.raises(FishError, match="1 are missing"):
        run_datamodule(moved.best_checkpoint, data("here/images"))


def test_masks_that_did_not_move_along_are_left_out_with_a_word(
    moved: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    Path("here/masks").rename("elsewhere")
    datamodule = run_datamodule(moved.best_checkpoint, data("here/images"))
    assert datamodule.images.masks is None
    assert "data.masks_root=/where/they/are/now" in caplog.text
    datamodule = run_datamodule(moved.best_checkpoint, data("here/images", "elsewhere"))
    assert datamodule.images.masks is not None
    with pytest.raises(FishError, match=r"^data\.masks_root=nowhere: is not a folder"):
        run_datamodule(moved.best_checkpoint, data("here/images", "nowhere"))


def test_drawn_images_are_taken_from_a_folder_that_is_named(moved: RunFolder) -> None:
    Path("here/images").rename("here/pictures")
    change(moved, name="synthetic", root=None, masks_root=None)
    for typed in ("here", "here/pictures"):
        datamodule = run_datamodule(moved.best_checkpoint, data(typed))
        assert datamodule.images.index.root == Path("here/pictures").absolute()
        assert datamodule.images.masks is not None


def test_only_a_cache_that_was_typed_and_is_there_wins_over_the_one_of_today(
    trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_today = os.environ["FISHCNN_CACHE"]
    monkeypatch.setenv("HOME", set_today)
    monkeypatch.delenv("FISHCNN_CACHE")
    today = cache_folder() / "decoded"
    change(trained, cache_root=str(Path("old").absolute()))
    assert run_datamodule(trained.best_checkpoint).cache_root == today
    typed = OmegaConf.load(trained.overrides)
    OmegaConf.save([*typed, "data.cache_root=old"], trained.overrides)
    old = Path("old/decoded").absolute()
    assert run_datamodule(trained.best_checkpoint).cache_root == old
    monkeypatch.setenv("FISHCNN_CACHE", set_today)
    assert run_datamodule(trained.best_checkpoint).cache_root == Path(set_today) / "decoded"
    monkeypatch.delenv("FISHCNN_CACHE")
    change(trained, cache_root="/gone/far/away")
    assert run_datamodule(trained.best_checkpoint).cache_root == today


def test_a_run_writes_down_its_cache_only_if_it_was_chosen(trained: RunFolder) -> None:
    assert OmegaConf.load(trained.config).data.cache_root is None


@pytest.mark.parametrize("command", ["predict", "explain", "export"])
def test_a_folder_that_is_not_looked_at_is_told_in_one_line(
    script: Command, trained: RunFolder, command: str
) -> None:
    root = Path(OmegaConf.load(trained.config).data.root)
    more = {"explain": ["trust=false"], "export": ["formats=torch"]}.get(command, [])
    first = next(path for path in sorted(root.rglob("*")) if path.is_file())
    finished = script(command, f"input={first}", "data.root=elsewhere", *more, "output=out.csv")
    assert finished.status == 0, finished.err
    assert (finished.out + finished.err).count("data.root=elsewhere has no effect: it says") == 1
