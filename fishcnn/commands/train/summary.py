"""What a run ends with: numbers for a machine and a table for a person."""

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from fishcnn.models.scores import SCORES
from fishcnn.training.diagnosis import Verdict, report
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import finite


@dataclass(frozen=True)
class Summary:
    """The content of ``summary.json``.

    Attributes:
        best_epoch: epoch (from 1) of the kept checkpoint: lowest validation loss.
        epochs: how many were trained.
        scores: each of :data:`~fishcnn.models.scores.VAL_SCORES`, in the file under its own name;
            of the kept checkpoint. It was chosen on these images, which makes them slightly
            optimistic; ``last_val_acc``, of the last validation, is not chosen.
        val_acc_interval: 95% interval of ``val_acc``.
        val_pictures: how many images were validated on.
        last_val_acc: validation accuracy after the last epoch.
        seconds: from the settings to the numbers, without imports and figures.
        seconds_to_first_step: from the settings to the first training step: what has to be drawn,
            decoded, grouped and set up.
        train_images_per_second: median over the epochs.
        checkpoint: the kept checkpoint.
        classes: names in the order of the logits.
        diagnosis: names of the verdicts.
    """

    best_epoch: int
    epochs: int
    scores: dict[str, float]
    val_acc_interval: tuple[float, float]
    val_pictures: int
    last_val_acc: float
    seconds: float
    seconds_to_first_step: float
    train_images_per_second: float
    checkpoint: str
    classes: list[str]
    diagnosis: list[str]

    def write(self, file: Path) -> None:
        """Write ``summary.json``; NaN, which JSON does not know, becomes null."""
        content = asdict(self)
        content = finite(content | content.pop("scores"))
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        file.write_text(text + "\n", encoding="utf-8")


def print_summary(
    summary: Summary, verdicts: tuple[Verdict, ...], run: RunFolder, logdir: Path | None
) -> None:
    """Print the end of a run.

    Args:
        summary: the numbers.
        verdicts: the diagnosis.
        run: where its files are.
        logdir: folder for TensorBoard to show: the run, or the sweep that it belongs to; None
            without its logs.
    """
    console = Console()
    low, high = summary.val_acc_interval
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("best epoch", f"{summary.best_epoch} of {summary.epochs}")
    table.add_row(
        "validation accuracy",
        f"[bold]{summary.scores['val_acc']:.1%}[/bold]  (95% interval {low:.1%} to {high:.1%})",
    )
    table.add_row("last validation", f"{summary.last_val_acc:.1%}")
    # Accuracy, which is measured in training as well, stands above; the loss alone says little.
    for score in (score for score in SCORES if not score.in_training):
        value = summary.scores[f"val_{score.key}"]
        table.add_row(score.title, f"{value:.1%}" if score.is_share else f"{value:.3f}")
    table.add_row(
        "time",
        f"{summary.seconds:.0f} s, of which {summary.seconds_to_first_step:.1f} s before the first "
        f"step; {summary.train_images_per_second:.0f} training images/s",
    )
    console.print(table)
    console.print(Markdown(report(verdicts)))
    places = {"run": run.path, "checkpoint": summary.checkpoint, "figures": run.figures}
    if logdir:
        places["TensorBoard logs"] = run.path
    # Paths are printed raw: a table would cut them, and they are there to be copied.
    for name, place in places.items():
        console.print(f"{name}: {place}", soft_wrap=True, markup=False, highlight=False)
    if logdir:
        logs = shlex.quote(str(logdir))
        command = f"tensorboard --logdir {logs} --samples_per_plugin images=200"
        console.print("\nSee where the network looks, epoch by epoch:")
        console.print(f"  {command}", soft_wrap=True, markup=False, highlight=False)
