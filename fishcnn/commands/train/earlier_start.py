"""What an earlier start has left of a run, and where this start goes on."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from fishcnn.commands.run_files import read_notes
from fishcnn.commands.settings import literal
from fishcnn.commands.train.own_settings import last_run
from fishcnn.commands.train.resume import Checkpoint, check_resumable, read_checkpoint
from fishcnn.commands.trained_run import find_checkpoint
from fishcnn.data.streaming.packed_files import absolute_root
from fishcnn.models.scores import MONITOR
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import cache_folder, user_path
from fishcnn.utils.run_folder import LAST, LAST_CHECKPOINT, SWEEP_MANIFEST, RunFolder

log = logging.getLogger(__name__)

# Those that every run has.
FIGURES = ("loss_per_iteration", "curves", "confusion_matrix")


def in_a_sweep() -> bool:
    """Whether this run is a job of a sweep."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def written_config(config: DictConfig) -> str:
    """The content of ``config.yaml``: the folders of the data are found from wherever it is read.

    Two starts of the same command give the same text.
    """
    absolute = config.copy()
    with open_dict(absolute):
        absolute.pop("sweep", None)  # says nothing of this run
    # Where nobody has chosen it, the cache belongs to the machine and not to the run.
    if cache_folder(absolute.data.cache_root) == cache_folder():
        absolute.data.cache_root = None
    for name in ("root", "masks_root", "labels", "cache_root"):
        folder = absolute.data.get(name)
        if folder:
            absolute.data[name] = literal(absolute_root(str(folder)))
    return OmegaConf.to_yaml(absolute, resolve=True)


def find_resumed(config: DictConfig, run: RunFolder) -> tuple[Checkpoint | None, bool]:
    """Find the checkpoint that this start goes on from.

    The same command, typed again after a kill, goes on in its run folder. Otherwise it is the
    checkpoint of ``ckpt_path=``. A run that was ended before its first checkpoint begins again.

    Args:
        config: of this start.
        run: the folder that this start writes.

    Returns:
        The checkpoint, None to begin; and whether nothing is left to train, only to evaluate.

    Raises:
        FishError: the folder holds another run, or one that is finished, or a sweep; or the
            checkpoint of ``ckpt_path=`` does not fit the settings.
    """
    if (run.path / SWEEP_MANIFEST).is_file():
        raise FishError(
            f"hydra.run.dir: {run.path} is the folder of a sweep; choose another one, or go on "
            f"with that by sweep.resume={run.path}"
        )
    own, named = _usable_checkpoint(run), _named_checkpoint(config, run)
    ours = named is not None and named.path.is_relative_to(run.path.resolve())
    same = _is_same_command(config, run, named=ours)
    if own and same and named and not ours and not run.last_checkpoint.is_file():
        own = None  # the best one of the other run, copied before anything was trained here
    goes_on = own and same and config.trainer.resume == "auto"
    if own and goes_on and not is_finished(run, own.epochs):
        return own, own.stopped_early or own.epochs >= config.trainer.max_epochs
    if (own or run.summary.is_file()) and not ours:
        if in_a_sweep():  # all jobs of which would take a checkpoint that is named
            raise FishError(
                f"hydra.sweep.dir: {run.path} holds a run with other settings already; choose "
                "another folder for the sweep"
            )
        raise FishError(
            f"hydra.run.dir: {run.path} holds a run already; choose another folder, or continue "
            f"it with ckpt_path={run.path}, and a higher trainer.max_epochs if it is finished"
        )
    if named is None:
        return None, False
    check_resumable(named, config)
    left = config.trainer.max_epochs - named.epochs
    source = RunFolder.of(named.path)
    if left < 0 or (left == 0 and (source is None or is_finished(source, named.epochs))):
        raise FishError(
            f"ckpt_path={named.path} has been trained for {named.epochs} epochs already "
            f"and trainer.max_epochs={config.trainer.max_epochs}: raise it to go on"
        )
    return named, left == 0


def finished_before(config: DictConfig, run: RunFolder) -> dict[str, Any] | None:
    """The summary of a run that an earlier start of the same command has finished, or None."""
    finished = is_finished(run, 0) and _is_same_command(config, run)
    return read_notes(run.summary) if finished else None


def is_finished(run: RunFolder, epochs: int) -> bool:
    """Whether a run that was trained for so many epochs has its summary and its figures."""
    drawn = all((run.figures / f"{name}.png").is_file() for name in FIGURES)
    summary = read_notes(run.summary)
    trained = summary.get("epochs")
    if not isinstance(trained, int) or isinstance(trained, bool):
        return False
    return drawn and trained >= epochs and isinstance(summary.get(MONITOR, ""), int | float | None)


def _is_same_command(config: DictConfig, run: RunFolder, *, named: bool = False) -> bool:
    """Whether a run was begun with these settings; ``ckpt_path=`` may have been added to name it.

    The text is compared, so that nothing has to be parsed that may be damaged.
    """
    try:
        before = run.config.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return before == written_config(config) or (
        named and before == written_config(_unnamed(config))
    )


def _unnamed(config: DictConfig) -> DictConfig:
    """The same settings without ``ckpt_path=``."""
    unnamed = config.copy()
    unnamed.ckpt_path = None
    return unnamed


def _usable_checkpoint(run: RunFolder) -> Checkpoint | None:
    """The last checkpoint of a run; the best one where the last is missing, damaged or older.

    A large last one is not written after every epoch. What goes on before the best one would leave
    a best one of epochs that are not in the curves.
    """
    found = []
    for file in _checkpoints(run):
        try:
            # A diverged run has its figures as well.
            found.append(read_checkpoint(file, finite=False))
        except FishError as error:
            log.warning("%s", error)
    return max(found, key=lambda checkpoint: checkpoint.progress.steps, default=None)


def _checkpoints(run: RunFolder) -> list[Path]:
    return [file for file in (run.last_checkpoint, run.best_checkpoint) if file.is_file()]


def _named_checkpoint(config: DictConfig, run: RunFolder) -> Checkpoint | None:
    """The checkpoint of ``ckpt_path=``; None for ``run`` itself, ended before its first one.

    Raises:
        FishError: there is none, or it cannot be used.
    """
    typed = config.ckpt_path
    if not typed:
        return None
    runs = user_path(config.runs).absolute()
    meant = last_run() if typed == LAST else RunFolder(user_path(typed))
    if run.versions.is_file() and not _checkpoints(run):
        if typed == LAST:
            again = meant is None or _is_same_command(_unnamed(config), run)
        else:
            again = meant is not None and meant.path.resolve() == run.path.resolve()
        if again:
            log.warning("%s was ended before its first checkpoint: it begins again", run.path)
            return None
    files = _checkpoints(meant) if meant else []
    usable = _usable_checkpoint(meant) if meant else None
    if meant and usable and not is_finished(meant, usable.epochs):
        return usable
    if files:
        return read_checkpoint(files[0].resolve())
    wanted = None if typed == LAST else typed
    return read_checkpoint(find_checkpoint("ckpt_path", wanted, [runs], LAST_CHECKPOINT))
