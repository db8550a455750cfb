"""All pictures of all sides, on the host and, where they fit, on the device of the network."""

import numpy as np
import torch
from torch import Tensor

from fishcnn.data.decoding.image_set import ImageSet, Pixels

# Of the memory that is free on a GPU: the network and its activations need the rest.
_MOST_OF_A_GPU = 0.5


class Collection:
    """Gathers rows of the pictures by their index.

    Args:
        pictures: N decoded pictures.

    Attributes:
        device: where the pictures are gathered: a batch that is an index and nothing else goes
            there first. None while they are only on the host.
    """

    def __init__(self, pictures: ImageSet) -> None:
        self._images = _gatherable(pictures.pixels)
        self._masks = None if pictures.masks is None else _gatherable(pictures.masks)
        self._aspect = torch.from_numpy(pictures.aspect)
        self._labels = torch.from_numpy(pictures.labels)
        self._on_device: dict[str, Tensor] = {}
        self.device: torch.device | None = None

    @property
    def has_masks(self) -> bool:
        """Whether there is a fish mask for each picture."""
        return self._masks is not None

    def fits(self, device: torch.device) -> bool:
        """Whether a GPU has the memory for them; never true of a device that is none."""
        if device.type != "cuda" or not isinstance(self._images, Tensor):
            return False
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds for later is free as well: an earlier job of a sweep has left it.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return self._images.nbytes < free * _MOST_OF_A_GPU

    def keep_on(self, device: torch.device) -> None:
        """Copy images, aspect ratios and labels to a device; masks stay on the host."""
        assert isinstance(self._images, Tensor)
        if self.device != device:
            parts = {"image": self._images, "aspect": self._aspect, "label": self._labels}
            self._on_device = {name: part.to(device) for name, part in parts.items()}
            self.device = device

    def gather(self, index: Tensor) -> dict[str, Tensor]:
        """Rows of images, aspect ratios and labels.

        Args:
            index: int64 ``(n,)``, on any device.

        Returns:
            ``image`` uint8 ``(n, S, S, 3)``, ``aspect`` float32 ``(n,)`` and ``label`` int64
            ``(n,)``, where the index is.
        """
        if index.device == self.device:
            return {name: part[index] for name, part in self._on_device.items()}
        on_host = index.cpu()
        rows = {
            "image": _rows(self._images, on_host),
            "aspect": self._aspect[on_host],
            "label": self._labels[on_host],
        }
        return {name: part.to(index.device) for name, part in rows.items()}

    def masks(self, index: Tensor) -> Tensor:
        """Rows of the masks, uint8 ``(n, S, S)``; ``index`` is on the host."""
        assert self._masks is not None
        return _rows(self._masks, index)


def _gatherable(images: Pixels) -> Tensor | Pixels:
    return torch.from_numpy(images) if isinstance(images, np.ndarray) else images


def _rows(images: Tensor | Pixels, index: Tensor) -> Tensor:
    if isinstance(images, Tensor):
        return images[index]
    return torch.from_numpy(images[index.numpy()])
