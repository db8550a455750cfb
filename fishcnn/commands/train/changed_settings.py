"""Whether a sweep goes on under the settings that it was begun with, but for its grid.

Loaded before any job, so nothing heavy may be imported here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fishcnn.commands.known_settings import KnownSettings
from fishcnn.commands.settings import MISSING, change_in_words
from fishcnn.commands.train.manifest import PlannedJob, common_settings, differences
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.machine import user_path

_MOST = 8  # settings that are named


def find_job(jobs: Sequence[PlannedJob], wanted: PlannedJob) -> PlannedJob | None:
    """The job that has these settings already, whatever was typed for it; or these overrides.

    Args:
        jobs: of the manifest, :func:`check_unchanged`.
        wanted: of the grid.
    """
    overrides, digest = frozenset(wanted.overrides), wanted.digest
    same = (job for job in jobs if job.digest == digest)
    return next(same, None) or next(
        (job for job in jobs if frozenset(job.overrides) == overrides), None
    )


def check_unchanged(sweep: Path, before: Sequence[PlannedJob], now: Sequence[PlannedJob]) -> None:
    """Check that only the grid has changed since a sweep was begun.

    A job that is typed alike has to be the same job. What all jobs had in common they have to have
    in common with the new ones, unless either grid varies it.

    Args:
        sweep: its folder.
        before: jobs of the manifest.
        now: jobs of the grid.

    Raises:
        FishError: a default has changed, or what was typed for all jobs; the message has both
            values.
    """
    if not before:
        return
    changed: dict[str, tuple[Any, Any]] = {}
    digests = {job.digest for job in before}
    alike = {frozenset(job.overrides): job for job in before}
    for job in now:
        old = alike.get(frozenset(job.overrides))
        if old and job.digest not in digests:
            changed |= differences(old.settings, job.settings, _names(job))
    varied = _varied_groups(before) | _varied_groups(now)
    for chosen, jobs in _by_choice(now, varied).items():
        earlier = _by_choice(before, varied).get(chosen)
        if earlier:
            changed |= _changed_for_all(earlier, jobs)
    if changed:
        raise FishError(_refusal(sweep, changed, {name for job in now for name in job.values}))


def check_place(sweep: Path, place: str, now: Sequence[PlannedJob]) -> None:
    """Check that relative folders of the images are those that a sweep was begun with.

    Args:
        sweep: its folder.
        place: where it was begun; a folder that is gone may have been moved here.
        now: jobs of the grid.

    Raises:
        FishError: they are meant from elsewhere.
    """
    begun = Path(place)
    if not begun.is_dir() or begun.resolve() == Path.cwd().resolve():
        return
    for job in now:
        for name in ("data.root", "data.masks_root", "data.labels"):
            folder = str(job.settings.get(name) or "")
            known = folder and "://" not in folder and "${" not in folder
            if known and not user_path(folder).is_absolute():
                raise FishError(
                    f"{name}={folder} was meant from {place}, where {sweep} was begun: type the "
                    f"command there, or go on by sweep.resume={sweep}"
                )


def _changed_for_all(
    before: Sequence[PlannedJob], now: Sequence[PlannedJob]
) -> dict[str, tuple[Any, Any]]:
    """What differs between the settings that the jobs had in common and those they have now."""
    old, new = common_settings(before), common_settings(now)
    # What only some jobs of either have is varied; what no job of one has was added or removed.
    some_old = {name for job in before for name in job.settings}
    some_new = {name for job in now for name in job.settings}
    return differences(
        {name: value for name, value in old.items() if name in new or name not in some_new},
        {name: value for name, value in new.items() if name in old or name not in some_old},
        [name for job in now for name in _names(job)],
    )


def _names(job: PlannedJob) -> list[str]:
    return [name.lstrip("~") for name in job.values]


def _varied_groups(jobs: Sequence[PlannedJob]) -> set[str]:
    """The groups of which the jobs have several choices, each with settings of its own."""
    groups = KnownSettings("train").groups
    return {group for group in groups if len({job.values.get(group) for job in jobs}) > 1}


def _by_choice(
    jobs: Sequence[PlannedJob], groups: set[str]
) -> dict[tuple[str | None, ...], list[PlannedJob]]:
    found: dict[tuple[str | None, ...], list[PlannedJob]] = {}
    for job in jobs:
        found.setdefault(tuple(job.values.get(group) for group in sorted(groups)), []).append(job)
    return found


def _refusal(sweep: Path, changed: Mapping[str, tuple[Any, Any]], names: set[str]) -> str:
    told = [change_in_words(name, *both, "sweep") for name, both in [*changed.items()][:_MOST]]
    more = f" and {len(changed) - _MOST} more" if len(changed) > _MOST else ""
    message = (
        f"{sweep} was begun with other settings: {', '.join(told)}{more}. Set "
        "them as they were, or choose another folder"
    )
    name, (old, new) = next(iter(changed.items()))
    if name in names and MISSING not in (old, new):
        message += f"; to try both in this sweep, type both: {name}={typed(old)},{typed(new)}"
    return message
