"""What a sweep ends with: its jobs side by side, and the mean over folds or seeds.

Hydra loads this before any job, so nothing heavy may be imported here.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fishcnn.commands.command_line import instead
from fishcnn.commands.run_files import read_notes, read_overrides
from fishcnn.commands.run_state import DONE, RunState, read_state
from fishcnn.commands.train.manifest import read_manifest, seen
from fishcnn.commands.train.new_folders import nothing_came_of
from fishcnn.metrics.intervals import t_interval, wilson_interval
from fishcnn.utils import stopping
from fishcnn.utils.files import write_text
from fishcnn.utils.run_folder import SWEEP, SWEEP_MANIFEST, RunFolder
from fishcnn.utils.text import counted, interval_cell, percent

# These repeat a measurement rather than change what is measured; the first that varies counts.
_FOLD = "data.fold"
_REPEATS = (_FOLD, "seed")
_MOST_REASONS = 5
_NUMBERS = ("val_acc", "val_pictures", "val_loss", "best_epoch", "seconds")


@dataclass(frozen=True)
class Job:
    """A job of a sweep; the numbers are None where it has not finished.

    Attributes:
        folder: name of its folder in that of the sweep.
        overrides: values by setting, as typed.
        state: how far it is.
        reason: what has failed, by the manifest.
        val_acc, val_acc_interval, val_pictures, val_loss, best_epoch, seconds: of its
            ``summary.json``.
    """

    folder: str
    overrides: dict[str, str]
    state: RunState
    reason: str | None = None
    val_acc: float | None = None
    val_acc_interval: tuple[float, float] | None = None
    val_pictures: int | None = None
    val_loss: float | None = None
    best_epoch: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Repeated:
    """Jobs that differ only in the fold or the seed.

    Attributes:
        overrides: what they share and other jobs do not.
        jobs: folders of those that have finished.
        failed: folders of the others.
        val_acc: mean accuracy of the finished ones.
        val_acc_interval: 95% interval of that mean, see :func:`t_interval`; None for one job.
        val_loss: mean validation loss; None if one is not finite.
        pooled_val_acc, pooled_val_acc_interval, pooled_val_pictures: over all images that were held
            out in any fold, with the Wilson interval; None for seeds, which hold out the same ones.
    """

    overrides: dict[str, str]
    jobs: list[str]
    failed: list[str]
    val_acc: float | None = None
    val_acc_interval: tuple[float, float] | None = None
    val_loss: float | None = None
    pooled_val_acc: float | None = None
    pooled_val_acc_interval: tuple[float, float] | None = None
    pooled_val_pictures: int | None = None


def read_jobs(sweep: Path) -> list[Job]:
    """Read how far each job of a sweep is and what it has left, in order of job numbers.

    They are those of the manifest; where another sweeper has written none, those that have begun.
    """
    manifest = read_manifest(sweep) if (sweep / SWEEP_MANIFEST).is_file() else None
    if manifest:
        planned = [seen(sweep, job) for job in manifest.jobs]
        jobs = [
            replace(_read_job(sweep, job.folder, job.values, job.state), reason=job.reason)
            for job in planned
        ]
    else:
        jobs = [_read_begun(sweep, run) for run in RunFolder.below(sweep)]
    return sorted(
        jobs, key=lambda job: (int(job.folder) if job.folder.isdigit() else math.inf, job.folder)
    )


def _read_begun(sweep: Path, run: RunFolder) -> Job:
    typed = read_overrides(run, last=True)
    overrides = dict(override.lstrip("+").partition("=")[::2] for override in typed)
    # One of an earlier version has written its summary last.
    state = read_state(run) or (RunState.FINISHED if run.summary.is_file() else RunState.FAILED)
    return _read_job(sweep, run.path.relative_to(sweep).as_posix(), overrides, state)


def _read_job(sweep: Path, folder: str, overrides: dict[str, str], state: RunState) -> Job:
    if state != RunState.FINISHED:
        return Job(folder, overrides, state)
    found = read_notes(RunFolder(sweep / folder).summary)
    numbers = {name: _number(found.get(name)) for name in _NUMBERS}
    interval = found.get("val_acc_interval")
    both = [_number(end) for end in interval] if isinstance(interval, list) else []
    given = (both[0], both[1]) if len(both) == 2 and None not in both else None
    return Job(folder, overrides, state, val_acc_interval=given, **numbers)


def _number(value: object) -> Any:  # noqa: ANN401 - the fields are of two types
    return value if isinstance(value, int | float) else None


def differing(jobs: Sequence[Job]) -> list[str]:
    """Name the settings that not all jobs have in common, in the order in which they were typed."""
    names = dict.fromkeys(name for job in jobs for name in job.overrides)
    return [name for name in names if len({job.overrides.get(name) for job in jobs}) > 1]


def repeated(jobs: Sequence[Job]) -> tuple[str | None, list[Repeated]]:
    """Gather the jobs that differ only in the fold, or, if no fold differs, only in the seed.

    Returns:
        The setting, and a row for each choice of the others; None and no row if neither varies.
    """
    names = differing(jobs)
    over = next((name for name in _REPEATS if name in names), None)
    if over is None:
        return None, []
    others = [name for name in names if name != over]
    gathered: dict[tuple[str | None, ...], list[Job]] = {}
    for job in jobs:
        gathered.setdefault(tuple(map(job.overrides.get, others)), []).append(job)
    return over, [_gather(group, others, over) for group in gathered.values()]


def _gather(jobs: Sequence[Job], others: Sequence[str], over: str) -> Repeated:
    done = [job for job in jobs if job.val_acc is not None]
    accuracies = [job.val_acc for job in done if job.val_acc is not None]
    losses = [job.val_loss for job in done if job.val_loss is not None]
    sizes = [job.val_pictures for job in done if job.val_pictures is not None]
    pooled = over == _FOLD and bool(done) and len(sizes) == len(done)
    total = sum(sizes)
    hits = sum(round(a * n) for a, n in zip(accuracies, sizes, strict=True)) if pooled else 0
    return Repeated(
        overrides={name: jobs[0].overrides[name] for name in others if name in jobs[0].overrides},
        jobs=[job.folder for job in done],
        failed=[job.folder for job in jobs if job.val_acc is None],
        val_acc=statistics.fmean(accuracies) if done else None,
        val_acc_interval=t_interval(accuracies),
        val_loss=statistics.fmean(losses) if done and len(losses) == len(done) else None,
        pooled_val_acc=hits / total if pooled else None,
        pooled_val_acc_interval=wilson_interval(hits, total) if pooled else None,
        pooled_val_pictures=total if pooled else None,
    )


class CompareJobs(Callback):
    """Compare the jobs when a sweep ends.

    Hydra turns an error in here into a warning; what the jobs have written stays as it is.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """See :func:`compare_jobs`."""
        compare_jobs(Path(config.hydra.sweep.dir).absolute())


