"""The folders that Hydra makes for a training, and that go again where nothing came of it.

Hydra loads this before any job of a sweep, so nothing heavy may be imported here.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fishcnn.utils.files import all_below
from fishcnn.utils.lock import lock_files
from fishcnn.utils.run_folder import SWEEP, SWEEP_MANIFEST, SWEEP_SETTINGS, RunFolder

_OF_HYDRA = (".hydra/*.yaml", "*.log")
# In a folder of its own, or several.
_OF_LOGGER = ("hparams.yaml", "events.out.tfevents.*")
_OF_SWEEP = (SWEEP_SETTINGS, SWEEP_MANIFEST, SWEEP)


class _Start:
    """Of this process: what its start has made."""

    folder: Path | None = None  # of the run, or of the sweep
    is_sweep = False
    missing: tuple[Path, ...] = ()  # that folder and those around it which were not there
    there: frozenset[Path] = frozenset()  # what was there, below the folder of a sweep
    trained: frozenset[Path] = frozenset()


class NoteNewFolders(Callback):
    """Note which folders are not there before Hydra makes them."""

    def on_run_start(self, config: DictConfig, **kwargs: object) -> None:
        """Of a run."""
        _note(Path(config.hydra.run.dir), is_sweep=False)

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Of a sweep."""
        _note(Path(config.hydra.sweep.dir), is_sweep=True)


def _note(folder: Path, *, is_sweep: bool) -> None:
    folder = folder.absolute()
    _Start.folder, _Start.is_sweep, _Start.trained = folder, is_sweep, frozenset()
    _Start.missing = tuple(one for one in (folder, *folder.parents) if not one.exists())
    _Start.there = frozenset(all_below(folder)) if is_sweep else frozenset()


def forget() -> None:
    """Begin without folders: an earlier start of this process has nothing to do with this one."""
    _Start.folder = None


def noted() -> Path | None:
    """The folder of the run, or of the sweep, that Hydra makes."""
    return _Start.folder


def has_trained(folder: Path) -> None:
    """Keep the folder of a run, in which something was trained that can be used or looked into."""
    _Start.trained |= {folder.absolute()}


def nothing_came_of(folder: Path) -> bool:
    """Whether a run folder that this start has made holds no more than a start writes.

    Its lock is more: another process is writing there.
    """
    return (
        _Start.folder is not None
        and (folder == _Start.folder or folder.is_relative_to(_Start.folder))
        and (folder in _Start.missing or (_Start.is_sweep and folder not in _Start.there))
        and folder not in _Start.trained
        and all(map(_is_of_a_start(folder), _files(folder)))
    )


def remove_if_nothing_came() -> None:
    """Remove the folders that this start has made and in which nothing was trained.

    What was there before stays, and so does any folder with another file in it than a start writes.
    """
    folder = _Start.folder
    if folder is None:
        return
    for job in _jobs(folder):
        if job.is_dir() and nothing_came_of(job):
            _remove(job, _files(job))
    if folder in _Start.missing and folder.is_dir():
        files = _files(folder)
        if all(file.parent == folder and file.name in _OF_SWEEP for file in files):
            _remove(folder, files)
    for one in _Start.missing:
        with suppress(OSError):  # something lies in it
            one.rmdir()


def will_stay() -> bool:
    """Whether :func:`remove_if_nothing_came` would leave the folder of the run, or of the sweep.

    It does so when this process has freed the lock of that.
    """
    folder = _Start.folder
    if folder is None or folder not in _Start.missing:
        return True
    gone = [job for job in _jobs(folder) if nothing_came_of(job)]
    kept = (file for file in _files(folder) if not any(map(file.is_relative_to, gone)))
    ours = {*(folder / name for name in _OF_SWEEP), *lock_files(folder)}
    return any(file not in ours for file in kept)


def _jobs(folder: Path) -> list[Path]:
    return [run.path for run in RunFolder.below(folder)] if _Start.is_sweep else [folder]


def _is_of_a_start(folder: Path) -> Callable[[Path], bool]:
    run = RunFolder(folder)
    # The best checkpoint is a copy, where no epoch was done: of the run that this one goes on with.
    inputs = (*run.inputs, run.state, run.best_checkpoint, run.metrics, run.diagnosis)

    def check(file: Path) -> bool:
        if file in inputs or any(file.match(name) for name in _OF_LOGGER):
            return True
        return any(file in folder.glob(pattern) for pattern in _OF_HYDRA)

    return check


def _files(folder: Path) -> list[Path]:
    return [path for path in all_below(folder) if path.is_symlink() or not path.is_dir()]


def _remove(folder: Path, files: Iterable[Path]) -> None:
    """Remove these files and whatever folders are empty then, but nothing that came meanwhile."""
    root = logging.getLogger()
    for handler in [*root.handlers]:  # Windows removes no file that is open
        file = Path(handler.baseFilename) if isinstance(handler, logging.FileHandler) else None
        if file and file.is_relative_to(folder):
            root.removeHandler(handler)
            handler.close()
    with suppress(OSError):  # of a disk that has just failed: that is what must be told
        for file in files:
            file.unlink(missing_ok=True)
        inner = [path for path in all_below(folder) if path.is_dir()]
        for empty in (*sorted(inner, reverse=True), folder):
            empty.rmdir()
