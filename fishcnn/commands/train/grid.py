"""The sweeper: which jobs of a grid are left to do, and in which folders.

Loaded before any job, so nothing heavy may be imported here.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from fishcnn.commands.command_line import instead, retyped
from fishcnn.commands.launched import processes_of, words_before
from fishcnn.commands.overrides import quote_values
from fishcnn.commands.run_state import DONE, RunState
from fishcnn.commands.train import new_folders
from fishcnn.commands.train.changed_settings import check_place, check_unchanged, find_job
from fishcnn.commands.train.manifest import (
    Manifest,
    PlannedJob,
    read_manifest,
    seen,
    settings_of_job,
    state_of,
)
from fishcnn.commands.train.resumed_sweep import goes_on_by_name
from fishcnn.commands.train.sweep import compare_jobs
from fishcnn.utils import stopping
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import made_folder
from fishcnn.utils.lock import locked
from fishcnn.utils.run_folder import SWEEP_SETTINGS, RunFolder
from fishcnn.utils.text import counted

log = logging.getLogger(__name__)

# Hydra loads what is in there a second time, so nothing of it is imported before it is used.
_CORE = "hydra._internal.core_plugins"


def install() -> None:
    """Let sweeps go on: what Hydra calls its basic sweeper is :class:`GridSweeper` from now on.

    Hydra takes sweepers from a package called hydra_plugins alone, which would have to be installed
    beside this one.
    """
    Plugins.instance().class_name_to_class[f"{_CORE}.basic_sweeper.BasicSweeper"] = GridSweeper


class GridSweeper(Sweeper):
    """Hydra's basic sweeper for sweeps that go on.

    The jobs are in the manifest of the sweep. Those that are finished are not launched again, and
    each keeps its folder however the grid changes.

    Args:
        max_batch_size: how many jobs are launched at a time; None is all.
        params: further settings, whose values may be swept over.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        self._batch_size = max_batch_size
        self._params = params or {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over."""
        self._context, self._composed = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:  # noqa: ANN401 - as Hydra says
        """Do what is left of the grid.

        Raises:
            FishError: another process works on the sweep, its folder holds something else, or the
                settings outside of the grid have changed.
            SystemExit: some of these jobs are not done, in whichever process they were.
        """
        sweep = Path(self._composed.hydra.sweep.dir).absolute()
        if RunFolder(sweep).config.is_file():
            raise FishError(f"hydra.sweep.dir: {sweep} holds a single run; choose another folder")
        made_folder(sweep)
        with stopping.raising(), ExitStack() as stack:
            try:
                stack.enter_context(locked(sweep))
            except FishError:
                new_folders.forget()  # those that come meanwhile are the other's
                raise
            stack.enter_context(processes_of(self._launcher))
            return self._sweep(sweep, arguments)

    def _sweep(self, sweep: Path, arguments: Sequence[str]) -> list[Any]:
        manifest = read_manifest(sweep) or Manifest()
        manifest.place = manifest.place or str(Path.cwd())  # of a sweep of an earlier version
        jobs = self._plan(sweep, manifest, arguments)
        hydras = OmegaConf.to_container(self._composed.hydra.overrides.hydra, resolve=False)
        assert isinstance(hydras, list)
        of_start = ("hydra.mode=", "hydra.sweep.dir=")
        manifest.typed = [*(str(one) for one in hydras if not one.startswith(of_start)), *arguments]
        _note(sweep, manifest)
        OmegaConf.save(self._composed, sweep / SWEEP_SETTINGS)
        left = [job for job in jobs if _is_left(sweep, job)]
        if len(left) < len(jobs):
            log.info("%d of %s left to do in %s", len(left), counted(len(jobs), "job"), sweep)
        returns = []
        try:
            with stopping.telling(partial(_again, sweep)):
                places = {job.folder: place for place, job in enumerate(manifest.jobs)}
                numbers = {job.folder: _number(job, places[job.folder]) for job in left}
                for batch in self._batches(left, numbers):
                    returns.append(self._launch(batch, numbers[batch[0].folder]))
                    stopping.check_stopped()
        except BaseException:
            with suppress(FishError, OSError):  # what has gone wrong is to be told
                _note(sweep, manifest)
                compare_jobs(sweep)
            raise
        _note(sweep, manifest)
        if any(state_of(sweep, job) not in DONE for job in jobs):
            try:  # what Hydra does where a sweep returns
                compare_jobs(sweep)
            except (FishError, OSError) as error:
                log.warning("The jobs cannot be compared: %s", error)
            sys.exit(1)
        return returns

    def _plan(self, sweep: Path, manifest: Manifest, arguments: Sequence[str]) -> list[PlannedJob]:
        """Find the jobs of a grid in the manifest, and put the new ones there.

        Returns:
            The jobs of the grid, each once; before them all others of the manifest where the sweep
            goes on by its name.
        """
        grid = self._grid(arguments)
        composed = [self._compose(overrides) for overrides in grid]
        wanted = [
            PlannedJob("", overrides, settings_of_job(config))
            for overrides, config in zip(grid, composed, strict=True)
        ]
        earlier = []
        if goes_on_by_name():
            typed = {frozenset(overrides) for overrides in grid}
            earlier = [job for job in manifest.jobs if frozenset(job.overrides) not in typed]
        again = [
            replace(job, settings=settings_of_job(self._compose(job.overrides))) for job in earlier
        ]
        check_unchanged(sweep, manifest.jobs, again)
        check_unchanged(sweep, manifest.jobs, wanted)
        check_place(sweep, manifest.place, wanted)
        jobs = {job.folder: job for job in earlier}
        for position, (job, config) in enumerate(zip(wanted, composed, strict=True)):
            job = find_job(manifest.jobs, job) or self._placed(
                sweep, manifest, job, config, position
            )
            manifest.put(job)
            jobs[job.folder] = job
        return [*jobs.values()]

    def _grid(self, arguments: Sequence[str]) -> list[tuple[str, ...]]:
        """The overrides of each job."""
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        parser = OverridesParser.create(config_loader=self._context.config_loader)
        params = [f"{name}={value}" for name, value in self._params.items()]
        parsed = parser.parse_overrides([*params, *arguments])
        return [tuple(overrides) for overrides in BasicSweeper.split_arguments(parsed, None)[0]]

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        loader = self._context.config_loader
        return loader.load_sweep_config(self._composed, [*overrides])

    @staticmethod
    def _placed(
        sweep: Path, manifest: Manifest, job: PlannedJob, config: DictConfig, position: int
    ) -> PlannedJob:
        """Give a new job a folder: that of its place in the grid, or the next one that is free.

        Raises:
            FishError: ``hydra.sweep.subdir`` names one folder for several jobs.
        """
        taken = {one.folder for one in manifest.jobs}
        before = None
        for number in (position, *range(len(manifest.jobs), len(manifest.jobs) + 10_000)):
            folder = _subfolder(config, number)
            if folder not in taken and not RunFolder(sweep / folder).config.is_file():
                return replace(job, folder=folder)
            if folder == before:
                break
            before = folder
        raise FishError(
            f"hydra.sweep.subdir names {folder} for more than one job: add ${{hydra.job.num}}"
        )

    def _batches(
        self, jobs: Sequence[PlannedJob], numbers: Mapping[str, int]
    ) -> Iterator[list[PlannedJob]]:
        """What is launched at a time.

        One after another, jobs are launched with the numbers that they had first; together they
        have to be numbered in one row.
        """
        if type(self._launcher).__module__ == f"{_CORE}.basic_launcher":
            key = {job.folder: numbers[job.folder] - place for place, job in enumerate(jobs)}
            for _, row in groupby(jobs, lambda job: key[job.folder]):
                yield [*row]
        else:
            size = self._batch_size or len(jobs)
            for begin in range(0, len(jobs), size or 1):
                yield [*jobs[begin : begin + size]]

    def _launch(self, jobs: Sequence[PlannedJob], first: int) -> Any:  # noqa: ANN401 - of Hydra
        folders = [quote_values([f"hydra.sweep.subdir={job.folder}"]) for job in jobs]
        overrides = [[*job.overrides, *folder] for job, folder in zip(jobs, folders, strict=True)]
        if waits := words_before(self._launcher, len(jobs)):
            log.info(waits)
        return self._launcher.launch(overrides, initial_job_idx=first)


def _again(sweep: Path) -> str:
    """The command that goes on, which begins again where nothing is left to go on with."""
    if new_folders.will_stay():
        return f"; to go on: {instead({'sweep.resume': str(sweep)})}"
    return f" before the end of the first epoch; to begin again: {retyped({})}"


def _note(sweep: Path, manifest: Manifest) -> None:
    manifest.jobs = [seen(sweep, job) for job in manifest.jobs]
    manifest.write(sweep)


def _is_left(sweep: Path, job: PlannedJob) -> bool:
    state = state_of(sweep, job)
    run = RunFolder(sweep / job.folder)
    if state == RunState.RUNNING:
        log.warning("%s is left out: another process is at it", run.path)
        return False
    if run.labels.is_file():
        return True  # the table may have changed since, which the job itself finds out
    # A search for a learning rate leaves no summary, and can be wanted again.
    return state != RunState.PRUNED and not (state == RunState.FINISHED and run.summary.is_file())


def _number(job: PlannedJob, otherwise: int) -> int:
    return int(job.folder) if job.folder.isdecimal() else otherwise


def _subfolder(config: DictConfig, number: int) -> str:
    """``hydra.sweep.subdir`` of a job, as Hydra fills it in."""
    before = HydraConfig.instance().cfg
    with read_write(config.hydra), open_dict(config.hydra.job):
        config.hydra.job.num = config.hydra.job.id = number
    HydraConfig.instance().set_config(config)
    try:
        return Path(str(OmegaConf.select(config, "hydra.sweep.subdir"))).as_posix()
    finally:
        HydraConfig.instance().cfg = before
