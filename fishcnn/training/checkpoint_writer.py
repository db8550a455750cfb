"""How checkpoints get onto the disk: whole, or not at all."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_fabric.utilities.types import _PATH

from fishcnn.utils.files import made_folder, write_bytes


class Progress(NamedTuple):
    """How far a fit was when a checkpoint was written.

    Attributes:
        steps: optimizer steps.
        epochs: whole ones.
        within: whether another epoch was begun.
    """

    steps: int
    epochs: int
    within: bool

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> "Progress":
        """Of the content of a checkpoint.

        Raises:
            LookupError: Lightning has not written it.
        """
        begun = checkpoint["epoch"] + 1
        # Lightning's count of the epoch is the same within it and at its end.
        done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        return cls(checkpoint["global_step"], min(begun, done), done < begun)

    def __str__(self) -> str:
        if self.within:
            return f"step {self.steps}, in epoch {self.epochs + 1}"
        return f"epoch {self.epochs}"


class CheckpointWriter(TorchCheckpointIO):
    """Write checkpoints beside their target and rename them, see :func:`write_bytes`.

    Lightning writes into the temporary folder and moves the file from there. Where that is another
    disk, the move is a copy, and a kill within it leaves half a checkpoint in place of a whole one.

    Attributes:
        written: how far a fit was at the checkpoints of this process, by path without symbolic
            links, which Lightning follows.
    """

    def __init__(self) -> None:
        self.written: dict[Path, Progress] = {}

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
        self.written[target.resolve()] = Progress.of(checkpoint)
