import copy
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import Tensor

from fishcnn.commands.build import CONF
from fishcnn.commands.settings import plain
from fishcnn.data import sources
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.channel_statistics import channel_statistics
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.datasets import Batch
from fishcnn.data.decoding import decode
from fishcnn.data.decoding.resize import resize
from fishcnn.data.duplicates import finder
from fishcnn.data.rendering import synthetic
from fishcnn.data.sources import BengaliFishSource, SyntheticSource
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import ArgumentError, FishError
from fishcnn.utils.machine import cache_folder

Make = Callable[..., FishDataModule]

STRONG = Recipe(
    name="test",
    crop_scale=(0.3, 0.8),
    crop_ratio=(0.75, 1.33),
    rotation=30,
    brightness=0.5,
    contrast=0.5,
    saturation=0.5,
)


@pytest.fixture
def make(fish: Path, tmp_path: Path) -> Make:
    """A datamodule of small images; of the rendered ones with their masks, unless told."""

    def datamodule(root: Path | None = None, **changes: Any) -> FishDataModule:
        settings: dict[str, Any] = {
            "masks_root": None if root else fish / "masks",
            "recipe": STRONG,
            "image_size": 32,
            "batch_size": 8,
            "val_fraction": 0.25,
            "group_duplicates": False,
            "cache": "ram",
            "cache_root": tmp_path / "cache",
            "workers": 2,
        }
        return FishDataModule(root or fish / "pictures", **{**settings, **changes})

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
def test_validation_images_are_never_augmented_and_training_images_are(make: Make) -> None:
    datamodule = make()
    seen = watch(datamodule)
    images = torch.from_numpy(datamodule.images.pixels)
    val = set(datamodule.split.val.tolist())
    for batch in seen["val"]:
        assert set(batch["index"].tolist()) <= val
        assert torch.equal(batch["image"], resize(images[batch["index"]], 32))
    trained = torch.cat([batch["index"] for batch in seen["train"]])
    assert not set(trained.tolist()) & val
    for batch in seen["train"]:
        plain = resize(images[batch["index"]], 32)
        assert (batch["image"] - plain).abs().mean((1, 2, 3)).min() > 0.01
    # The same image comes out differently in the second epoch.
    one = int(trained[0])
    views = [b["image"][b["index"] == one] for b in seen["train"] if one in b["index"]]
    assert len(views) == 2
    assert not torch.allclose(views[0], views[1], atol=0.02)


def test_the_sides_are_two_datasets_with_two_transforms(make: Make) -> None:
    datamodule = make()
    datamodule.setup()
    train, val = datamodule.datasets["train"], datamodule.datasets["val"]
    assert train.transform is not val.transform
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
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.splitting.split import stratified_split
index = scan_folder(Path({str(fish / "pictures")!r}))
print(stratified_split(index.labels, val_fraction=0.25, seed=0).val.tolist())
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
    train = datamodule.images.pixels[datamodule.split.train] / 255
    assert datamodule.mean == pytest.approx(train.mean((0, 1, 2)).tolist(), abs=1e-6)
    assert datamodule.std == pytest.approx(train.std((0, 1, 2)).tolist(), abs=1e-6)
    everything = datamodule.images.pixels / 255
    assert datamodule.mean != pytest.approx(everything.mean((0, 1, 2)).tolist(), abs=1e-6)


def test_published_statistics_are_offered(make: Make) -> None:
    datamodule = make(normalize="cifar10")
    datamodule.setup()
    assert datamodule.mean == [0.4914, 0.4822, 0.4465]


def test_a_constant_colour_does_not_divide_by_zero() -> None:
    moments = np.array([[[16 * 7] * 3, [16 * 49] * 3]] * 2)
    mean, std = channel_statistics(moments, 16)
    assert mean == pytest.approx([7 / 255] * 3)
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
    for image in sorted((fish / "pictures").rglob("*.jpg")):
        side = "val" if image.stem == "0000" else "train"
        target = tmp_path / side / image.parent.name / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
    datamodule = make(tmp_path)
    datamodule.setup()
    held_out = [datamodule.images.paths[i].as_posix() for i in datamodule.split.val]
    assert len(held_out) == 3
    assert all(path.startswith("val/") for path in held_out)


