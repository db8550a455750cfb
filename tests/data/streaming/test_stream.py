"""Packed images are those of the folder, however they are read: from a folder or a server."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from litdata import StreamingDataset
from moto.server import ThreadedMotoServer
from networks import small_classifier

from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.streaming.packed_files import absolute_root
from fishcnn.data.streaming.packed_images import MANIFEST
from fishcnn.data.streaming.packing import pack_images
from fishcnn.data.streaming.stream_datamodule import StreamDataModule
from fishcnn.utils.errors import ArgumentError, FishError

# Three images of 20 pixels, with their masks.
SHARD = 3 * 20 * 20 * 4 + 500


@pytest.fixture
def packed(datamodule: FishDataModule, tmp_path: Path) -> Path:
    """The images of the datamodule, nine shards for training and three for validation."""
    folder = tmp_path / "packed"
    folder.mkdir()
    manifest = pack_images(
        datamodule.images,
        datamodule.splitting,
        datamodule.split_settings,
        folder,
        shard_bytes=SHARD,
    )
    assert [len(shards) for shards in manifest.shards.values()] == [9, 3, 0]
    (folder / MANIFEST).write_text(manifest.text())
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, packed: Path) -> Iterator[tuple[str, Any]]:
    """A server on this machine that has the packed images; its address, and a client."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="fish")
        for file in filter(Path.is_file, packed.rglob("*")):
            client.upload_file(str(file), "fish", f"p/{file.relative_to(packed).as_posix()}")
        yield url, client
    finally:
        moto.stop()


def streamed(root: Path | str, tmp_path: Path, **settings: Any) -> StreamDataModule:
    known = {"image_size": 16, "batch_size": 6, "workers": 2, "cache_root": tmp_path, "seed": 3}
    module = StreamDataModule(root, **{**known, **settings})
    module.setup()
    return module


def batches_of(module: FishDataModule, epochs: int = 2) -> list[list[int]]:
    """The images of each batch, by their index, of some epochs."""
    loader = module.train_dataloader()
    found = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        found += [batch["index"].tolist() for batch in loader]
    return found


def test_packed_images_are_those_of_the_folder(
    datamodule: FishDataModule, packed: Path, tmp_path: Path
) -> None:
    module = streamed(packed, tmp_path)
    rows = np.random.Generator(np.random.PCG64(0)).permutation(36)
    for part in ("pixels", "masks"):
        read, known = getattr(module.images, part), getattr(datamodule.images, part)
        assert read.shape == known.shape
        assert (read[rows] == known[rows]).all()
        assert (read.only(rows)[[3, 1]] == known[rows[[3, 1]]]).all()
    ours, theirs = module.images.fingerprints[rows], datamodule.images.fingerprints[rows]
    assert (ours == theirs).all()
    assert module.classes == datamodule.classes
    assert (module.images.labels == datamodule.images.labels).all()
    assert list(module.images.paths) == list(datamodule.images.paths)
    for name, its in vars(datamodule.split).items():
        assert (getattr(module.split, name) == its).all()
    assert (module.splitting.groups == datamodule.splitting.groups).all()
    assert (module.mean, module.std) == (datamodule.mean, datamodule.std)
    assert module.split_settings == datamodule.split_settings
    batch = module.batch("val", [4, 0], torch.device("cpu"))
    known = datamodule.batch("val", [4, 0], torch.device("cpu"))
    assert all(torch.equal(batch[key], known[key]) for key in known)  # type: ignore[literal-required]


def test_any_reader_of_litdata_can_read_the_shards(
    datamodule: FishDataModule, packed: Path
) -> None:
    items = [one for one in StreamingDataset(str(packed / "val"))]
    assert [one["row"] for one in items] == datamodule.split.val.tolist()
    for one in items:
        row = np.array([one["row"]])
        assert (one["image"] == datamodule.images.pixels[row][0]).all()
        assert one["label"] == datamodule.images.labels[one["row"]]


def test_batches_are_those_of_the_folder_where_one_window_holds_all_shards(
    datamodule: FishDataModule, fish: Path, packed: Path, tmp_path: Path
) -> None:
    datamodule.seed, datamodule.batch_size = 3, 6
    assert batches_of(streamed(packed, tmp_path, window=9)) == batches_of(datamodule)


def test_each_image_comes_once_an_epoch_and_few_shards_at_a_time(
    packed: Path, tmp_path: Path
) -> None:
    module = streamed(packed, tmp_path, window=2)
    first, second = np.split(np.concatenate(batches_of(module)), 2)
    assert sorted(first) == sorted(second) == module.split.train.tolist()
    assert first.tolist() != second.tolist()
    shard = module.packed.shards.where[:, 0]
    for epoch in (first, second):
        for start in range(0, 27, 6):
            assert len(set(shard[epoch[start : start + 6]])) <= 2
    assert batches_of(streamed(packed, tmp_path, window=2)) == [
        *map(list, np.split(first, range(6, 27, 6))),
        *map(list, np.split(second, range(6, 27, 6))),
    ]


class _Seen(pl.Callback):
    """Notes what a network is trained on, and is killed after some batches."""

    def __init__(self, file: Path, last: int | None = None) -> None:
        self.batches: list[tuple[int, list[int], float]] = []
        self._file = file
        self._last = last

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, number: int) -> None:
        entry = (trainer.current_epoch, batch["index"].tolist(), float(batch["image"].sum()))
        self.batches.append(entry)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self._last:
            trainer.save_checkpoint(self._file)
            raise RuntimeError("killed")


