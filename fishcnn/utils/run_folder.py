"""The names of the files in a run folder: the one place that knows them."""

from dataclasses import dataclass
from pathlib import Path

from fishcnn.utils.files import found_below

CHECKPOINTS = "checkpoints"
BEST_CHECKPOINT, LAST_CHECKPOINT = "best.ckpt", "last.ckpt"
LAST = "last"  # in place of a run: the newest one that has a checkpoint
# In the folder of a sweep, beside its run folders: its results, its jobs, and Hydra's record.
SWEEP, SWEEP_MANIFEST, SWEEP_SETTINGS = "sweep.json", "manifest.json", "multirun.yaml"
# In the folder of a search, beside its run folders: what all processes know, who they are, and what
# has come of it.
JOURNAL, WORKERS, TUNED, SEARCH_FIGURES = "journal.log", "workers", "tuned.yaml", "figures"
# In the folder of an evaluation, which can be outside the run.
EVALUATION, EVALUATION_PREDICTIONS = "evaluation.json", "predictions.csv"
EVALUATION_PAGE = "report.html"
# In the folder of an explanation, which can be outside the run.
EXPLANATION_IMAGES, EXPLANATION_TABLE = "pictures", "explanations.csv"
EXPLANATION_SHEET, EXPLANATION_PAGE = "contact_sheet.png", "report.html"
EXPLANATION_MEASUREMENTS = "trust.json"
EXPLANATION_CURVES, EXPLANATION_EXAMPLES = "curves.png", "examples.png"
# Likewise, of a comparison of runs, which can be in the folder of a sweep.
COMPARISON = "comparison"
LEADERBOARD_PAGE, LEADERBOARD_TABLE, LEADERBOARD = (
    *("leaderboard.md", "leaderboard.csv"),
    "leaderboard.json",
)
PAIRS_TABLE = "pairs.csv"
# Likewise, of an export.
MODEL_CARD, EXPORT_SHEET, EXPORT_RESULTS = "MODEL_CARD.md", "grad_cam.png", "export.json"


@dataclass
class RunFolder:
    """Where the run in the folder ``path`` keeps what."""

    path: Path

    def __post_init__(self) -> None:
        self.checkpoints = self.path / CHECKPOINTS
        self.best_checkpoint = self.checkpoints / BEST_CHECKPOINT  # with the lowest validation loss
        self.last_checkpoint = self.checkpoints / LAST_CHECKPOINT  # from which a run goes on
        self.config = self.path / "config.yaml"
        # What was typed for the run. Hydra's own is rewritten by a start that is then refused.
        self.typed = self.path / "overrides.yaml"
        self.typed_last = self.path / ".hydra" / "overrides.yaml"
        self.composed = self.path / ".hydra" / "config.yaml"  # as Hydra has composed it
        self.state = self.path / "state.json"  # how far it is
        self.printed = self.path / "printed.txt"  # what a trial of a search has printed
        self.versions = self.path / "versions.json"
        self.split = self.path / "split.json"
        self.digests = self.path / "split_digests.npz"  # of the bytes of the images in the split
        self.labels = self.path / "corrected_labels.csv"  # what data.labels has changed
        self.data_report = self.path / "data.md"
        self.metrics = self.path / "metrics.csv"  # a row an epoch
        self.diagnosis = self.path / "diagnosis.md"
        self.validation = self.path / "validation.csv"  # a row a validation image, at the end
        self.summary = self.path / "summary.json"  # the numbers at the end
        self.figures = self.path / "figures"  # written before the summary
        self.explanations = self.path / "explanations"
        self.export = self.path / "export"

    @property
    def overrides(self) -> Path:
        """What was typed for the run; for one of an earlier version, Hydra's own record."""
        return self.typed if self.typed.is_file() else self.typed_last

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What is written before the first epoch, and again by the same command."""
        of_data = (self.split, self.digests, self.labels, self.data_report)
        return (self.config, self.typed, self.versions, *of_data)

    @classmethod
    def of(cls, checkpoint: Path) -> "RunFolder | None":
        """The run that a checkpoint lies in; None where it was moved out of its run."""
        run = cls(checkpoint.parents[1])
        return run if run.config.is_file() else None

    @staticmethod
    def newest_checkpoint_below(
        folder: Path, name: str = BEST_CHECKPOINT, *, but: Path | None = None
    ) -> Path | None:
        """The newest checkpoint of this name of all runs below a folder; None if there is none.

        Runs below the folder ``but`` do not count.
        """
        found = found_below(folder, f"{CHECKPOINTS}/{name}")
        if but is not None:
            apart = but.resolve()
            found = (path for path in found if not path.resolve().is_relative_to(apart))
        return max(found, key=_written, default=None)

    @classmethod
    def newest_below(cls, folder: Path, *, but: Path | None = None) -> "RunFolder | None":
        """The run below a folder that has got a checkpoint last; None if none has one.

        Runs below the folder ``but`` do not count.
        A run with nothing but its best one counts where there is no other: that may be a copy, from
        the run that it goes on with.
        """
        for name in (LAST_CHECKPOINT, BEST_CHECKPOINT):
            if newest := cls.newest_checkpoint_below(folder, name, but=but):
                return cls(newest.parents[1])
        return None

    @classmethod
    def below(cls, folder: Path) -> "list[RunFolder]":
        """Every run that Hydra has begun below a folder."""
        begun = cls(Path()).typed_last
        return [cls(path.parents[1]) for path in found_below(folder, begun.as_posix())]

    def events(self, name: str) -> Path:
        """Folder of TensorBoard's event files, after which it calls the run.

        Args:
            name: of that folder, unless an earlier start of the run has made one.
        """
        pattern = "events.out.tfevents.*"
        # Those of earlier versions lie in the run folder itself.
        begun = [*self.path.glob(pattern), *self.path.glob(f"*/{pattern}")]
        return begun[0].parent if begun else self.path / name

    def evaluation(self, judged: str) -> Path:
        """Folder of the evaluation on ``val``, ``test`` or another image folder of this name."""
        return self.path / "evaluation" / judged

    def evaluations(self) -> list[Path]:
        """The numbers of every evaluation, in the order of what was judged."""
        return sorted(self.path.glob(f"evaluation/*/{EVALUATION}"))

    def predictions(self, file_format: str) -> Path:
        """Table of predictions, as ``csv`` or ``jsonl``."""
        return self.path / f"predictions.{file_format}"


def _written(path: Path) -> float:
    """When a file was written, in seconds since 1970; before all others if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
