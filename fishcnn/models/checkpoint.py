"""Reading a checkpoint: that it is whole, ours and usable, and what to take where it is not.

A checkpoint is a zip archive in which torch stores a CRC-32 of each part, and which it does not
compare when it reads: a damaged weight would go unnoticed.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import BEST_CHECKPOINT, LAST_CHECKPOINT

# What Lightning writes of a FishClassifier, and what must be in it.
_PARTS = {"state_dict": Mapping, "hyper_parameters": Mapping, "epoch": int}
_SETTINGS = ("classes", "image_size", "working_size", "mean", "std", "model")
_MOST_LETTERS = 300


class CheckpointError(FishError):
    """A file is not a checkpoint that can be used; the message says why, and what can be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} {problem}. {_instead(path)}")


class _Unusable(Exception):
    """What is wrong with a checkpoint, in words that follow its name."""


def verified_checkpoint(path: Path, *, finite: bool = True) -> dict[str, Any]:
    """Read a checkpoint of a :class:`~fishcnn.models.classifier.FishClassifier`, and verify it.

    Args:
        path: of the file.
        finite: whether weights that are not finite are refused; a diverged training has them.

    Raises:
        CheckpointError: the file is missing, damaged, of another program, or has diverged.
    """
    try:
        content = _verified(path)
    except _Unusable as error:
        raise CheckpointError(path, str(error)) from error
    if finite:
        check_finite_weights(path, content["state_dict"])
    return content


@contextmanager
def fitting(path: str | Path) -> Iterator[None]:
    """Explain why a classifier cannot be built from a checkpoint that is whole.

    Raises:
        CheckpointError: its settings or its weights are those of another version.
    """
    try:
        yield
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:_MOST_LETTERS]
        problem = f"does not fit this version of fishcnn ({reason})"
        raise CheckpointError(Path(path), problem) from error


def check_finite_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Check the weights of a checkpoint.

    Raises:
        CheckpointError: some are not finite.
    """
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            problem = f"holds weights that are not finite ({name}): its training has diverged"
            raise CheckpointError(path, problem)


def _verified(path: Path) -> dict[str, Any]:
    try:
        _compare_checksums(path)
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (_Unusable, KeyboardInterrupt):
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _Unusable(f"is damaged, or was cut short ({error})") from error
    except OSError as error:
        raise _Unusable(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # torch passes on whatever its readers raise
        reason = str(error).strip()[:_MOST_LETTERS]
        raise _Unusable(f"is not a checkpoint of fishcnn: {reason}") from error
    _check_parts(content)
    found: dict[str, Any] = content
    return found


def _compare_checksums(path: Path) -> None:
    if not path.stat().st_size:
        raise _Unusable("is empty; the disk may have been full when it was written")
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise _Unusable("is not a checkpoint of fishcnn, or its beginning is damaged")
    with zipfile.ZipFile(path) as archive:
        # torch compresses nothing; other programs could blow up a small file to any size.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise _Unusable("is not a checkpoint of fishcnn, but a compressed archive")
        if damaged := archive.testzip():
            raise _Unusable(f"is damaged: the checksum of its part {damaged} does not fit")


def _check_parts(content: object) -> None:
    if not isinstance(content, Mapping):
        raise _Unusable("is not a checkpoint of fishcnn: it holds no parts")
    for part, kind in _PARTS.items():
        if not isinstance(content.get(part), kind):
            raise _Unusable(f"is not a checkpoint of fishcnn: it has no {part}")
    for name in _SETTINGS:
        if name not in content["hyper_parameters"]:
            raise _Unusable(f"is not a checkpoint of fishcnn: its settings have no {name}")
    weights = content["state_dict"].values()
    if not weights or not all(isinstance(value, Tensor) for value in weights):
        raise _Unusable("holds no weights")


def _instead(path: Path) -> str:
    """What of the same run can be used: the other checkpoint of its folder, perhaps."""
    other = {BEST_CHECKPOINT: LAST_CHECKPOINT, LAST_CHECKPOINT: BEST_CHECKPOINT}.get(path.name)
    if not other or not (beside := path.with_name(other)).is_file():
        return "Name another checkpoint or run"
    try:
        content = _verified(beside)
        finite = all(value.isfinite().all() for value in content["state_dict"].values())
    except _Unusable:
        finite = False
    if not finite:
        return f"Nor can {other} beside it be used: choose another run"
    return f"{other} beside it can be used, of epoch {content['epoch'] + 1}: name {beside}"
