"""Packing from the command line, and training on what was packed."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from running import SCRIPTS, table

from fishcnn.commands.train.resume import read_checkpoint
from fishcnn.utils.run_folder import RunFolder

PACK = ["data.image_size=32", "output=packed", "shard_mb=0.03"]


def test_a_training_on_packed_images_is_the_one_on_their_folder(
    script: Any, tiny: list[str], fish: Path, tmp_path: Path
) -> None:
    images = Path(shutil.copytree(fish / "pictures", tmp_path / "images"))
    masks = Path(shutil.copytree(fish / "masks", tmp_path / "masks"))
    where = [f"data.root={images}", f"data.masks_root={masks}"]
    finished = script("pack_data", *where, *PACK)
    assert finished.status == 0, finished.err
    again = f"{sys.executable} {SCRIPTS / 'train.py'} data=stream data.root={tmp_path / 'packed'}"
    assert f"to train {again} data.image_size=32" in finished.out
    quick = [one for one in tiny if "root" not in one and one != "data=folder"]
    quick += ["logger=none", "trainer.max_epochs=1"]
    for name, data in (("folder", where), ("stream", ["data=stream", "data.root=packed"])):
        finished = script("train", *data, *quick, f"hydra.run.dir={name}")
        assert finished.status == 0, finished.err
    folder, stream = (RunFolder(tmp_path / name) for name in ("folder", "stream"))
    assert stream.split.read_text() == folder.split.read_text()
    columns = ("train_loss", "val_loss", "val_acc", "cam_energy_on_fish")
    one, other = (
        [[row[key] for key in columns] for row in table(run.metrics)] for run in (folder, stream)
    )
    assert one == other
    batches = {read_checkpoint(run.last_checkpoint).batch for run in (folder, stream)}
    assert batches == {8}
    # Of the folder nothing is needed any more, but for the files themselves.
    elsewhere = images.rename(tmp_path / "elsewhere")
    (tmp_path / "packed").rename(tmp_path / "moved")
    finished = script("evaluate", "ckpt=stream", "data.root=moved")
    assert finished.status == 0, finished.err
    longer = ["data.root=moved", "data.cache_gb=1", "trainer.max_epochs=2"]
    finished = script("train", "ckpt_path=stream", *longer, "hydra.run.dir=longer")
    assert finished.status == 0, finished.err
    finished = script("explain", "ckpt=stream", "data.root=moved", "trust=false")
    assert finished.status == 1
    assert "which is not on this machine: name the images by input=" in finished.err
    finished = script("predict", "ckpt=stream", "data.root=moved")
    assert finished.err == (
        f"error: data.root=moved holds squares that were packed from {images}, "
        "which is not on this machine: name the images by input=\n"
    )
    assert not stream.predictions("csv").exists()
    finished = script("predict", "ckpt=stream", "data.root=elsewhere")
    assert finished.err.startswith("error: data.root=elsewhere: has no packed.json, ")
    elsewhere.rename(images)
    finished = script("predict", "ckpt=stream", "data.root=moved")
    held_out = len(json.loads(stream.split.read_text())["val"])
    assert f"images: the {held_out} validation images of the run, in {images}\n" in finished.out


def test_what_was_stopped_is_packed_again_and_what_is_packed_stays(
    script: Any, fish: Path, tmp_path: Path
) -> None:
    typed = [f"data.root={fish / 'pictures'}", *PACK]
    assert script("pack_data", *typed).status == 0
    packed = tmp_path / "packed"
    files = {file: file.stat().st_mtime_ns for file in packed.rglob("*") if file.is_file()}
    assert script("pack_data", *typed).status == 0
    for taken_for_images in ("packed", "packed/train"):
        finished = script("train", taken_for_images)
        assert finished.err.endswith(
            "holds packed images: to train on them type data=stream data.root="
            f"packed; they were packed from {fish / 'pictures'}\n"
        )
    finished = script("train", "data=stream", str(fish / "pictures"))
    assert f"leave out data=stream, or pack it first: python scripts/pack_data.py {fish}" in (
        finished.err
    )
    finished = script("train", "data=stream", "data.root=typo")
    assert finished.err.startswith("error: data.root=typo: does not exist: ")
    assert "pack_data.py" not in finished.err
    finished = script("train", "data=stream", f"data.root={packed / 'packed.json'}")
    assert f"data.root={packed / 'packed.json'}: is a file: " in finished.err
    finished = script("train", "data=stream", "data.root=packed/train")
    assert "type data=stream data.root=packed; they were packed from" in finished.err
    assert {file: file.stat().st_mtime_ns for file in files} == files
    finished = script("pack_data", *typed, "shard_mb=0.02")
    assert (finished.status, "packed holds other packed images" in finished.err) == (1, True)
    # As a kill between two files leaves it: not whole, which nobody takes for that.
    (packed / "packed.json").unlink()
    (packed / "train" / "chunk-0-1.bin").unlink()
    finished = script("train", "data=stream", "data.root=packed", "data.image_size=32")
    assert "has no packed.json, as it was not packed to its end" in finished.err
    assert script("pack_data", *typed, "shard_mb=0.02").status == 0
    assert (packed / "packed.json").is_file()


def test_other_files_are_left_alone(script: Any, fish: Path, tmp_path: Path) -> None:
    (tmp_path / "packed" / "train" / "carp").mkdir(parents=True)
    mine = tmp_path / "packed" / "train" / "carp" / "1.jpg"
    mine.write_text("mine")
    finished = script("pack_data", f"data.root={fish / 'pictures'}", *PACK)
    assert (finished.status, finished.err.count("\n")) == (1, 1)
    assert f"holds other files, such as {mine}: choose a new folder" in finished.err
    assert [file for file in (tmp_path / "packed").rglob("*") if file.is_file()] == [mine]


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("pack_data", ["data.root=images"]),
        ("train", ["data=stream", "data.root=s3://fish/packed"]),
    ],
)
def test_without_litdata_what_to_install_is_said(
    script: Any, monkeypatch: pytest.MonkeyPatch, command: str, typed: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "litdata", None)
    finished = script(command, *typed)
    assert (finished.status, finished.err.count("\n")) == (1, 1)
    assert 'needs the package litdata: pip install -e ".[stream]"' in finished.err


def test_a_folder_around_packed_images_is_told_from_one_of_images(
    script: Any, fish: Path, tmp_path: Path
) -> None:
    """As they are packed below the folder that is named for them, by default below packed/."""
    assert script("pack_data", f"data.root={fish / 'pictures'}", PACK[0]).status == 0
    inner = next((tmp_path / "packed").iterdir()).name
    for typed in (["packed"], ["data=stream", "data.root=packed"]):
        finished = script("train", *typed)
        wanted = f"holds packed images: to train on them type data=stream data.root=packed/{inner};"
        assert wanted in finished.err
    shutil.copytree(tmp_path / "packed" / inner, tmp_path / "packed" / "another")
    finished = script("train", "packed")
    assert finished.err == (
        "error: data.root=packed: holds 2 folders of packed images: name one of them, such as "
        "data=stream data.root=packed/another\n"
    )
