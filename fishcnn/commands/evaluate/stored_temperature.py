"""The temperature inside a checkpoint file."""

import os
import shutil
import tempfile
from pathlib import Path

import torch

from fishcnn.utils.errors import FishError


def store_temperature(checkpoint: Path, temperature: float) -> None:
    """Write a temperature into a checkpoint; everything else in it stays as it is.

    The file is replaced in one step, so that it is whole even if the power fails. It keeps its time
    of change, by which the latest run is found.

    Args:
        checkpoint: a checkpoint of :class:`fishcnn.models.classifier.FishClassifier`.
        temperature: above 0; what predictions divide their logits by from now on.

    Raises:
        FishError: the file cannot be written.
    """
    content = torch.load(checkpoint, weights_only=True, map_location="cpu")
    content["state_dict"]["temperature"] = torch.tensor(temperature, dtype=torch.float32)
    unfinished = None
    try:
        handle, name = tempfile.mkstemp(dir=checkpoint.parent, prefix=f".{checkpoint.name}-")
        unfinished = Path(name)
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        shutil.copystat(checkpoint, unfinished)
        unfinished.replace(checkpoint)
    except (OSError, RuntimeError) as error:  # of the file system, and of torch's writer
        raise FishError(
            f"calibrate=true: {checkpoint} cannot be written: {error}; copy its "
            "run folder to a place where you may write, and name that by ckpt="
        ) from error
    finally:
        if unfinished:
            unfinished.unlink(missing_ok=True)
