"""Classify any number of images and write a row for each."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from omegaconf import DictConfig
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TimeRemainingColumn,
)

from fishcnn.commands.command_line import retyped
from fishcnn.commands.image_paths import STREAM, count_images, image_paths
from fishcnn.commands.images_of_run import validation_files, warn_unused
from fishcnn.commands.output_folder import new_folder, nothing_written
from fishcnn.commands.predict.partial_output import PartialOutput
from fishcnn.commands.predict.prediction_rows import CsvRows, JsonRows
from fishcnn.commands.predict.prediction_stream import UNKNOWN, Predictor, stream
from fishcnn.commands.predict.streamed_output import (
    StreamedOutput,
    is_standard_output,
    only_rows,
)
from fishcnn.commands.settings import check_settings
from fishcnn.commands.terminal import Terminal, plain_table, print_raw
from fishcnn.commands.trained_run import best_device, find_trained, load_trained
from fishcnn.utils import stopping
from fishcnn.utils.checks import choice, flag, number, optional, whole
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import regular_target
from fishcnn.utils.lock import locked
from fishcnn.utils.machine import usable_cpus, user_path
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import counted, percent, printable

_FORMATS = ("csv", "jsonl")
_SETTINGS = {
    "format": optional(choice(*_FORMATS)),
    "resume": flag,
    "threshold": number(0, 1),
    "top_k": whole(1),
    "batch_size": whole(1, 65536),
    "workers": optional(whole(1, 1024)),
}
_SHOWN_CLASSES = 5


def check_predict(config: DictConfig) -> None:
    """Check the settings of a prediction, or raise a FishError that names one."""
    check_settings(config, _SETTINGS)


def predict(config: DictConfig) -> None:
    """Classify images as the configuration says, and write a row for each.

    Raises:
        FishError: a setting, the checkpoint or the images are at fault, or none of the images can
            be read; the message says which.
        SystemExit: a signal has come, Ctrl-C for one.
        BrokenPipeError: nobody reads the rows any more.
    """
    check_predict(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    if config.output is not None and is_standard_output(config.output):
        if config.resume:
            raise FishError(
                f"output={config.output}: a stream cannot be resumed; leave out resume=true, or "
                "name a file by output="
            )
        with only_rows() as stream:
            _predict(config, checkpoint, stream, config.format or _FORMATS[0])
        return
    output, row_format = _output(config, checkpoint)
    with new_folder(output.parent), locked(output):
        _predict(config, checkpoint, output, row_format)


def _predict(config: DictConfig, checkpoint: Path, place: Path | BinaryIO, row_format: str) -> None:
    """Write the rows to a file that nobody else writes to, or to a stream."""
    said = nothing_written(place) if isinstance(place, Path) else lambda: "; nothing was written"
    with stopping.telling(said):
        paths, total, source, shown = _images(config, checkpoint)
        classifier = load_trained(checkpoint, best_device())
    top_k = min(config.top_k, len(classifier.classes))
    predictor = Predictor(classifier, threshold=config.threshold, top_k=top_k)
    if config.threshold and predictor.unknown != UNKNOWN:
        print(
            f"note: a class is called {UNKNOWN}, so the label of images below the threshold is "
            f'"{predictor.unknown}"',
            file=sys.stderr,
        )
    rows = CsvRows(top_k) if row_format == "csv" else JsonRows()
    output: PartialOutput | StreamedOutput
    if isinstance(place, Path):
        settings = {
            "ckpt": _digest(checkpoint),
            "input": source,
            "format": row_format,
            "threshold": config.threshold,
            "top_k": top_k,
        }
        output = PartialOutput(place, rows, settings)
    else:
        output = StreamedOutput(place, rows)
    with output:
        if isinstance(output, PartialOutput):
            output.open(paths, resume=config.resume, batch_size=config.batch_size)
        before, start = output.total, time.perf_counter()
        blank: list[str] = []
        batches = stream(
            predictor.rows,
            paths,
            batch_size=config.batch_size,
            workers=usable_cpus() if config.workers is None else config.workers,
        )
        try:
            with closing(batches), _progress() as progress:
                bar = progress.add_task("Predicting", total=total, completed=before)
                for batch in batches:
                    output.write(batch)
                    blank += [row.path for row in batch if row.blank]
                    progress.advance(bar, len(batch))
        except KeyboardInterrupt:
            done = (
                f"after {output.total} images"
                if output.total
                else "before the first image was done"
            )
            if output.total and output.resumable:
                done += f"; to go on: {retyped({'resume': 'true'})}"
            print(f"interrupted {done}", file=sys.stderr)
            raise SystemExit(stopping.exit_status()) from None
        if not output.total:
            raise FishError(f"input={config.input}: no image found")
        output.finish()
    _print_summary(output, before, time.perf_counter() - start, predictor, blank)
    replaced = ", in place of an earlier file" if output.replaced else ""
    written = f"predictions: {output.name}{replaced}"
    print_raw(Terminal(), (f"images: {shown}", f"checkpoint: {checkpoint}", written))
    if output.labels[""] == output.total:
        raise FishError(f"no image can be read; {printable(output.name)} says why")


def _output(config: DictConfig, checkpoint: Path) -> tuple[Path, str]:
    """Where the rows go, and their format."""
    if config.output is None:
        chosen = config.format or _FORMATS[0]
        run = RunFolder.of(checkpoint) or RunFolder(Path.cwd())
        return _target(run.predictions(chosen)), chosen
    output = user_path(config.output).absolute()
    if output.is_dir():
        raise FishError(f"output={config.output} is a folder: name a file in it")
    output = _target(output)
    chosen = config.format or output.suffix[1:]
    # Nobody wants an image replaced by a mistaken output=.
    if chosen not in _FORMATS:
        raise FishError(
            f"output={config.output}: wanted a name that ends in .csv or .jsonl, or format=csv or "
            "format=jsonl beside it"
        )
    return output, chosen


def _target(output: Path) -> Path:
    """The regular file that a link leads to."""
    folder = os.path.realpath(output.parent)
    # What /dev/stderr leads to is in use.
    if output.is_symlink() and (folder == "/dev" or folder.startswith("/proc")):
        raise FishError(f"output={output}: name a file, or {STREAM} for standard output")
    try:
        return regular_target(output)
    except FishError as error:
        raise FishError(f"output={error}, or {STREAM} for standard output") from error


def _images(config: DictConfig, checkpoint: Path) -> tuple[Iterator[str], int | None, str, str]:
    """The images to classify, how many they are if that is known, and where they come from.

    Where they come from is compared when an interrupted prediction goes on; the last one is that
    for people.
    """
    typed = config.input
    if typed is None:
        root, files = validation_files(checkpoint, config.data)
        said = f"the {counted(len(files), 'validation image')} of the run, in {root}"
        return iter(map(str, files)), len(files), "validation images", said
    warn_unused(config.data)
    total = count_images(typed)
    if typed == STREAM:
        return image_paths(typed), total, typed, "as listed on standard input"
    source = printable(os.path.abspath(os.path.expanduser(typed)))
    return image_paths(typed), total, source, source


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _progress() -> Progress:
    """A bar on a terminal, nothing in a log file."""
    console = Terminal(stderr=True)
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
    output: PartialOutput | StreamedOutput,
    before: int,
    seconds: float,
    predictor: Predictor,
    blank: Sequence[str],
) -> None:
    """Print the end of a prediction; of the ``blank`` images, which have one colour, the first."""
    table = plain_table()
    table.add_row("images", f"[bold]{output.total:,}[/bold]")
    if before:
        table.add_row("", f"{before:,} of them before the interruption")
    table.add_row("cannot be read", f"{output.labels['']:,}")
    if blank:
        example = escape(printable(Path(blank[0]).name))
        note = f"{len(blank):,}, such as {example}: their class means nothing"
        table.add_row("of one colour", note)
    if predictor.threshold:
        unknown = f"{predictor.unknown}, below {predictor.threshold:g}"
        table.add_row(unknown, f"{output.labels[predictor.unknown]:,}")
    named = [
        (name, count)
        for name, count in output.labels.most_common()
        if name in predictor.classifier.classes
    ]
    for row, (name, count) in enumerate(named[:_SHOWN_CLASSES]):
        share = f"{count:,}  ({percent(count / output.total)})"
        table.add_row("" if row else "most frequent", f"{escape(name)}  {share}")
    if len(named) > _SHOWN_CLASSES:
        table.add_row("", f"and {len(named) - _SHOWN_CLASSES} more classes")
    table.add_row("time", f"{seconds:.1f} s, {(output.total - before) / seconds:.0f} images/s")
    Terminal().print(table)
