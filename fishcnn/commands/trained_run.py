"""A trained network for use: which checkpoint is meant, and what it was trained on."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import torch
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from fishcnn.commands.command_line import another
from fishcnn.commands.run_files import read_config
from fishcnn.commands.settings import CONF
from fishcnn.models.checkpoint import CheckpointError, check_finite_weights
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.lock import user_of
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import BEST_CHECKPOINT, CHECKPOINTS, LAST, RunFolder

log = logging.getLogger(__name__)


def find_checkpoint(
    setting: str, typed: str | None, folders: Sequence[Path], name: str = BEST_CHECKPOINT
) -> Path:
    """Find the checkpoint that a person means.

    Args:
        setting: what it was typed after.
        typed: a checkpoint file; a run folder; or None or ``last`` for the newest run that has one.
        folders: where the newest run is looked for; the first one that holds any counts.
        name: of the checkpoint within a run.

    Raises:
        FishError: there is none.
    """
    if typed in (None, LAST):
        places = list(dict.fromkeys(user_path(folder).resolve() for folder in folders))
        for place in places:
            if found := RunFolder.newest_checkpoint_below(place, name):
                return found.resolve()
        raise FishError(
            f"there is no run with a checkpoint below {' or '.join(map(str, places))}: train one "
            f"by {another('train')}, or name one by {setting}=/path/to/run"
        )
    path = user_path(typed or "")
    for file in (path / CHECKPOINTS / name, path):
        if file.is_file():
            return file.resolve()
    wanted = f"name a checkpoint file, or a run folder with {CHECKPOINTS}/{name}"
    if path.exists():
        raise FishError(f"{setting}={typed}: holds no checkpoint; {wanted}")
    meant = " did you mean last?" if get_close_matches(typed or "", [LAST], 1) else ""
    where = "" if path.is_absolute() else f" in {Path.cwd()}"
    raise FishError(
        f"{setting}={typed}: there is no such file or folder{where};{meant} {wanted}, or "
        f"type {setting}={LAST} for the newest run"
    )


def find_trained(ckpt: str | None, runs: Path) -> Path:
    """Find a checkpoint for use: ``ckpt=``, or the best one of the newest run.

    The newest is looked for below ``runs`` and, where that holds none, in the checkout's own, for a
    user who stands elsewhere.

    Raises:
        FishError: there is none.
    """
    return find_checkpoint("ckpt", ckpt, (runs, CONF.parent / "runs"))


def load_trained(checkpoint: Path, device: torch.device) -> FishClassifier:
    """Load a checkpoint for use: in eval mode, on a device; say so if its run is not finished.

    Raises:
        FishError: the file is damaged, of another program, or its network has diverged.
    """
    try:
        classifier = FishClassifier.load_from_checkpoint(checkpoint, map_location=device)
        check_finite_weights(checkpoint, classifier.state_dict())
    except CheckpointError as error:
        raise FishError(f"ckpt={error}") from error
    if (run := RunFolder.of(checkpoint)) and (unfinished := _unfinished(run)):
        log.warning("%s", unfinished)
    return classifier.eval()


def _unfinished(run: RunFolder) -> str | None:
    """Say how far a run has come that is not finished, or that is being trained further."""
    user = user_of(run.path)
    if user is None and run.summary.is_file():
        return None
    try:
        of = f" of {read_config(run).trainer.max_epochs}"
        done = len(run.metrics.read_text(encoding="utf-8").splitlines()) - 1
    except (FishError, OmegaConfBaseException, OSError, ValueError):
        so_far = ""
    else:
        so_far = f" after epoch {max(done, 0)}{of}"
    if user:
        return f"{run.path} is still being trained, by {user}: this is its checkpoint{so_far}."
    return f"{run.path} is not finished: this is its checkpoint{so_far}, where it was stopped."


def run_of(checkpoint: Path) -> RunFolder:
    """The run that a checkpoint comes from.

    Raises:
        FishError: the checkpoint was moved out of its run folder.
    """
    run = RunFolder.of(checkpoint)
    if run is None:
        raise FishError(
            f"ckpt={checkpoint} lies outside its run folder, which says what it was trained on: "
            "name the run folder by ckpt=, or the images by input="
        )
    return run


def best_device() -> torch.device:
    """A GPU where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


@torch.inference_mode()
def finite_probabilities(classifier: FishClassifier, images: Tensor) -> Tensor:
    """Class probabilities at the calibrated temperature, float32 ``(N, K)`` on the CPU.

    The network is in eval mode, and the images are float ``(N, 3, S, S)`` in [0, 1] on its device.

    Raises:
        FishError: the network has diverged.
    """
    probabilities = classifier.probabilities(images).cpu()
    check_finite(probabilities)
    return probabilities


def check_finite(answers: Tensor) -> None:
    """Raise a FishError where a diverged network answers with NaN or infinity."""
    if not answers.isfinite().all():
        raise FishError(
            "the network answers with numbers that are not finite: its training has diverged. "
            "Choose another run by ckpt="
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in the thread that asks: several would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
