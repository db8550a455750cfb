"""What a person is shown at the end of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markdown import Markdown

from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.models.scores import SCORES
from fishcnn.training.diagnosis import Verdict, report
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import for_shells, interval_95, percent


def _about_accuracy(summary: Mapping[str, Any]) -> str:
    """The interval of the accuracy, and whether guessing does as well."""
    ends, classes = summary["val_acc_interval"], len(summary["classes"])
    if ends[0] > 1 / classes:
        return interval_95(ends)
    guess = f"guessing among {classes} classes, {percent(1 / classes)}"
    return f"{interval_95(ends)}; not clearly above {guess}"


def print_summary(
    summary: Mapping[str, Any], verdicts: Sequence[Verdict], run: RunFolder, logdir: Path | None
) -> None:
    """Print the content of ``summary.json``, the diagnosis and where the files are.

    TensorBoard shows ``logdir``: the run, or the sweep that it belongs to; None without logs.
    """
    console = Terminal()
    table = plain_table()
    table.add_row(
        "best epoch",
        f"{summary['best_epoch']} of {summary['epochs']}, by its validation loss, the lowest",
    )
    table.add_row(
        "validation accuracy",
        f"[bold]{percent(summary['val_acc'])}[/bold]  ({_about_accuracy(summary)})",
    )
    table.add_row("after the last epoch", percent(summary["last_val_acc"]))
    # Accuracy, which is measured in training as well, stands above; the loss alone says little.
    classes = len(summary["classes"])
    for score in (score for score in SCORES if not score.in_training and score.tells(classes)):
        value = summary[f"val_{score.key}"]
        table.add_row(score.title, percent(value) if score.is_share else f"{value:.3f}")
    table.add_row(
        "time",
        f"{summary['seconds']:.0f} s, of which {summary['seconds_to_first_step']:.1f} s before the "
        f"first step; {summary['train_images_per_second']:.0f} training images/s",
    )
    console.print(table)
    console.print(Markdown(report(verdicts)))
    lines = [f"run: {run.path}", f"checkpoint: {summary['checkpoint']}", f"figures: {run.figures}"]
    if logdir:
        lines += [
            f"TensorBoard logs: {run.path}",
            "\nSee where the network looks, epoch by epoch:",
            f"  tensorboard --logdir {for_shells([str(logdir)])} --samples_per_plugin images=200",
        ]
    print_raw(console, lines)
