"""The checkpoint with the lowest validation loss, also over a fit that was interrupted."""

import shutil
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Keep ``best.ckpt``, and take it along when a run is continued in another folder.

    Lightning forgets the best checkpoint of another folder, so that the best of a continued run
    would be the best of its last part only.

    Args:
        folder: where ``best.ckpt`` goes.
        monitor: metric whose lowest value is the best.
        resumed: the checkpoint that the run goes on from, with ``best.ckpt`` beside it.
    """

    def __init__(self, folder: Path, *, monitor: str, resumed: Path | None) -> None:
        super().__init__(
            folder,
            filename="best",
            monitor=monitor,
            # After History has added the epoch; at the end of a validation it would be too early.
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.folder = folder
        self.resumed = resumed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy the best checkpoint so far into this folder."""
        here = self.folder / "best.ckpt"
        earlier = self.resumed.parent / "best.ckpt" if self.resumed else here
        if earlier.is_file():
            here.parent.mkdir(parents=True, exist_ok=True)
            if earlier.resolve() != here.resolve():
                shutil.copy(earlier, here)
            state_dict = {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": str(here),
                "best_k_models": {str(here): state_dict["best_model_score"]},
                "kth_best_model_path": str(here),
            }
        super().load_state_dict(state_dict)
