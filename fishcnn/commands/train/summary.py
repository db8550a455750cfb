"""What a run ends with: numbers for a machine and a table for a person."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from fishcnn.training.diagnosis import Verdict, report
from fishcnn.utils.text import finite


@dataclass(frozen=True)
class Summary:
    """The content of ``summary.json``.

    Attributes:
        best_epoch: epoch (from 1) of the kept checkpoint: lowest validation loss.
        epochs: how many were trained.
        val_acc, val_loss, val_f1, val_top3: of the kept checkpoint. It was chosen on these images,
            which makes them optimistic; ``last_val_acc``, of the last validation, is not chosen.
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
    val_acc: float
    val_acc_interval: tuple[float, float]
    val_pictures: int
    val_loss: float
    val_f1: float
    val_top3: float
    last_val_acc: float
    seconds: float
    seconds_to_first_step: float
    train_images_per_second: float
    checkpoint: str
    classes: list[str]
    diagnosis: list[str]

    def write(self, file: Path) -> None:
        """Write ``summary.json``, with null for NaN."""
        text = json.dumps(finite(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False)
        file.write_text(text + "\n", encoding="utf-8")


def print_summary(
    summary: Summary, verdicts: tuple[Verdict, ...], places: Mapping[str, Path], logdir: Path
) -> None:
    """Print the end of a run.

    Args:
        summary: the numbers.
        verdicts: the diagnosis.
        places: what to look at, and where it is; "TensorBoard logs" if there are any.
        logdir: folder for TensorBoard to show: the run, or the sweep that it belongs to.
    """
    console = Console()
    low, high = summary.val_acc_interval
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("best epoch", f"{summary.best_epoch} of {summary.epochs}")
    table.add_row(
        "validation accuracy",
        f"[bold]{summary.val_acc:.1%}[/bold]  (95% interval {low:.1%} to {high:.1%})",
    )
    table.add_row("last validation", f"{summary.last_val_acc:.1%}")
    table.add_row("macro F1, top-3", f"{summary.val_f1:.3f}, {summary.val_top3:.1%}")
    table.add_row(
        "time",
        f"{summary.seconds:.0f} s, of which {summary.seconds_to_first_step:.1f} s before the first "
        f"step; {summary.train_images_per_second:.0f} training images/s",
    )
    console.print(table)
    console.print(Markdown(report(verdicts)))
    # Paths are printed raw: a table would cut them, and they are there to be copied.
    for name, place in places.items():
        console.print(f"{name}: {place}", soft_wrap=True, markup=False, highlight=False)
    if "TensorBoard logs" in places:
        logs = shlex.quote(str(logdir))
        command = f"tensorboard --logdir {logs} --samples_per_plugin images=200"
        console.print("\nSee where the network looks, epoch by epoch:")
        console.print(f"  {command}", soft_wrap=True, markup=False, highlight=False)
