import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor

from fishcnn.data.augmentation.augment import resize
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule, channel_statistics
from fishcnn.data.datasets import Batch, EvalTransform, TrainTransform
from fishcnn.data.sources import BengaliFishSource, FolderSource
from fishcnn.errors import FishError

Make = Callable[..., FishDataModule]

STRONG = Recipe(
    name="test",
    crop_scale=(0.3, 0.8),
    crop_ratio=(0.75, 1.33),
    flip=0.5,
    rotation=30,
    shear=0,
    perspective=0,
    brightness=0.5,
    contrast=0.5,
    saturation=0.5,
    hue=0.1,
    trivial=False,
    blur=0,
    erasing=0,
    mixup=0,
    cutmix=0,
)


@pytest.fixture
def make(fish: Path) -> Make:
    def datamodule(**changes: Any) -> FishDataModule:
        settings: dict[str, Any] = {
            "source": FolderSource(str(fish / "pictures"), str(fish / "masks")),
            "recipe": STRONG,
            "image_size": 32,
            "working_size": 40,
            "batch_size": 8,
            "val_fraction": 0.25,
            "split_seed": 0,
            "normalize": "dataset",
            "workers": 2,
        }
        return FishDataModule(**{**settings, **changes})

    return datamodule


class Watcher(pl.LightningModule):
    """Learns nothing, keeps the batches that a real fit hands to its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[str, list[Batch]] = {"train": [], "val": []}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen["train"].append(batch)
        return self.weight.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen["val"].append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def watch(datamodule: FishDataModule) -> dict[str, list[Batch]]:
    watcher = Watcher()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(watcher, datamodule=datamodule)
    return watcher.seen


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_validation_pictures_are_never_augmented_and_training_pictures_are(make: Make) -> None:
    datamodule = make()
    seen = watch(datamodule)
    images = torch.from_numpy(datamodule.pictures.images)
    val = set(datamodule.split.val.tolist())
    for batch in seen["val"]:
        assert set(batch["index"].tolist()) <= val
        assert torch.equal(batch["image"], resize(images[batch["index"]], 32))
    trained = torch.cat([batch["index"] for batch in seen["train"]])
    assert not set(trained.tolist()) & val
    for batch in seen["train"]:
        plain = resize(images[batch["index"]], 32)
        assert (batch["image"] - plain).abs().mean((1, 2, 3)).min() > 0.01
    # The same picture comes out differently in the second epoch.
    one = int(trained[0])
    views = [b["image"][b["index"] == one] for b in seen["train"] if one in b["index"]]
    assert len(views) == 2
    assert not torch.allclose(views[0], views[1], atol=0.02)


def test_the_sides_are_two_datasets_with_two_transforms(make: Make) -> None:
    datamodule = make()
    datamodule.setup()
    train, val = datamodule.datasets["train"], datamodule.datasets["val"]
    assert isinstance(train.transform, TrainTransform)
    assert isinstance(val.transform, EvalTransform)
    assert len(train) + len(val) == 36
    assert not set(train.indices.tolist()) & set(val.indices.tolist())


def test_the_split_depends_on_its_own_seed_alone(make: Make) -> None:
    splits = []
    for seed, split_seed in ((0, 0), (1, 0), (0, 1)):
        pl.seed_everything(seed, verbose=False)
        datamodule = make(split_seed=split_seed)
        datamodule.setup()
        splits.append(datamodule.split.val.tolist())
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_another_process_splits_alike(make: Make, fish: Path) -> None:
    program = f"""
