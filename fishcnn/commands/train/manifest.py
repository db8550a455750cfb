"""The manifest of a sweep: its jobs, the settings of each, and how far it is.

Hydra loads this before any job, so nothing heavy may be imported here.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.run_files import read_composed, read_notes, read_overrides, read_swept
from fishcnn.commands.run_state import RunState, read_state
from fishcnn.commands.settings import MISSING, leaves
from fishcnn.utils.files import write_text
from fishcnn.utils.run_folder import SWEEP_MANIFEST, SWEEP_SETTINGS, RunFolder

log = logging.getLogger(__name__)

# Settings of a start, which say nothing of its jobs.
_ASIDE = ("runs", "sweep")
BEGUN = "%Y-%m-%dT%H:%M:%SZ"  # ISO 8601 in UTC


@dataclass(frozen=True)
class PlannedJob:
    """A job of the grid, begun or not.

    Attributes:
        folder: its name in the folder of the sweep.
        overrides: of this job, as Hydra takes them.
        settings: every setting by its dotted name, as composed; interpolations are not resolved.
        state: as the sweep has last seen it; :func:`state_of` is how far the job is now.
        reason: what has failed.
    """

    folder: str
    overrides: tuple[str, ...]
    settings: dict[str, Any]
    state: RunState = RunState.PENDING
    reason: str | None = None

    @cached_property
    def digest(self) -> str:
        """Of the settings: SHA-256 in hexadecimal digits."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def values(self) -> dict[str, str]:
        """What was typed, by setting."""
        return dict(one.lstrip("+").partition("=")[::2] for one in self.overrides)


@dataclass
class Manifest:
    """What is to be done in the folder of a sweep.

    Attributes:
        begun: when, as ISO 8601 in UTC; "" where nobody knows.
        place: the folder that relative paths are meant from; "" where nobody knows.
        typed: what was typed for the last start, as Hydra takes it, before jobs were made of it.
        jobs: all that any start has asked for.
    """

    begun: str = field(default_factory=lambda: time.strftime(BEGUN, time.gmtime()))
    place: str = field(default_factory=lambda: str(Path.cwd()))
    typed: list[str] = field(default_factory=list)
    jobs: list[PlannedJob] = field(default_factory=list)

    def put(self, job: PlannedJob) -> None:
        """Add a job, or put it in the place of the one in the same folder."""
        folders = [one.folder for one in self.jobs]
        if job.folder in folders:
            self.jobs[folders.index(job.folder)] = job
        else:
            self.jobs.append(job)

    def write(self, sweep: Path) -> None:
        """Write it into the folder of the sweep.

        Settings that all jobs have in common are written once, for the sake of people.

        Raises:
            FishError: it cannot be written.
        """
        common = common_settings(self.jobs)
        jobs = [
            {
                "folder": job.folder,
                "state": job.state,
                "reason": job.reason,
                "overrides": [*job.overrides],
                "digest": job.digest,
                "settings": {k: v for k, v in job.settings.items() if k not in common},
            }
            for job in self.jobs
        ]
        content = {
            "begun": self.begun,
            "place": self.place,
            "typed": self.typed,
            "jobs": jobs,
            "common_settings": common,
        }
        write_text(sweep / SWEEP_MANIFEST, json.dumps(content, indent=1) + "\n")


def read_manifest(sweep: Path) -> Manifest | None:
    """What there is to do in the folder of a sweep; None where no sweep was begun.

    Where an earlier version has written none, or a power cut has damaged it, the jobs are those
    that Hydra has begun; what else was typed is made of the grid again.
    """
    content = read_notes(sweep / SWEEP_MANIFEST)
    try:
        common = dict(content["common_settings"])
        jobs = [
            PlannedJob(
                str(job["folder"]),
                tuple(map(str, job["overrides"])),
                {**common, **job["settings"]},
                RunState(job["state"]),
                job["reason"],
            )
            for job in content["jobs"]
        ]
        typed = [str(one) for one in content["typed"]]
        return Manifest(str(content["begun"]), str(content["place"]), typed, jobs)
    except (KeyError, TypeError, ValueError):
        if not (sweep / SWEEP_SETTINGS).is_file():
            return None  # another program's
        if content:
            log.warning("%s is damaged; its jobs are read again", sweep / SWEEP_MANIFEST)
    jobs = []
    for run in RunFolder.below(sweep):
        settings = read_composed(run)
        if run.path != sweep and settings:
            folder = run.path.relative_to(sweep).as_posix()
            overrides = tuple(read_overrides(run, last=True))
            jobs.append(PlannedJob(folder, overrides, settings_in(settings)))
    return Manifest("", "", read_swept(sweep), jobs)


def state_of(sweep: Path, job: PlannedJob) -> RunState:
    """How far a job is now, by what it has written itself.

    A job that has failed before its first step leaves no folder, only its entry in the manifest.
    """
    run = RunFolder(sweep / job.folder)
    if state := read_state(run):
        return state
    if not run.path.is_dir():
        return RunState.FAILED if job.state == RunState.FAILED else RunState.PENDING
    # Of an earlier version. The summary is what a run writes last.
    done = isinstance(read_notes(run.summary).get("epochs"), int)
    return RunState.FINISHED if done else RunState.INTERRUPTED


def seen(sweep: Path, job: PlannedJob) -> PlannedJob:
    """A job with its state of now."""
    state = state_of(sweep, job)
    told = read_notes(RunFolder(sweep / job.folder).state).get("reason", job.reason)
    return replace(job, state=state, reason=told if state == RunState.FAILED else None)


def settings_of_job(config: DictConfig) -> dict[str, Any]:
    """Every setting of a composed configuration by its dotted name, with what JSON makes of it."""
    content = OmegaConf.to_container(config, resolve=False)
    assert isinstance(content, dict)
    del content["hydra"]
    return settings_in(content)


def settings_in(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Every setting by its dotted name, but for those of a start."""
    ours = {key: value for key, value in content.items() if key not in _ASIDE}
    return {name: json.loads(json.dumps(value, default=str)) for name, value in leaves(ours)}


def common_settings(jobs: Sequence[PlannedJob]) -> dict[str, Any]:
    """The settings that all jobs share."""
    first, *others = [job.settings for job in jobs] or [{}]
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }


def differences(
    before: Mapping[str, Any], now: Mapping[str, Any], typed: Iterable[str]
) -> dict[str, tuple[Any, Any]]:
    """Both values of each setting that differs.

    Args:
        before: settings by name, as they were.
        now: as they are.
        typed: names of settings and groups. What was not there before and is not typed came with a
            later version, which counts as no difference.
    """
    chosen = tuple(typed)
    found = {}
    for name in {**before, **now}:
        old, new = before.get(name, MISSING), now.get(name, MISSING)
        later = old is MISSING and not any(f"{name}.".startswith(f"{one}.") for one in chosen)
        if old != new and not later:
            found[name] = (old, new)
    return found
