"""The checkpoint with the lowest validation loss, also over a fit that was interrupted."""

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_only

from fishcnn.models.scores import MONITOR
from fishcnn.utils.files import made_folder, write_bytes
from fishcnn.utils.run_folder import BEST_CHECKPOINT, RunFolder


class BestCheckpoint(ModelCheckpoint):
    """Keep the best checkpoint, and take it along when a run is continued in another folder.

    Lightning forgets the best checkpoint of another folder, so that the best of a continued run
    would be the best of its last part only.
    Beside ``resumed``, the checkpoint that the run goes on from, lies its best one.
    """

    def __init__(self, folder: RunFolder, *, resumed: Path | None = None) -> None:
        self.here = folder.best_checkpoint
        self.earlier = resumed.with_name(BEST_CHECKPOINT) if resumed else self.here
        super().__init__(
            self.here.parent,
            filename=self.here.stem,
            monitor=MONITOR,
            # After History has added the epoch; at the end of a validation it would be too early.
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy the best checkpoint so far into this folder."""
        if self.earlier.is_file():
            if self.earlier.resolve() != self.here.resolve():
                _copy(self.earlier, self.here)
            best = str(self.here)
            state_dict = {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": best,
                "best_k_models": {best: state_dict["best_model_score"]},
                "kth_best_model_path": best,
            }
        super().load_state_dict(state_dict)
        self.current_score = state_dict.get("current_score")


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    made_folder(target.parent)
    write_bytes(target, source.read_bytes())
