"""The runs that are to be compared, and what each of them has written down."""

import csv
import glob
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fishcnn.commands.run_files import read_composed, read_config, read_notes, read_overrides
from fishcnn.commands.run_state import RunState, read_state
from fishcnn.commands.settings import leaves, literal, plain
from fishcnn.commands.train.manifest import (
    Manifest,
    PlannedJob,
    read_manifest,
    settings_in,
    state_of,
)
from fishcnn.commands.validation_table import ValidationTable
from fishcnn.data.streaming.packed_files import absolute_root
from fishcnn.utils.arrays import DamagedFile, read_arrays
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import found_below
from fishcnn.utils.lock import user_of
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import SWEEP_MANIFEST, SWEEP_SETTINGS, RunFolder
from fishcnn.utils.text import printable

log = logging.getLogger(__name__)

ENERGY = "cam_energy_on_fish"
# What says which images there are; those that are drawn have no folder of their own.
_DATA = ("name", "root", "labels", "layout")
_DRAWN = ("name", "species", "pictures_per_class", "long_side", "shortcut", "seed", "labels")


@dataclass(frozen=True)
class FoundRun:
    """A run, finished or not.

    Attributes:
        run: its folder.
        name: what it is called here, the shortest path that tells it from the others.
        state: how far it is; None for one of an earlier version that has not finished.
        settings: values by dotted name, all interpolations resolved; {} where they are not known.
        typed: overrides.
        summary: numbers by name, such as ``val_acc``; {} unless it has finished.
        energy: on the fish, of the best epoch; None where the data has no masks.
    """

    run: RunFolder
    name: str
    state: RunState | None
    settings: Mapping[str, Any]
    typed: Sequence[str]
    summary: Mapping[str, Any] = field(default_factory=dict)
    energy: float | None = None

    @property
    def ranks(self) -> bool:
        """Whether it has a result that can be compared."""
        return self.number("val_acc") is not None and self.images > 0

    @property
    def shown_state(self) -> str:
        """How far it is, in a word or two."""
        return self.state or "not finished"

    def number(self, name: str) -> float | None:
        """A number of its summary; None where that has none."""
        value = self.summary.get(name)
        known = isinstance(value, int | float) and math.isfinite(value)
        return float(value) if known else None  # type: ignore[arg-type]

    @property
    def images(self) -> int:
        """How many it was validated on."""
        return int(self.number("val_pictures") or 0)

    @property
    def data(self) -> tuple[tuple[str, str], ...]:
        """What says which images it was trained and validated on."""
        names = _DATA if self.settings.get("data.root") else _DRAWN
        values = ((name, self.settings.get(f"data.{name}")) for name in names)
        return tuple((name, str(value)) for name, value in values if value is not None)

    @cached_property
    def answers(self) -> ValidationTable | None:
        """What it says of each image; None where it has not written that down."""
        try:
            return ValidationTable.read(self.run.validation)
        except FileNotFoundError:
            return None
        except (FishError, OSError) as error:
            log.warning("%s; the run is not compared image by image.", error)
            return None

    @cached_property
    def validated(self) -> frozenset[str]:
        """The images that it was validated on; none where it has not written that down."""
        known = self.ranks and self.answers
        return frozenset(known.images) if known else frozenset()

    def digests(self) -> set[bytes]:
        """Those of its images; none where they were not written down."""
        try:
            arrays = read_arrays(self.run.digests)
        except (DamagedFile, OSError):
            return set()
        splits = (arrays[name] for name in ("train", "val", "test") if name in arrays)
        return {digest.tobytes() for split in splits for digest in split}


