"""Classify any number of images and write a row for each."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TimeRemainingColumn,
)

from fishcnn.commands.build import build_source
from fishcnn.commands.image_paths import STANDARD_INPUT, count_images, image_paths
from fishcnn.commands.predict.partial_output import PartialOutput
from fishcnn.commands.predict.prediction_rows import CsvRows, JsonRows
from fishcnn.commands.predict.prediction_stream import UNKNOWN, Predictor, stream
from fishcnn.commands.run_files import read_split
from fishcnn.commands.settings import check_settings
from fishcnn.commands.terminal import plain_table, print_raw
from fishcnn.commands.trained_run import best_device, find_trained, load_trained, run_config
from fishcnn.utils.checks import choice, flag, number, optional, text, whole
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import usable_cpus, user_path
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import printable

_FORMATS = ("csv", "jsonl")
_SETTINGS = {
    "ckpt": optional(text),
    "runs": text,
    "input": optional(text),
    "output": optional(text),
    "format": optional(choice(*_FORMATS)),
    "resume": flag,
    "threshold": number(0, 1),
    "top_k": whole(1),
    "batch_size": whole(1, 65536),
    "workers": optional(whole(1, 1024)),
}
_SHOWN_CLASSES = 5
# What a shell reports of a program that was ended by Ctrl-C.
_INTERRUPTED = 130


def check_predict(config: DictConfig) -> None:
    """Check the settings of a prediction, or raise a FishError that names one."""
    check_settings(config, _SETTINGS)


def predict(config: DictConfig) -> None:
    """Classify images as the configuration says, and write a row for each.

    Raises:
        FishError: a setting, the checkpoint or the images are at fault, or none of the images can
            be read; the message says which.
        SystemExit: with status 130, after Ctrl-C.
    """
    check_predict(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    output, row_format = _output(config, checkpoint)
    paths, total, source = _images(config.input, checkpoint)
    classifier = load_trained(checkpoint, best_device())
    top_k = min(config.top_k, len(classifier.classes))
    settings = {
        "ckpt": _digest(checkpoint),
        "input": source,
        "format": row_format,
        "threshold": config.threshold,
        "top_k": top_k,
    }
    rows = CsvRows(top_k) if row_format == "csv" else JsonRows()
    partial = PartialOutput(output, rows, settings)
    partial.open(paths, resume=config.resume, batch_size=config.batch_size)
    before, start = partial.total, time.perf_counter()
    with partial:
        batches = stream(
            Predictor(classifier, threshold=config.threshold, top_k=top_k).rows,
            paths,
            batch_size=config.batch_size,
            workers=usable_cpus() if config.workers is None else config.workers,
        )
        try:
            with closing(batches), _progress() as progress:
                bar = progress.add_task("Predicting", total=total, completed=before)
                for batch in batches:
                    partial.write(batch)
                    progress.advance(bar, len(batch))
        except KeyboardInterrupt:
            done = "before the first image was done"
            if partial.total:
                done = f"after {partial.total} images: go on by adding resume=true"
            print(f"interrupted {done}", file=sys.stderr)
            raise SystemExit(_INTERRUPTED) from None
        if not partial.total:
            raise FishError(f"input={config.input}: no image found")
        partial.finish()
    _print_summary(partial, before, time.perf_counter() - start, checkpoint, config.threshold)
    if partial.labels[""] == partial.total:
        raise FishError(f"no image can be read; {printable(str(output))} says why")


def _output(config: DictConfig, checkpoint: Path) -> tuple[Path, str]:
    """Where the rows go, and their format."""
    if config.output is None:
        chosen = config.format or _FORMATS[0]
        return (RunFolder.of(checkpoint) or RunFolder(Path.cwd())).predictions(chosen), chosen
    output = user_path(config.output).absolute()
    if output.is_dir():
        raise FishError(f"output={config.output} is a folder: name a file in it")
    chosen = config.format or output.suffix[1:]
    # Nobody wants an image replaced by a mistaken output=.
    if chosen not in _FORMATS:
        raise FishError(
            f"output={config.output}: wanted a name that ends in .csv or .jsonl, or format=csv or "
            "format=jsonl beside it"
        )
    return output, chosen


def _images(typed: str | None, checkpoint: Path) -> tuple[Iterator[str], int | None, str]:
    """The images to classify, how many they are if that is known, and where they come from.

    Where they come from is compared when an interrupted prediction goes on.
    """
    if typed is None:
        paths = _validation_paths(checkpoint)
        return iter(paths), len(paths), "validation images"
    total = count_images(typed)
    source = typed
    if typed != STANDARD_INPUT:
        source = printable(os.path.abspath(os.path.expanduser(typed)))
    return image_paths(typed), total, source


def _validation_paths(checkpoint: Path) -> list[str]:
    """The images that a run held out, as its split.json says."""
    root = build_source(run_config(checkpoint).data).folders().root
    run = RunFolder.of(checkpoint)
    assert run is not None
    if not root.is_dir():
        raise FishError(
            f"data.root={root} of {run.path} no longer exists: name other images by input="
        )
    return [str(root / path) for path in read_split(run)["val"]]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _progress() -> Progress:
    """A bar on a terminal, nothing in a log file."""
    console = Console(stderr=True)
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _print_summary(
    partial: PartialOutput, before: int, seconds: float, checkpoint: Path, threshold: float
) -> None:
    """Print the end of a prediction."""
    table = plain_table()
    table.add_row("images", f"[bold]{partial.total:,}[/bold]")
    if before:
        table.add_row("", f"{before:,} of them before the interruption")
    table.add_row("cannot be read", f"{partial.labels['']:,}")
    if threshold:
        table.add_row(f"unknown, below {threshold:g}", f"{partial.labels[UNKNOWN]:,}")
    named = [
        (name, count) for name, count in partial.labels.most_common() if name not in ("", UNKNOWN)
    ]
    for row, (name, count) in enumerate(named[:_SHOWN_CLASSES]):
        share = f"{count:,}  ({count / partial.total:.1%})"
        table.add_row("" if row else "most frequent", f"{escape(name)}  {share}")
    if len(named) > _SHOWN_CLASSES:
        table.add_row("", f"and {len(named) - _SHOWN_CLASSES} more classes")
    table.add_row("time", f"{seconds:.1f} s, {(partial.total - before) / seconds:.0f} images/s")
    console = Console()
    console.print(table)
    print_raw(console, (f"checkpoint: {checkpoint}", f"predictions: {partial.output}"))
