"""The readable images of a folder, on the host and, where they fit, on the network's device."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fishcnn.data.decoding.on_demand import OnDemand
from fishcnn.data.decoding.resize import SQUASH
from fishcnn.data.decoding.stored import Stored
from fishcnn.data.duplicates.fingerprint import FINGERPRINT_BYTES
from fishcnn.data.image_index import DIGEST_BYTES, ImageIndex
from fishcnn.data.streaming.shards import Packed

# Of the memory that is free on a GPU: the network and its activations need the rest.
_MOST_OF_A_GPU = 0.5


# N uint8 arrays of one shape: in memory, on disk, decoded when they are asked for, or in shards.
Pixels = NDArray[np.uint8] | Stored | OnDemand | Packed
# Images that are copied to a device at a time: some 100 MB.
_COPIED = 1024


class Unreadable(NamedTuple):
    """A file that looked like an image by its name and was left out."""

    path: Path  # relative to the root
    reason: str  # a few words, such as "truncated"


class ImageSet:
    """N decoded images, all splits together.

    Args:
        index: Of the folder, with what reading its files has found; N of them are readable.
        pixels: uint8 (N, S, S, 3), RGB; each image brought to a square.
        masks: uint8 (N, S, S), 255 on the fish and 0 elsewhere, brought to it alike; None without
            masks.
        fingerprints: uint8 (N, FINGERPRINT_BYTES), alike for near-duplicates.
        arrays: Path (without suffix) of the arrays in the cache, which belongs to just this
            content; None without a cache.
        resize: How they were brought to a square, one of RESIZES.
        whole: Another set that these are some of, without those that a person has dropped, and
            which rows of it they are, int64 (N,); None where nothing was dropped.

    Attributes:
        index, pixels, masks, fingerprints, arrays, resize, whole: As above.
        dropped: paths of those that a person has dropped.
        classes, paths, labels, splits: As of the index, but for the N readable images only.
        unreadable: The files that were left out.
        facts: FACTS (N,), from which come the next three.
        sizes: int32 (N, 2), width and height of the upright originals in pixels.
        digests: uint8 (N, D), equal for files with the same bytes.
        moments: int64 (N, 2, 3), sum and sum of squares of each channel.
        aspect: float32 (N,), width / height of the upright originals.
        device: Where the images are gathered: a batch that is an index and nothing else goes there
            first. None while they are only on the host.
    """

    def __init__(
        self,
        index: ImageIndex,
        pixels: Pixels,
        masks: Pixels | None = None,
        *,
        fingerprints: "NDArray[np.uint8] | Stored | None" = None,
        arrays: Path | None = None,
        resize: str = SQUASH,
        whole: "tuple[ImageSet, NDArray[np.int64]] | None" = None,
    ) -> None:
        readable = index.readable
        self.facts = facts = index.facts[readable] if index.reasons else index.facts
        self.index = index
        self.pixels = pixels
        self.masks = masks
        if fingerprints is None:
            fingerprints = np.zeros((len(readable), FINGERPRINT_BYTES), np.uint8)
        self.fingerprints = fingerprints
        self.arrays = arrays
        self.resize = resize
        self.whole = whole
        self.dropped: tuple[Path, ...] = ()
        self.classes = index.classes
        self.paths = index.paths.only(readable.tolist()) if index.reasons else index.paths
        self.labels: NDArray[np.int64] = index.labels[readable]
        self.splits = index.splits and tuple(index.splits[file] for file in readable.tolist())
        self.unreadable = tuple(
            Unreadable(index.paths[file], reason) for file, reason in index.reasons.items()
        )
        self.sizes: NDArray[np.int32] = facts["size"]
        self.aspect = (self.sizes[:, 0] / self.sizes[:, 1]).astype(np.float32)
        self.digests: NDArray[np.uint8] = facts["digest"][:, : DIGEST_BYTES // 2]
        self.moments: NDArray[np.int64] = facts["moments"]
        self.device: torch.device | None = None
        # Width / height of what fills the square: only squashing has changed the shape of that.
        stretched = self.aspect if resize == SQUASH else np.ones_like(self.aspect)
        self._parts = {
            "aspect": torch.from_numpy(stretched),
            "label": torch.from_numpy(self.labels),
        }

    def corrected(self, labels: NDArray[np.int64], kept: NDArray[np.bool_]) -> "ImageSet":
        """These images with other labels, and without some, which are decoded all the same.

        Args:
            labels: int64, of all files of the index.
            kept: bool, likewise.
        """
        index = self.index
        corrected = replace(index, labels=labels).only(np.flatnonzero(kept))
        if kept.all():
            return ImageSet(
                corrected,
                self.pixels,
                self.masks,
                fingerprints=self.fingerprints,
                arrays=self.arrays,
                resize=self.resize,
            )
        rows = np.flatnonzero(kept[index.readable]).astype(np.int64)
        found = ImageSet(
            corrected,
            _only(self.pixels, rows),
            None if self.masks is None else _only(self.masks, rows),
            fingerprints=self.fingerprints[rows],
            resize=self.resize,
            whole=(self, rows),
        )
        found.dropped = tuple(index.paths[file] for file in np.flatnonzero(~kept).tolist())
        return found

    def fits(self, device: torch.device) -> bool:
        """Whether a device is a GPU with enough memory for the images."""
        if device.type != "cuda" or isinstance(self.pixels, OnDemand):
            return False
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds for later is free as well: an earlier job of a sweep has left it.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return self.pixels.nbytes < free * _MOST_OF_A_GPU

    def keep_on(self, device: torch.device) -> None:
        """Copy images, aspect ratios and labels to a device; masks stay on the host."""
        if self.device != device:
            images = torch.empty(self.pixels.shape, dtype=torch.uint8, device=device)
            for start in range(0, len(images), _COPIED):
                rows = torch.arange(start, min(start + _COPIED, len(images)))
                images[start : start + _COPIED] = _rows(self.pixels, rows)
            parts = {name: part.to(device) for name, part in self._parts.items()}
            self._on_device = {**parts, "image": images}
            self.device = device

    def gather(self, index: Tensor) -> dict[str, Tensor]:
        """Rows of images, aspect ratios and labels, by int64 ``(n,)`` on any device.

        Returns:
            ``image`` uint8 ``(n, S, S, 3)``, ``aspect`` float32 ``(n,)`` (width / height of what
            fills the square, to undo the squashing) and ``label`` int64 ``(n,)``, where the index
            is.
        """
        if index.device == self.device:
            return {name: part[index] for name, part in self._on_device.items()}
        on_host = index.cpu()
        rows = {name: part[on_host] for name, part in self._parts.items()}
        rows["image"] = _rows(self.pixels, on_host)
        return {name: part.to(index.device) for name, part in rows.items()}

    def gather_masks(self, index: Tensor) -> Tensor:
        """Rows of the masks, uint8 ``(n, S, S)``; ``index`` is on the host."""
        assert self.masks is not None
        return _rows(self.masks, index)


def _only(pixels: Pixels, rows: NDArray[np.int64]) -> Pixels:
    return pixels[rows] if isinstance(pixels, np.ndarray) else pixels.only(rows)


def _rows(pixels: Pixels, index: Tensor) -> Tensor:
    if isinstance(pixels, np.ndarray):
        return torch.from_numpy(pixels)[index]  # in several threads, unlike NumPy
    return torch.from_numpy(pixels[index.numpy()])
