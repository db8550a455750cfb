"""How checkpoints get onto the disk: whole, or not at all."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_fabric.utilities.types import _PATH

from fishcnn.utils.files import made_folder, write_bytes


class CheckpointWriter(TorchCheckpointIO):
    """Write checkpoints beside their target and rename them, see :func:`write_bytes`.

    Lightning writes into the temporary folder and moves the file from there. Where that is another
    disk, the move is a copy, and a kill within it leaves half a checkpoint in place of a whole one.

    Attributes:
        epochs: how many epochs the checkpoints of this process were trained for, by path without
            symbolic links, which Lightning follows.
    """

    def __init__(self) -> None:
        self.epochs: dict[Path, int] = {}

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: _PATH,
        storage_options: Any | None = None,  # noqa: ANN401 - Lightning's own type
    ) -> None:
        """Write a checkpoint.

        Raises:
            FishError: the disk is full or may not be written to.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        target = Path(path)
        made_folder(target.parent)
        write_bytes(target, content.getbuffer())
        self.epochs[target.resolve()] = checkpoint["epoch"] + 1
