import shutil
from pathlib import Path

import pytest
import torch

from fishcnn.commands.explain.explained_images import (
    BATCH,
    Picture,
    check_same_pictures,
    load_batches,
    typed_pictures,
    validation_pictures,
    validation_sample,
)
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.sources import Folders
from fishcnn.utils.errors import FishError


def test_the_sample_is_of_held_out_pictures_with_their_class_and_mask(
    datamodule: FishDataModule, fish: Path
) -> None:
    positions = validation_sample(datamodule, 5, seed=0)
    assert positions == validation_sample(datamodule, 9, seed=0)[:5]
    sample = validation_pictures(datamodule, positions)
    held_out = {str(fish / "pictures" / datamodule.images.paths[i]) for i in datamodule.split.val}
    assert len({picture.label for picture in sample[:3]}) == 3
    for picture in sample:
        assert picture.path in held_out
        assert picture.label == datamodule.classes.index(Path(picture.path).parent.name)
        assert picture.mask is not None
        assert picture.mask.is_file()
        assert picture.mask.stem == Path(picture.path).stem


def test_decoded_pictures_and_masks_are_those_of_the_validation(
    datamodule: FishDataModule,
) -> None:
    positions = validation_sample(datamodule, 4, seed=0)
    (batch,) = load_batches(
        iter(validation_pictures(datamodule, positions)), working_size=20, image_size=16
    )
    expected = datamodule.batch("val", positions, torch.device("cpu"))
    assert batch.images is not None
    assert torch.equal(batch.images, expected["image"])
    assert all(mask is not None for mask in batch.masks)
    masks = torch.stack([mask for mask in batch.masks if mask is not None])
    assert torch.allclose(masks, expected["mask"])


def test_a_typed_picture_knows_its_class_by_its_folder_and_its_mask_by_its_place(
    fish: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = sorted(path.name for path in (fish / "pictures").iterdir())
    own = fish / "pictures" / classes[1] / "0003.jpg"
    (tmp_path / classes[2]).mkdir()
    shutil.copy(own, tmp_path / "a.jpg")
    shutil.copy(own, tmp_path / classes[2] / "b.jpg")
    folders = Folders(fish / "pictures", fish / "masks")
    (found,) = typed_pictures(str(own), classes, folders)
    assert found.label == 1
    assert found.mask == (fish / "masks" / classes[1] / "0003.png").resolve()
    assert [p.label for p in typed_pictures(str(tmp_path), classes, folders)] == [None, 2]
    assert [p.mask for p in typed_pictures(str(tmp_path), classes, folders)] == [None, None]
    (without,) = typed_pictures(str(own), classes, None)
    assert without.mask is None
    monkeypatch.chdir(tmp_path / classes[2])
    (relative,) = typed_pictures("b.jpg", classes, folders)
    assert relative.label == 2


def test_pictures_are_read_a_batch_at_a_time_and_broken_ones_say_why(
    fish: Path, tmp_path: Path
) -> None:
    good = str(next((fish / "pictures").rglob("*.jpg")))
    (tmp_path / "empty.jpg").write_bytes(b"")
    taken = []

    def pictures() -> object:
        for number in range(3 * BATCH):
            taken.append(number)
            path = str(tmp_path / "empty.jpg") if number % 8 == 0 else good
            yield Picture(path, None, None)

    batches = load_batches(pictures(), working_size=20, image_size=16)  # type: ignore[arg-type]
    first = next(batches)
    assert len(taken) == BATCH
    assert first.reasons == ["empty file" if i % 8 == 0 else None for i in range(BATCH)]
    assert first.images is not None
    assert len(first.images) == len(first.masks) == BATCH - BATCH // 8
    assert sum(1 for _ in batches) == 2

    (broken,) = load_batches(
        iter([Picture(str(tmp_path / "empty.jpg"), None, None)]), working_size=20, image_size=16
    )
    assert broken.images is None


def test_a_changed_folder_is_told_in_the_words_of_this_script(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    check_same_pictures(datamodule, datamodule.classes, tmp_path)
    (tmp_path / "split.json").write_text('{"val": ["gone/1.jpg"]}')
    with pytest.raises(FishError, match="has changed") as error:
        check_same_pictures(datamodule, datamodule.classes, tmp_path)
    assert "input=" in str(error.value)
    assert "data_root" not in str(error.value)
    assert "side=" not in str(error.value)