def test_validation_images_that_cannot_be_read_are_an_error(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    for folder in (fish / "pictures").iterdir():
        shutil.copytree(folder, tmp_path / "train" / folder.name)
        (tmp_path / "val" / folder.name).mkdir(parents=True)
        (tmp_path / "val" / folder.name / "broken.jpg").write_text("no image")
    with pytest.raises(FishError, match=r"no image for validation can be read in "):
        make(tmp_path).setup()


def test_a_last_batch_of_one_image_joins_the_one_before_in_training(make: Make) -> None:
    # 27 training images in batches of 13 would leave one for batch norm.
    datamodule = make(batch_size=13)
    datamodule.setup()
    assert [len(b["label"]) for b in datamodule.train_dataloader()] == [13, 14]
    assert [len(b["label"]) for b in datamodule.val_dataloader()] == [9]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "batch_size=1: must be a whole number, 2 or more"),
        ({"image_size": 0}, "image_size=0: must be a whole number from 1 to 4096"),
        ({"working_size": 16}, "working_size=16: must be at least image_size, which is 32"),
        ({"resize": "stretch"}, "resize=stretch: choose one of squash, letterbox, crop"),
        ({"normalize": "mnist"}, "normalize=mnist: choose one of dataset, cifar10, imagenet"),
        ({"balance": "scales"}, "balance=scales: choose one of none, sampler, loss"),
        ({"cache": "tape"}, "cache=tape: choose one of disk, ram, none"),
        ({"cache": "none", "on_device": True}, "on_device=true: needs a cache"),
        ({"folds": 1}, "folds=1: must be a whole number, 2 or more"),
        ({"test_fraction": 0.9}, "test_fraction=0.9"),
        ({"group_regex": "("}, "group_regex="),
        ({"split_seed": -1}, "split_seed=-1: must be a whole number, 0 or more"),
        ({"source": SyntheticSource()}, "leave out root and masks_root: it has its own"),
    ],
)
def test_arguments_out_of_range_are_named(
    make: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(FishError) as error:
        make(**changes)
    assert message in str(error.value)


def test_a_datamodule_needs_images() -> None:
    with pytest.raises(ArgumentError, match=r"root=null: name a folder of images"):
        FishDataModule()


def test_masks_that_are_not_there_are_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"^masks_root=.*nowhere: is not a folder"):
        make(masks_root=tmp_path / "nowhere").setup()


def test_the_library_has_the_defaults_of_the_configuration(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISHCNN_CACHE", "/from/the/environment")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        data = plain(compose("data/folder").data)
        synthetic = plain(compose("data/synthetic").data)
        recipe = plain(compose("augment/seed").augment)
    # The same folder, which the library looks up when it is needed.
    for group in (data, synthetic):
        assert group["cache_root"] == str(cache_folder())
        group["cache_root"] = None
        del group["name"]
    assert defaults(FishDataModule) == {**data, "source": None, "recipe": Recipe(), "seed": None}
    assert defaults(Recipe) == {
        name: tuple(value) if isinstance(value, list) else value for name, value in recipe.items()
    }
    of_source = {n.replace("pictures", "images"): v for n, v in synthetic.items() if n not in data}
    own = {name: synthetic[name] for name in ("cache_root", "workers")}
    assert defaults(SyntheticSource) == {**of_source, **own}


def defaults(kind: type) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in signature(kind).parameters.items()}


@pytest.mark.parametrize(("root", "expected"), [("~/here", "here"), (None, ".cache/fishcnn")])
def test_the_cache_is_in_the_home_folder_unless_told(
    monkeypatch: pytest.MonkeyPatch, root: str | None, expected: str
) -> None:
    monkeypatch.delenv("FISHCNN_CACHE", raising=False)
    assert cache_folder(root) == Path.home() / expected


def test_the_kaggle_set_names_both_ways_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # as if it were not installed
    with pytest.raises(FishError) as error:
        BengaliFishSource().folders()
    assert "pip install kagglehub" in str(error.value)
    assert "name its folder here" in str(error.value)


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
    with pytest.raises(FishError, match=r"root=null: .*no route to host\. Two ways"):
        BengaliFishSource().folders()


