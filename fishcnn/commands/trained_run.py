"""A trained network for use: which checkpoint is meant, and what it was trained on."""

from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from fishcnn.commands.build import build_datamodule, prepare_images
from fishcnn.data.datamodule import FishDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

# Runs of a user who stands elsewhere now.
_PROJECT_RUNS = Path(__file__).resolve().parents[2] / "runs"


def find_trained(ckpt: str | None, runs: Path) -> Path:
    """Find the checkpoint that a person means.

    Args:
        ckpt: a checkpoint file; a run folder, of which the best checkpoint is taken; or None for
            the best checkpoint of the latest run.
        runs: the folder below which the latest run is looked for. Where it holds none, ``runs`` in
            the project's own folder is looked at.

    Raises:
        FishError: there is none.
    """
    if ckpt is None:
        for folder in (runs, _PROJECT_RUNS):
            found = sorted(folder.rglob("checkpoints/best.ckpt"), key=lambda p: p.stat().st_mtime)
            if found:
                return found[-1].resolve()
        raise FishError(
            f"there is no finished run below {runs.absolute()} or {_PROJECT_RUNS}: train one by "
            "python scripts/train.py, or name one by ckpt=/path/to/run"
        )
    path = Path(ckpt).expanduser()
    inside = path / "checkpoints" / "best.ckpt"
    if path.is_dir() and inside.is_file():
        return inside.resolve()
    if not path.is_file():
        raise FishError(
            f"ckpt={ckpt}: wanted a checkpoint file, or a run folder with checkpoints/best.ckpt"
        )
    return path.resolve()


def load_trained(checkpoint: Path, device: torch.device) -> FishClassifier:
    """Load a checkpoint for use: in eval mode, on a device.

    Raises:
        FishError: the file is no checkpoint of this project.
    """
    try:
        classifier = FishClassifier.load_from_checkpoint(
            checkpoint, weights_only=True, map_location=device
        )
    except FishError:
        raise
    except Exception as error:  # torch passes on whatever its readers raise
        raise FishError(f"ckpt={checkpoint} is no checkpoint of fishcnn: {error}") from error
    return classifier.eval()


def run_folder(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in; None where it was moved out of it."""
    folder = checkpoint.parents[1]
    return folder if (folder / "config.yaml").is_file() else None


def run_config(checkpoint: Path) -> DictConfig:
    """The configuration of the run that a checkpoint comes from.

    Raises:
        FishError: the checkpoint was moved out of its run folder.
    """
    folder = run_folder(checkpoint)
    if folder is None:
        raise FishError(
            f"ckpt={checkpoint} lies outside its run folder, whose config.yaml says what it was "
            "trained on: name the run folder by ckpt=, or the pictures by input="
        )
    config = OmegaConf.load(folder / "config.yaml")
    assert isinstance(config, DictConfig)
    return config


def run_datamodule(checkpoint: Path) -> FishDataModule:
    """The pictures of the folder that a checkpoint was trained on, split by the same settings.

    Where the folder has changed since, so may the split: its ``split.json`` tells.

    Raises:
        FishError: the checkpoint was moved out of its run folder, or the pictures are gone.
    """
    datamodule = build_datamodule(run_config(checkpoint))
    prepare_images(datamodule)
    return datamodule


def best_device() -> torch.device:
    """A GPU where there is one."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


@torch.inference_mode()
def finite_probabilities(classifier: FishClassifier, images: Tensor) -> Tensor:
    """Class probabilities at the calibrated temperature, float32 ``(N, K)`` on the CPU.

    Args:
        classifier: in eval mode.
        images: float ``(N, 3, S, S)`` in [0, 1], on its device.

    Raises:
        FishError: the network has diverged.
    """
    probabilities = classifier.probabilities(images).cpu()
    if not probabilities.isfinite().all():
        raise FishError(
            "the network answers with numbers that are not finite: its training has diverged. "
            "Choose another run by ckpt="
        )
    return probabilities


def output_folder(named: str | None, default: Path) -> Path:
    """Make the folder that a command writes to, before its first expensive step.

    Args:
        named: ``output=``; None for the default.
        default: where its files go by themselves.

    Raises:
        FishError: it cannot be made.
    """
    folder = Path(named).expanduser().absolute() if named else default
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FishError(
            f"output={folder} cannot be made: {error.strerror}; choose another folder by output="
        ) from error
    return folder