def find_runs(paths: Sequence[str]) -> list[FoundRun]:
    """Read the runs that a person has named, each once, in the order of their names.

    Args:
        paths: run folders, files in them, folders with runs anywhere below, or globs of these.

    Raises:
        FishError: there is no such path, or no run in it.
    """
    folders: dict[Path, RunFolder] = {}
    jobs: dict[Path, tuple[Path, Manifest, PlannedJob]] = {}
    for typed in paths:
        places = _places(typed)
        runs = [run.path.resolve() for place in places for run in _runs_at(place)]
        planned = {
            (sweep / job.folder).resolve(): (sweep, manifest, job)
            for sweep in _sweeps(places)
            if (manifest := read_manifest(sweep))
            for job in manifest.jobs
        }
        if not runs and not planned:
            raise FishError(
                f"{typed}: holds no run; name run folders, sweeps, or folders with such inside"
            )
        folders |= {path: RunFolder(path) for path in runs}
        jobs |= planned
    order = sorted({*folders, *jobs}, key=lambda path: _by_number(path.parts))
    common = _common(order)
    return [
        _read(folders[path], _name(path, common), jobs[path][1].place if path in jobs else "")
        if path in folders
        else _pending(RunFolder(path), _name(path, common), *jobs[path])
        for path in order
    ]


def _pending(
    run: RunFolder, name: str, sweep: Path, manifest: Manifest, job: PlannedJob
) -> FoundRun:
    """A job of a sweep that has not begun, or has left nothing."""
    settings = _resolved(job.settings, manifest.place)
    return FoundRun(run, name, state_of(sweep, job), settings, job.overrides)


def _sweeps(places: Sequence[Path]) -> list[Path]:
    """The folders at or below some places whose manifest says which jobs are still to be run."""
    files = (file for place in places for file in found_below(place, SWEEP_MANIFEST))
    folders = dict.fromkeys(file.parent.resolve() for file in files)
    return [folder for folder in folders if (folder / SWEEP_SETTINGS).is_file()]  # not of others


def _resolved(settings: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Settings as they were composed, with all interpolations resolved as a run does it."""
    content: dict[str, Any] = {}
    for name, value in settings.items():
        *above, last = name.split(".")
        node = content
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    config = OmegaConf.create({"runs": "runs", **content})
    try:
        if root := config.data.get("root"):
            config.data.root = literal(absolute_root(str(root), place))
        return dict(leaves(plain(config)))
    except (OmegaConfBaseException, FishError, AttributeError):
        return {}


def _places(typed: str) -> list[Path]:
    path = user_path(typed)
    if os.path.lexists(path):
        return [path]
    if found := sorted(glob.glob(str(path))):
        return [Path(one) for one in found]
    raise FishError(f"{typed}: there is no such file or folder in {Path.cwd()}")


def _runs_at(place: Path) -> list[RunFolder]:
    """The run that a path is, or is a file of; else those below."""
    place = place.absolute()
    for folder in (place, *place.parents[:2]):
        if RunFolder(folder).config.is_file() and folder.name != ".hydra":
            return [RunFolder(folder)]
        if folder == place and RunFolder(folder).typed_last.is_file():
            return [RunFolder(folder)]
    name = RunFolder(place).config.name
    written = (
        RunFolder(file.parent) for file in found_below(place, name) if file.parent.name != ".hydra"
    )
    return [*(run for run in written if run.typed.is_file()), *RunFolder.below(place)]


def _by_number(parts: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """Sort key by which job 10 comes after job 9."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def _common(paths: Sequence[Path]) -> Path:
    """The folder below which all runs are told apart."""
    try:
        return Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:  # on several drives of Windows
        return Path()


def _name(path: Path, common: Path) -> str:
    below = path.relative_to(common) if path.is_relative_to(common) else path
    return printable(below.as_posix())


def _read(run: RunFolder, name: str, place: str) -> FoundRun:
    state = read_state(run)
    if state is None and user_of(run.path):
        state = RunState.RUNNING
    # One of an earlier version has written its summary last.
    if state is None and run.summary.is_file():
        state = RunState.FINISHED
    summary = read_notes(run.summary) if state == RunState.FINISHED else {}
    try:
        settings = dict(leaves(plain(read_config(run))))
    except (FishError, OmegaConfBaseException):  # it was refused, or has not come so far
        settings = _resolved(settings_in(read_composed(run)), place)
    energy = _energy(run, summary.get("best_epoch")) if summary else None
    return FoundRun(run, name, state, settings, read_overrides(run), summary, energy)


def _energy(run: RunFolder, epoch: object) -> float | None:
    try:
        with run.metrics.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if float(row["epoch"]) == epoch]
        value = float(rows[-1][ENERGY])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    return value if math.isfinite(value) else None