def test_a_second_start_draws_and_decodes_nothing_and_checks_the_drawn_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for module, name in (
        (sources, "ensure_synthetic"),
        (synthetic, "render_fish"),
        (decode, "decode_image"),
    ):
        counted = count_calls(calls, getattr(module, name))
        monkeypatch.setattr(module, name, counted)
    source = SyntheticSource(species=2, images_per_class=4, long_side=64, cache_root=tmp_path)
    for start in range(2):
        calls.clear()
        datamodule = FishDataModule(source=source, image_size=16, cache_root=tmp_path)
        for _ in range(2):  # Lightning calls them once more
            datamodule.prepare_data()
            datamodule.setup()
        assert calls.count("ensure_synthetic") == 1
        assert calls.count("render_fish") == (8 if start == 0 else 0)
        assert calls.count("decode_image") == (8 if start == 0 else 0)


def count_calls(calls: list[str], function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which adds its name to a list whenever it is called."""

    def counted(*arguments: Any, **settings: Any) -> Any:
        calls.append(function.__name__)
        return function(*arguments, **settings)

    return counted


def test_images_keep_their_colours_and_sides(make: Make, tmp_path: Path) -> None:
    for name, colour in (("red", (250, 5, 5)), ("blue", (5, 5, 250))):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.new("RGB", (90, 60), colour).save(tmp_path / name / f"{number}.png")
    datamodule = make(tmp_path)
    datamodule.setup()
    batch = datamodule.batch("val", [0, 1], torch.device("cpu"))
    expected = np.array([[5, 5, 250], [250, 5, 5]]) / 255
    assert batch["image"].mean((2, 3)).numpy() == pytest.approx(expected, abs=0.01)
    assert datamodule.images.aspect.tolist() == [1.5] * 8


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_wherever_images_are_kept_batches_are_the_same(make: Make, cache: str) -> None:
    expected, datamodule = make(), make(cache=cache)
    for each in (expected, datamodule):
        each.setup()
    assert (datamodule.mean, datamodule.std) == (expected.mean, expected.std)
    for ours, theirs in zip(datamodule.val_dataloader(), expected.val_dataloader(), strict=True):
        assert ours.keys() == theirs.keys()
        for key in ("image", "aspect", "label", "index", "mask"):
            assert torch.equal(ours[key], theirs[key]), key


def test_images_that_are_kept_nowhere_are_missed_with_their_name(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(fish / "pictures", tmp_path / "pictures")
    datamodule = make(root, cache="none")
    datamodule.setup()
    gone = root / datamodule.images.paths[datamodule.split.val[0]]
    gone.unlink()
    with pytest.raises(FishError, match=rf"{gone} cannot be read any more: no such file"):
        datamodule.batch("val", [0], torch.device("cpu"))


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_on_the_device_a_batch_is_an_index_and_becomes_the_same_images(make: Make) -> None:
    seen = []
    for on_device in (False, True):
        torch.manual_seed(0)
        datamodule = make(on_device=on_device)
        seen.append(watch(datamodule))
        raw = next(iter(datamodule.train_dataloader()))
        assert ("image" in raw) != on_device
    for side in ("train", "val"):
        for host, device in zip(seen[0][side], seen[1][side], strict=True):
            assert torch.equal(host["index"], device["index"])
            assert torch.equal(host["image"], device["image"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_images_that_fit_are_kept_on_the_gpu(make: Make) -> None:
    datamodule = make()
    datamodule.setup()
    device = torch.device("cuda", 0)
    assert datamodule.images.fits(device)
    datamodule.images.keep_on(device)
    batch = datamodule.batch("train", [0, 1], device)
    assert batch["image"].device == device


def test_only_a_gpu_is_filled_without_being_asked(make: Make) -> None:
    datamodule = make()
    datamodule.setup()
    assert not datamodule.images.fits(torch.device("cpu"))


def test_a_second_setup_keeps_what_the_first_has_decoded(make: Make) -> None:
    datamodule = make()
    datamodule.setup("fit")
    images, split, datasets = datamodule.images, datamodule.split, datamodule.datasets
    datamodule.setup("validate")
    assert datamodule.images is images
    assert datamodule.split is split
    assert datamodule.datasets is datasets


def test_two_datamodules_of_one_process_each_see_the_folder_of_their_time(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(fish / "pictures", tmp_path / "images")
    first, second = make(root, cache="disk"), make(root, cache="disk")
    first.setup()
    position = int(first.split.val[0])
    changed = first.images.paths[position]
    before = first.images.pixels[[position]][0]
    Image.new("RGB", (64, 48), (250, 5, 5)).save(root / changed)
    Image.new("RGB", (64, 48), (5, 5, 250)).save(root / changed.parent / "0000a.png")
    second.setup()
    assert (first.images.pixels[[position]] == before).all()
    assert len(first.images.paths) == 36
    assert len(second.images.paths) == 37
    row = second.images.paths.index(changed)
    assert second.images.pixels[[row]][0].mean((0, 1)).tolist() == pytest.approx([250, 5, 5], abs=5)
    shown = first.batch("val", [0], torch.device("cpu"))["image"]
    assert torch.equal(shown, resize(torch.from_numpy(before[None]), 32))


def rare(fish: Path, folder: Path) -> Path:
    """Two species with 12 images and one with 4."""
    root = shutil.copytree(fish / "pictures", folder / "pictures")
    for image in sorted(next(iter(sorted(root.iterdir()))).iterdir())[4:]:
        image.unlink()
    return root


def test_the_balanced_sampler_draws_every_class_equally_often(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    shares = {}
    for balance in ("none", "sampler"):
        torch.manual_seed(0)
        datamodule = make(rare(fish, tmp_path / balance), balance=balance)
        datamodule.setup()
        assert datamodule.class_weights is None
        loader = datamodule.train_dataloader()
        labels = torch.cat([batch["label"] for _ in range(40) for batch in loader])
        shares[balance] = labels.bincount() / len(labels)
        assert len(labels) == 40 * 21
    assert shares["none"].tolist() == pytest.approx([3 / 21, 9 / 21, 9 / 21])
    assert shares["sampler"].tolist() == pytest.approx([1 / 3] * 3, abs=0.05)  # 3 sigma


def test_the_balanced_loss_gives_every_class_the_same_weight(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    datamodule = make(rare(fish, tmp_path), balance="loss")
    datamodule.setup()
    assert datamodule.class_weights == pytest.approx([21 / 9, 21 / 27, 21 / 27])


def test_near_duplicates_stay_on_one_side(make: Make, fish: Path, tmp_path: Path) -> None:
    root = shutil.copytree(fish / "pictures", tmp_path / "pictures")
    for file in sorted(root.rglob("*.jpg")):
        with Image.open(file) as image:
            image.save(file.with_name(f"z{file.stem}.png"))
    sides = {}
    for grouped in (False, True):
        datamodule = make(root, group_duplicates=grouped, cache="disk")
        datamodule.setup()
        names = [path.stem.removeprefix("z") for path in datamodule.images.paths]
        train, val = (
            {(names[i], int(datamodule.images.labels[i])) for i in side}
            for side in (datamodule.split.train, datamodule.split.val)
        )
        sides[grouped] = train & val
    assert len(sides[False]) > 5
    assert sides[True] == set()
    assert len(datamodule.splitting.leaked) >= len(sides[False])
    assert datamodule.splitting.duplicates is not None
    assert len(datamodule.splitting.duplicates.larger_than_one()) == 36


def test_duplicates_are_looked_for_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(group_duplicates=True, cache="disk")
    first.setup()
    monkeypatch.setattr(finder, "find_duplicates", lambda *arguments: pytest.fail("again"))
    second = make(group_duplicates=True, cache="disk")
    second.setup()
    assert first.splitting.duplicates is not None
    assert second.splitting.duplicates is not None
    np.testing.assert_array_equal(
        first.splitting.duplicates.groups, second.splitting.duplicates.groups
    )


def test_damaged_groups_are_looked_for_again(
    make: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    make(group_duplicates=True, cache="disk").setup()
    (file,) = (tmp_path / "cache").rglob("*.duplicates*")
    file.write_bytes(file.read_bytes()[:50])
    datamodule = make(group_duplicates=True, cache="disk")
    datamodule.setup()
    assert datamodule.splitting.duplicates is not None
    assert "is damaged" in caplog.text
    assert file.stat().st_size > 50


def test_images_of_one_name_group_stay_on_one_side(make: Make) -> None:
    # 0000 to 0011 in each of three folders: groups of 0000 to 0009 and of 0010, 0011.
    datamodule = make(group_regex=r"^\d{3}")
    datamodule.setup()
    stems = {datamodule.images.paths[index].stem for index in datamodule.split.val}
    assert stems == {"0010", "0011"}
    assert datamodule.splitting.parts is not None
    assert set(datamodule.splitting.parts) == {"000", "001"}


def test_a_pattern_that_fits_no_name_is_told_before_images_are_decoded(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(ArgumentError, match="group_regex=track: matches none of the 36 file names"):
        make(group_regex="track").setup()
    assert "Decoding" not in caplog.text


def test_folds_are_validated_once_each(make: Make) -> None:
    held_out = []
    for fold in range(4):
        datamodule = make(folds=4, fold=fold)
        datamodule.setup()
        held_out += datamodule.split.val.tolist()
    assert sorted(held_out) == list(range(36))


def test_a_folder_that_is_split_already_has_no_folds(
    make: Make, fish: Path, tmp_path: Path
) -> None:
    for side in ("train", "val"):
        shutil.copytree(fish / "pictures", tmp_path / side)
    with pytest.raises(FishError, match=r"^folds=4: draws a split, but"):
        make(tmp_path, folds=4).setup()
    datamodule = make(tmp_path, group_duplicates=True)
    datamodule.setup()
    assert len(datamodule.splitting.leaked) == 36


@pytest.mark.parametrize("cache", ["disk", "ram", "none"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_datamodule_that_is_set_up_can_be_copied_and_sent_to_other_processes(
    make: Make, cache: str, copied: Callable[[FishDataModule], FishDataModule]
) -> None:
    datamodule = make(cache=cache)
    datamodule.setup("fit")
    rows = datamodule.split.val
    other = copied(datamodule).images
    assert (other.pixels[rows] == datamodule.images.pixels[rows]).all()
    assert other.masks is not None
    assert datamodule.images.masks is not None
    assert (other.masks[rows] == datamodule.images.masks[rows]).all()


@pytest.mark.parametrize("how", ["letterbox", "crop"])
@pytest.mark.parametrize("cache", ["disk", "ram", "none"])
def test_however_images_are_resized_the_split_is_the_same_and_predict_sees_them_alike(
    make: Make, how: str, cache: str
) -> None:
    settings: dict[str, Any] = {"cache": cache, "group_duplicates": True}
    squashed, datamodule = make(**settings), make(**settings, resize=how)
    for each in (squashed, datamodule):
        each.setup()
    assert datamodule.split.train.tolist() == squashed.split.train.tolist()
    assert datamodule.split.val.tolist() == squashed.split.val.tolist()
    assert datamodule.splitting.groups.tolist() == squashed.splitting.groups.tolist()
    raw = next(iter(datamodule.train_dataloader()))
    assert raw["aspect"].eq(1).all()  # crops and rotations happen in the square
    batch, other = (
        each.batch("val", [0, 1], torch.device("cpu")) for each in (datamodule, squashed)
    )
    assert not torch.equal(batch["image"], other["image"])
    assert (batch["mask"].sum() < other["mask"].sum()) == (how == "letterbox")
    classifier = FishClassifier.for_data(datamodule, blocks=1)
    root = datamodule.images.index.root
    files = [root / datamodule.images.paths[row] for row in datamodule.split.val[:2].tolist()]
    decoded = np.stack([classifier.decode(file) for file in files])
    assert torch.equal(resize(torch.from_numpy(decoded), 32), batch["image"])


def test_images_in_their_own_shape_have_a_cache_of_their_own(make: Make, tmp_path: Path) -> None:
    for how in ("squash", "letterbox", "letterbox"):
        make(cache="disk", resize=how).setup()
    folders = sorted(folder.name for folder in (tmp_path / "cache" / "decoded").iterdir())
    assert [("letterbox" in name) for name in folders].count(True) == 1
    assert len(folders) == 2