import numpy as np
from pathlib import Path
from fishcnn.data.scan import scan_folder
from fishcnn.data.split import stratified_split
listing = scan_folder(Path({str(fish / "pictures")!r}))
print(stratified_split(listing.labels, val_fraction=0.25, seed=0).val.tolist())
"""
    datamodule = make()
    datamodule.setup()
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == str(datamodule.split.val.tolist())


def test_normalisation_looks_at_the_training_side_alone(make: Make) -> None:
    datamodule = make()
    datamodule.setup()
    train = datamodule.pictures.images[datamodule.split.train] / 255
    assert datamodule.mean == pytest.approx(train.mean((0, 1, 2)).tolist(), abs=1e-6)
    assert datamodule.std == pytest.approx(train.std((0, 1, 2)).tolist(), abs=1e-6)
    everything = datamodule.pictures.images / 255
    assert datamodule.mean != pytest.approx(everything.mean((0, 1, 2)).tolist(), abs=1e-6)


def test_published_statistics_are_offered(make: Make) -> None:
    datamodule = make(normalize="cifar10")
    datamodule.setup()
    assert datamodule.mean == [0.4914, 0.4822, 0.4465]


def test_a_constant_colour_does_not_divide_by_zero() -> None:
    _, std = channel_statistics(torch.full((2, 4, 4, 3), 7, dtype=torch.uint8))
    assert std == [1 / 255] * 3


def test_masks_come_with_validation_batches(make: Make) -> None:
    datamodule = make()
    datamodule.setup()
    batch = datamodule.batch("val", [0, 1], torch.device("cpu"))
    assert batch["mask"].shape == (2, 32, 32)
    assert 0.03 < float(batch["mask"].mean()) < 0.7
    assert "mask" not in datamodule.batch("train", [0, 1], torch.device("cpu"))


def test_a_folder_that_is_split_already_is_taken_as_it_is(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    for picture in sorted((fish / "pictures").rglob("*.jpg")):
        side = "val" if picture.stem == "0000" else "train"
        target = tmp_path / side / picture.parent.name / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, target)
    datamodule = make(source=FolderSource(str(tmp_path), None))
    datamodule.setup()
    held_out = [datamodule.pictures.paths[i].as_posix() for i in datamodule.split.val]
    assert len(held_out) == 3
    assert all(path.startswith("val/") for path in held_out)


def test_validation_pictures_that_cannot_be_read_are_an_error(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    for folder in (fish / "pictures").iterdir():
        shutil.copytree(folder, tmp_path / "train" / folder.name)
        (tmp_path / "val" / folder.name).mkdir(parents=True)
        (tmp_path / "val" / folder.name / "broken.jpg").write_text("no picture")
    with pytest.raises(FishError, match=r"no readable picture .* validation"):
        make(source=FolderSource(str(tmp_path), None)).setup()


def test_a_last_batch_of_one_picture_is_left_out_of_training(make: Make) -> None:
    # 27 training pictures in batches of 13 would leave one for batch norm.
    datamodule = make(batch_size=13)
    datamodule.setup()
    assert [len(b["label"]) for b in datamodule.train_dataloader()] == [13, 13]
    assert [len(b["label"]) for b in datamodule.val_dataloader()] == [9]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "data.batch_size=1"),
        ({"working_size": 16}, "data.working_size=16"),
        ({"normalize": "mnist"}, "data.normalize=mnist"),
        ({"split_seed": -1}, "data.split_seed=-1"),
    ],
)
def test_settings_out_of_range_are_named(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FishError) as error:
        make(**changes)
    assert message in str(error.value)


def test_a_root_that_is_not_set_is_named() -> None:
    with pytest.raises(FishError, match=r"data.root is not set"):
        FolderSource(None, None).folders()


def test_masks_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(FishError, match=r"data.masks_root=.*nowhere"):
        FolderSource(str(tmp_path), str(tmp_path / "nowhere")).folders()


def test_the_kaggle_set_names_both_ways_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # as if it were not installed
    with pytest.raises(FishError) as error:
        BengaliFishSource(None).folders()
    assert "pip install -e '.[kaggle]'" in str(error.value)
    assert "data.root=/path/to/it" in str(error.value)


def test_the_kaggle_set_is_found_below_fish_images(tmp_path: Path) -> None:
    assert BengaliFishSource(str(tmp_path)).folders().root == tmp_path
    (tmp_path / "fish_images").mkdir()
    assert BengaliFishSource(str(tmp_path)).folders().root == tmp_path / "fish_images"


def test_a_failed_download_names_both_ways_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Offline:
        @staticmethod
        def dataset_download(handle: str) -> str:
            raise ConnectionError("no route to host")

    monkeypatch.setitem(sys.modules, "kagglehub", Offline)
    with pytest.raises(FishError, match=r"no route to host\. Two ways"):
        BengaliFishSource(None).folders()


def test_pictures_keep_their_colours_and_sides(make: Make, tmp_path: Path) -> None:
    for name, colour in (("red", (250, 5, 5)), ("blue", (5, 5, 250))):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.new("RGB", (90, 60), colour).save(tmp_path / name / f"{number}.png")
    datamodule = make(source=FolderSource(str(tmp_path), None))
    datamodule.setup()
    batch = datamodule.batch("val", [0, 1], torch.device("cpu"))
    expected = np.array([[5, 5, 250], [250, 5, 5]]) / 255
    assert batch["image"].mean((2, 3)).numpy() == pytest.approx(expected, abs=0.01)
    assert datamodule.pictures.aspect.tolist() == [1.5] * 8
