"""The names of the files in a run folder: the one place that knows them."""

from dataclasses import dataclass
from pathlib import Path

CHECKPOINTS = "checkpoints"
BEST_CHECKPOINT, LAST_CHECKPOINT = "best.ckpt", "last.ckpt"
SWEEP = "sweep.json"  # in the folder of a sweep, beside its run folders


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def of(cls, checkpoint: Path) -> "RunFolder | None":
        """The run that a checkpoint lies in; None where it was moved out of its run."""
        run = cls(checkpoint.parents[1])
        return run if run.config.is_file() else None

    @staticmethod
    def newest_checkpoint_below(folder: Path, name: str = BEST_CHECKPOINT) -> Path | None:
        """The newest checkpoint of this name of all runs below a folder; None if there is none."""
        found = folder.rglob(f"{CHECKPOINTS}/{name}")
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    @classmethod
    def below(cls, folder: Path) -> "list[RunFolder]":
        """Every run that Hydra has begun below a folder."""
        begun = cls(Path()).overrides
        return [cls(path.parents[1]) for path in folder.rglob(begun.as_posix())]

    @property
    def checkpoints(self) -> Path:
        """Folder of the two checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def best_checkpoint(self) -> Path:
        """The epoch with the lowest validation loss."""
        return self.checkpoints / BEST_CHECKPOINT

    @property
    def last_checkpoint(self) -> Path:
        """The latest epoch, from which a run goes on."""
        return self.checkpoints / LAST_CHECKPOINT

    @property
    def config(self) -> Path:
        """The composed configuration."""
        return self.path / "config.yaml"

    @property
    def overrides(self) -> Path:
        """What was typed, as Hydra has written it down."""
        return self.path / ".hydra" / "overrides.yaml"

    @property
    def versions(self) -> Path:
        """Versions of the packages."""
        return self.path / "versions.json"

    @property
    def split(self) -> Path:
        """Which image is in which split."""
        return self.path / "split.json"

    @property
    def data_report(self) -> Path:
        """What was found in the image folder."""
        return self.path / "data.md"

    @property
    def metrics(self) -> Path:
        """A row an epoch."""
        return self.path / "metrics.csv"

    @property
    def diagnosis(self) -> Path:
        """What the curves say."""
        return self.path / "diagnosis.md"

    @property
    def summary(self) -> Path:
        """The numbers at the end of a run."""
        return self.path / "summary.json"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.path / "figures"

    def evaluation(self, judged: str) -> Path:
        """Folder of one evaluation.

        Args:
            judged: ``val``, ``test``, or the name of another image folder.
        """
        return self.path / "evaluation" / judged

    @property
    def explanations(self) -> Path:
        """Folder of what ``explain`` draws and measures."""
        return self.path / "explanations"

    @property
    def export(self) -> Path:
        """Folder of the exported network and its card."""
        return self.path / "export"

    def predictions(self, file_format: str) -> Path:
        """Table of predictions.

        Args:
            file_format: ``csv`` or ``jsonl``.
        """
        return self.path / f"predictions.{file_format}"
