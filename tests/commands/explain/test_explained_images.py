import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fishcnn.commands.explain.explained_images import (
    BATCH,
    ImageFile,
    as_validated,
    decode_batches,
    sampled_files,
    typed_files,
    validation_sample,
)
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.decode import Decoded
from fishcnn.data.decoding.resize import Square
from fishcnn.data.sources import Folders
from fishcnn.utils.machine import usable_cpus


def test_the_sample_is_of_held_out_images_with_their_class_and_mask(
    datamodule: FishDataModule, fish: Path
) -> None:
    positions = validation_sample(datamodule, 5, seed=0)
    assert positions == validation_sample(datamodule, 9, seed=0)[:5]
    sample = sampled_files(datamodule, positions)
    held_out = {str(fish / "pictures" / datamodule.images.paths[i]) for i in datamodule.split.val}
    assert len({image.label for image in sample[:3]}) == 3
    for image in sample:
        assert image.path in held_out
        assert image.label == datamodule.classes.index(Path(image.path).parent.name)
        assert image.mask is not None
        assert image.mask.is_file()
        assert image.mask.stem == Path(image.path).stem


def test_decoded_images_and_masks_are_those_of_the_validation(
    datamodule: FishDataModule,
) -> None:
    positions = validation_sample(datamodule, 4, seed=0)
    (batch,) = decode_batches(iter(sampled_files(datamodule, positions)), Square(20))
    images, masks = as_validated([one for _, one in batch if isinstance(one, Decoded)], 16)
    expected = datamodule.batch("val", positions, torch.device("cpu"))
    assert torch.equal(images, expected["image"])
    assert torch.allclose(torch.stack([m for m in masks if m is not None]), expected["mask"])


def test_a_typed_image_knows_its_class_by_its_folder_and_its_mask_by_its_place(
    fish: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = sorted(path.name for path in (fish / "pictures").iterdir())
    own = fish / "pictures" / classes[1] / "0003.jpg"
    (tmp_path / classes[2]).mkdir()
    shutil.copy(own, tmp_path / "a.jpg")
    shutil.copy(own, tmp_path / classes[2] / "b.jpg")
    folders = Folders(fish / "pictures", fish / "masks")
    (found,) = typed_files(str(own), classes, folders)
    assert found.label == 1
    assert found.mask == (fish / "masks" / classes[1] / "0003.png").resolve()
    assert [p.label for p in typed_files(str(tmp_path), classes, folders)] == [None, 2]
    assert [p.mask for p in typed_files(str(tmp_path), classes, folders)] == [None, None]
    (without,) = typed_files(str(own), classes, None)
    assert without.mask is None
    monkeypatch.chdir(tmp_path / classes[2])
    (relative,) = typed_files("b.jpg", classes, folders)
    assert relative.label == 2


def test_images_are_decoded_a_batch_at_a_time_and_broken_ones_say_why(
    fish: Path, tmp_path: Path
) -> None:
    good = str(next((fish / "pictures").rglob("*.jpg")))
    (tmp_path / "empty.jpg").write_bytes(b"")
    taken = []

    def files() -> Iterator[ImageFile]:
        for number in range(1000):
            taken.append(number)
            path = str(tmp_path / "empty.jpg") if number % 8 == 0 else good
            yield ImageFile(path, None, None)

    first = next(decode_batches(files(), Square(20)))
    assert len(first) == BATCH
    assert len(taken) <= BATCH + 8 * usable_cpus() + 1
    for i, (file, one) in enumerate(first):
        assert file.path.endswith("empty.jpg") == (i % 8 == 0)
        assert (one == "empty file") == (i % 8 == 0)
        assert i % 8 == 0 or isinstance(one, Decoded)
