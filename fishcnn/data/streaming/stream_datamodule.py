"""The datamodule of packed images, which are read shard by shard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.sources import Folders
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.streaming.packed_files import PackedFiles, packed_files
from fishcnn.data.streaming.packed_images import (
    PackedImages,
    open_packed,
    packed_manifest,
    settings_of,
)
from fishcnn.data.streaming.shard_batches import ShardBatches
from fishcnn.utils.checks import check_arguments, number, optional, path, text, whole
from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.machine import cache_folder

_SEED_RECIPE = Recipe()
_WANTED = {
    "root": path,
    "endpoint_url": optional(text),
    "window": whole(1),
    "cache_gb": number(0),
}


@dataclass(frozen=True)
class PackedSource:
    """Packed images, of which nothing else than their shards need be on this machine."""

    files: PackedFiles

    def folders(self) -> Folders:
        """Where the folders were that were packed, for those who need the files themselves."""
        manifest = packed_manifest(self.files)
        masks_root = manifest.masks_root
        return Folders(Path(manifest.root), None if masks_root is None else Path(masks_root))


class StreamDataModule(FishDataModule):
    """Serves packed images as a :class:`FishDataModule` serves those of a folder.

    Labels, split, groups and size are those of the packing. A batch is to the bit the one that the
    folder gives, as long as no more than ``window`` shards hold the training split.

    Args:
        root: folder of packed images, or ``s3://bucket/folder``.
        endpoint_url: of an S3 server other than Amazon's.
        window: shards that are shuffled together. Training images lie in them in random order
            already, so that a few are enough.
        cache_gb: what copies of shards that were fetched may take on this machine.
        image_size, batch_size, normalize, cache_root, on_device, workers, recipe, seed: as
            there.
        balance: as there, but for ``sampler``, which would draw from all shards at once.

    Raises:
        ArgumentError: an argument is out of range.
    """

    packed: PackedImages

    def __init__(
        self,
        root: str | Path,
        *,
        endpoint_url: str | None = None,
        window: int = 8,
        cache_gb: float = 20.0,
        image_size: int = 128,
        batch_size: int = 32,
        balance: str = "none",
        normalize: str | Sequence[Sequence[float]] = "dataset",
        cache_root: str | Path | None = None,
        on_device: bool | None = None,
        workers: int | None = None,
        recipe: Recipe = _SEED_RECIPE,
        seed: int | None = None,
    ) -> None:
        check_arguments(locals(), _WANTED)
        self.files = packed_files(root, endpoint_url, cache_folder(cache_root))
        super().__init__(
            source=PackedSource(self.files),
            image_size=image_size,
            batch_size=batch_size,
            balance=balance,
            normalize=normalize,
            cache_root=cache_root,
            on_device=on_device,
            workers=workers,
            recipe=recipe,
            seed=seed,
        )
        if balance == "sampler":
            problem = "would draw from all shards at once; choose loss, or none"
            raise ArgumentError("balance", balance, problem)
        self.window = window
        self._room = cache_gb * 1e9

    @property
    def place(self) -> str:
        """Where the packed images are."""
        return self.files.place

    def prepare_data(self) -> None:
        """Do nothing: each process opens the packed images itself."""

    def _read_images(self) -> tuple[ImageSet, Splitting]:
        """Open the packed images.

        Raises:
            ArgumentError: they are smaller than what the network is to see.
            FishError: there are none, or they are damaged.
        """
        packed = open_packed(self.files, workers=self.workers, room=self._room)
        side = packed.manifest.working_size
        if side < self.image_size:
            problem = f"the images in {self.place} are packed at {side} pixels; choose that or less"
            raise ArgumentError("image_size", self.image_size, problem)
        self.packed = packed
        self.working_size, self.resize = side, packed.manifest.resize
        self.split_settings = settings_of(packed.manifest)
        return packed.images, packed.splitting

    def _training_batches(self, **settings: Any) -> ShardBatches:
        return ShardBatches(
            self.datasets["train"],
            self.batch_size,
            packed=self.packed,
            window=self.window,
            **settings,
        )

    def _scan(self, folders: Folders) -> ImageIndex:
        return self.packed.images.index