def fitted(module: StreamDataModule, seen: _Seen, file: Path | None = None) -> torch.Tensor:
    torch.manual_seed(0)
    network = small_classifier(module.classes)
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        callbacks=[seen],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(network, module, ckpt_path=file, weights_only=True)
    return torch.cat([one.detach().flatten() for one in network.parameters()])


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize("last", [2, 5, 8])
def test_a_fit_that_is_killed_within_an_epoch_goes_on_with_the_same_batches(
    packed: Path, tmp_path: Path, last: int
) -> None:
    file = tmp_path / "last.ckpt"
    settings = {"window": 2, "recipe": Recipe(flip=0.5)}
    whole = _Seen(file)
    weights = fitted(streamed(packed, tmp_path, **settings), whole)
    assert len(whole.batches) == 15
    before, after = _Seen(file, last), _Seen(file)
    with pytest.raises(RuntimeError, match="killed"):
        fitted(streamed(packed, tmp_path, **settings), before)
    again = fitted(streamed(packed, tmp_path, **settings), after, file)
    assert before.batches + after.batches == whole.batches
    assert torch.equal(again, weights)


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_within_an_epoch_shards_that_are_mixed_otherwise_are_refused(
    packed: Path, tmp_path: Path
) -> None:
    file = tmp_path / "last.ckpt"
    with pytest.raises(RuntimeError, match="killed"):
        fitted(streamed(packed, tmp_path, window=2), _Seen(file, 2))
    with pytest.raises(FishError, match="the images come in another order now"):
        fitted(streamed(packed, tmp_path, window=3), _Seen(file), file)


def test_a_server_without_encryption_gives_the_same_and_few_copies_are_kept(
    server: tuple[str, Any], packed: Path, datamodule: FishDataModule, tmp_path: Path
) -> None:
    url, _ = server
    module = streamed("s3://fish/p/", tmp_path, endpoint_url=url, window=2, cache_gb=0)
    assert batches_of(module) == batches_of(streamed(packed, tmp_path, window=2))
    rows = np.arange(36)
    for row in rows:
        assert (module.images.pixels[[row]] == datamodule.images.pixels[[row]]).all()
    copies = sorted((tmp_path / "streamed").rglob("chunk*.bin"))
    # The last one, the two that follow, and two that were on their way.
    assert 1 <= len(copies) <= 5
    # One that is damaged, or gone, is fetched again.
    for copy in copies:
        copy.write_bytes(b"\0" * 20_000)
    assert (module.images.pixels[rows] == datamodule.images.pixels[rows]).all()


def test_images_that_are_packed_anew_take_the_place_of_the_old_copies(
    server: tuple[str, Any], packed: Path, tmp_path: Path
) -> None:
    url, client = server
    assert streamed("s3://fish/p", tmp_path, endpoint_url=url).images.pixels[[0]].any()
    text = (packed / MANIFEST).read_text().replace('"pack": "', '"pack": "another')
    client.put_object(Bucket="fish", Key=f"p/{MANIFEST}", Body=text.encode())
    streamed("s3://fish/p", tmp_path, endpoint_url=url)
    assert not list((tmp_path / "streamed").rglob("*.bin"))


@pytest.mark.usefixtures("server")
def test_a_server_or_a_bucket_that_is_not_there_is_named(
    server: tuple[str, Any], tmp_path: Path
) -> None:
    for place, url in (("s3://nothing/p", server[0]), ("s3://fish/p", "http://127.0.0.1:9")):
        with pytest.raises(ArgumentError, match=rf"^root={place}: packed.json at {url} cannot be"):
            streamed(place, tmp_path, endpoint_url=url)


def test_a_folder_is_found_from_anywhere_and_a_server_is_no_folder(tmp_path: Path) -> None:
    assert absolute_root("fish", str(tmp_path)) == str(tmp_path / "fish")
    assert absolute_root("fish") == str(Path.cwd() / "fish")
    assert absolute_root("s3://bucket/fish", str(tmp_path)) == "s3://bucket/fish"


def test_what_is_damaged_or_missing_is_named(packed: Path, tmp_path: Path) -> None:
    module = streamed(packed, tmp_path)
    shard = packed / "train" / "chunk-0-0.bin"
    content = bytearray(shard.read_bytes())
    content[2000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(FishError, match=r"train/chunk-0-0.bin is damaged: pack the images again"):
        batches_of(module)
    os.truncate(shard, 1000)
    with pytest.raises(FishError, match=r"train/chunk-0-0.bin is damaged"):
        batches_of(module)
    shard.unlink()
    with pytest.raises(FishError, match=r"train/chunk-0-0.bin is missing"):
        batches_of(module)
    text = (packed / MANIFEST).read_text()
    (packed / MANIFEST).write_text(text.replace("train/chunk-0-1.bin", "../chunk-0-1.bin"))
    with pytest.raises(FishError, match=r"packed.json is damaged \('../chunk-0-1.bin' is not the"):
        streamed(packed, tmp_path)
    (packed / MANIFEST).unlink()
    with pytest.raises(
        FishError, match=r"packed: has no packed.json, as it was not packed to its end"
    ):
        streamed(packed, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 64}, "image_size=64: the images in .* are packed at 20 pixels"),
        ({"balance": "sampler"}, "balance=sampler: would draw from all shards at once"),
        ({"endpoint_url": "http://x"}, "endpoint_url=http://x: is for s3://bucket/folder"),
        ({"window": 0}, "window=0: must be a whole number"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    packed: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        streamed(packed, tmp_path, **settings)
