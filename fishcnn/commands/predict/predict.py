"""The prediction: classify any number of pictures and write a row for each."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
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
from rich.table import Table

from fishcnn.commands.build import build_source
from fishcnn.commands.image_paths import STANDARD_INPUT, image_paths
from fishcnn.commands.predict.partial_output import PartialOutput
from fishcnn.commands.predict.prediction_rows import CsvRows, JsonRows
from fishcnn.commands.predict.prediction_stream import UNKNOWN, Predictor, stream
from fishcnn.commands.trained_run import (
    best_device,
    find_trained,
    load_trained,
    run_config,
    run_folder,
)
from fishcnn.utils.errors import FishError
from fishcnn.utils.text import printable

_FORMATS = ("csv", "jsonl")
_SHOWN_CLASSES = 5
# What a shell reports of a program that was ended by Ctrl-C.
_INTERRUPTED = 130


@dataclass(frozen=True)
class _Input:
    """The pictures that are meant.

    Attributes:
        paths: one at a time.
        total: how many; None for standard input, which tells nobody.
        source: for the check whether an interrupted prediction had the same.
    """

    paths: Iterator[str]
    total: int | None
    source: str


def predict(config: DictConfig) -> None:
    """Classify pictures as the configuration says, and write a row for each.

    Args:
        config: ``conf/predict.yaml``.

    Raises:
        FishError: a setting, the checkpoint or the pictures are at fault, or none of the pictures
            can be read; the message says which.
        SystemExit: with status 130, after Ctrl-C.
    """
    _check(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    output, row_format = _output(config, checkpoint)
    pictures = _pictures(config, checkpoint)
    classifier = load_trained(checkpoint, best_device())
    top_k = min(config.top_k, len(classifier.classes))
    settings = {
        "ckpt": _digest(checkpoint),
        "input": pictures.source,
        "format": row_format,
        "threshold": config.threshold,
        "top_k": top_k,
    }
    rows = CsvRows(top_k) if row_format == "csv" else JsonRows()
    partial = PartialOutput(output, rows, settings)
    partial.open(pictures.paths, resume=config.resume, batch_size=config.batch_size)
    before, start = partial.total, time.perf_counter()
    with partial:
        predictor = Predictor(classifier, threshold=config.threshold, top_k=top_k)
        batches = stream(
            predictor.rows,
            pictures.paths,
            batch_size=config.batch_size,
            workers=os.cpu_count() or 1 if config.workers is None else config.workers,
        )
        try:
            with closing(batches), _progress() as progress:
                bar = progress.add_task("Predicting", total=pictures.total, completed=before)
                for batch in batches:
                    partial.write(batch)
                    progress.advance(bar, len(batch))
        except KeyboardInterrupt:
            _say_how_to_go_on(partial)
            raise SystemExit(_INTERRUPTED) from None
        if not partial.total:
            raise FishError(f"input={config.input}: there is no picture")
        partial.finish()
    _print_summary(partial, before, time.perf_counter() - start, checkpoint, config.threshold)
    if partial.labels[""] == partial.total:
        raise FishError(
            f"none of the {partial.total} pictures can be read; {printable(str(output))} says why"
        )


def _check(config: DictConfig) -> None:
    """Check the settings before anything is read."""
    for name, value, low in (
        ("top_k", config.top_k, 1),
        ("batch_size", config.batch_size, 1),
        ("workers", 1 if config.workers is None else config.workers, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise FishError(f"{name}={value}: wanted a whole number, {low} or more")
    threshold = config.threshold
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise FishError(f"threshold={threshold}: wanted a number from 0 to 1")
    if not 0 <= threshold <= 1:
        raise FishError(f"threshold={threshold}: wanted a number from 0 to 1")
    if config.format not in (None, *_FORMATS):
        raise FishError(f"format={config.format}: there is {', '.join(_FORMATS)}")
    if not isinstance(config.resume, bool):
        raise FishError(f"resume={config.resume}: wanted true or false")


def _output(config: DictConfig, checkpoint: Path) -> tuple[Path, str]:
    """Where the rows go, and their format."""
    if config.output is None:
        chosen = config.format or "csv"
        return (run_folder(checkpoint) or Path.cwd()) / f"predictions.{chosen}", chosen
    output = Path(config.output).expanduser().absolute()
    if output.is_dir():
        raise FishError(f"output={config.output} is a folder: name a file in it")
    chosen = config.format or output.suffix[1:]
    # Nobody wants a picture replaced by a mistaken output=.
    if chosen not in _FORMATS:
        raise FishError(
            f"output={config.output}: wanted a name that ends in .csv or .jsonl, or format=csv or "
            "format=jsonl beside it"
        )
    return output, chosen


def _pictures(config: DictConfig, checkpoint: Path) -> _Input:
    if config.input is None:
        paths = _validation_paths(checkpoint)
        return _Input(iter(paths), len(paths), "validation pictures")
    if config.input == STANDARD_INPUT:
        return _Input(image_paths(config.input), None, STANDARD_INPUT)
    # Names alone are counted quickly, and a bar that knows its end is worth it.
    total = sum(1 for _ in image_paths(config.input))
    if not total:
        raise FishError(f"input={config.input}: there is no picture")
    source = printable(os.path.abspath(os.path.expanduser(config.input)))
    return _Input(image_paths(config.input), total, source)


def _validation_paths(checkpoint: Path) -> list[str]:
    """The pictures that a run held out, as its split.json says."""
    run = checkpoint.parents[1]
    root = build_source(run_config(checkpoint).data).folders().root
    if not root.is_dir():
        raise FishError(f"data.root={root} of {run} is gone: name other pictures by input=")
    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    return [str(root / path) for path in split["val"]]


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


def _say_how_to_go_on(partial: PartialOutput) -> None:
    message = "interrupted before the first picture was done"
    if partial.total:
        message = f"interrupted after {partial.total} pictures: go on by adding resume=true"
    print(message, file=sys.stderr)


def _print_summary(
    partial: PartialOutput, before: int, seconds: float, checkpoint: Path, threshold: float
) -> None:
    """Print the end of a prediction."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("pictures", f"[bold]{partial.total:,}[/bold]")
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
    # Paths are printed raw: a table would cut them, and they are there to be copied.
    for what, path in (("checkpoint", checkpoint), ("predictions", partial.output)):
        line = f"{what}: {printable(str(path))}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