def compare_jobs(sweep: Path) -> None:
    """Print a table of the jobs, and write ``sweep.json`` into the folder of the sweep.

    Then comes the leaderboard, see :func:`fishcnn.commands.compare.compare.compare_sweep`, and at
    last the command that goes on with what is left.
    """
    jobs = read_jobs(sweep)
    if not jobs:
        return
    over, rows = repeated(jobs)
    content = {
        "differing": differing(jobs),
        "jobs": [asdict(job) for job in jobs],
        "repeated_over": over,
        "repeated": [asdict(row) for row in rows],
    }
    nothing_came = all(nothing_came_of(sweep / job.folder) for job in jobs)
    if nothing_came and stopping.stopped_by():
        return  # what begins it again was said just now
    _print_table(jobs)
    if nothing_came:
        return
    file = sweep / SWEEP
    write_text(file, json.dumps(content, indent=1, allow_nan=False) + "\n")
    # Raw, as a table would cut it.
    print(f"sweep: {file}")
    if any(job.state == RunState.FINISHED for job in jobs):
        from fishcnn.commands.compare.compare import compare_sweep

        # Without folds and seeds the leaderboard would be the table of the jobs in another order.
        compare_sweep(sweep, rows=30 if over else 0)
    left = [job for job in jobs if job.state not in DONE]
    if left and (sweep / SWEEP_MANIFEST).is_file():
        from fishcnn.commands.terminal import Terminal, print_raw

        again = instead({"sweep.resume": str(sweep)})
        print_raw(Terminal(), ["", *_left(left, len(jobs)), f"  {again}"])  # the last one is typed


def _left(left: Sequence[Job], count: int) -> list[str]:
    """Say what is left of so many jobs, and why some have failed."""
    failed = [job for job in left if job.state == RunState.FAILED]
    lines = [f"job {job.folder} has failed: {job.reason}" for job in failed if job.reason]
    if len(lines) > _MOST_REASONS:
        lines[_MOST_REASONS:] = [f"and {len(lines) - _MOST_REASONS} more"]
    jobs = f"{len(left)} of {counted(count, 'job')}"
    if running := sum(job.state == RunState.RUNNING for job in left):
        elsewhere = f"{running} in another process; to go on when that has ended:"
        return [*lines, f"{jobs} left to do, {elsewhere}"]
    if len(failed) == len(left):  # which would fail again
        return [*lines, f"{jobs} failed; to try again when the cause is mended:"]
    return [*lines, f"{jobs} left to do; to go on:"]


def _print_table(jobs: Sequence[Job]) -> None:
    from fishcnn.commands.terminal import fitted_table, terminal_for_tables

    console = terminal_for_tables()
    names = differing(jobs)
    head = ("job", "overrides", "val acc", "95% interval", "val loss", "best epoch", "time")
    rows = [
        [
            job.folder,
            _typed(job.overrides, names),
            str(job.state) if job.val_acc is None else percent(job.val_acc),
            interval_cell(job.val_acc_interval),
            # A loss that is not finite is null in the summary.
            "" if job.val_loss is None else f"{job.val_loss:.4f}",
            "" if job.best_epoch is None else str(job.best_epoch),
            "" if job.seconds is None else f"{job.seconds:.0f} s",
        ]
        for job in jobs
    ]
    console.print("Jobs of this sweep; best epoch: lowest val loss; 95% interval: on other images")
    spare = ("best epoch", "time", "val loss")
    console.print(fitted_table(head, rows, console.width, ("job", "overrides"), spare))


def _typed(overrides: Mapping[str, str], names: Sequence[str]) -> str:
    """Overrides as they are typed, but for those that are not given."""
    return " ".join(f"{name}={overrides[name]}" for name in names if name in overrides)
