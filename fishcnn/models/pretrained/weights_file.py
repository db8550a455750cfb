"""Weights from a file of somebody else, verified before any of them is used."""

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fishcnn.utils.errors import ArgumentError, FishError
from fishcnn.utils.machine import user_path

Weights = dict[str, Tensor]
# What other programs put their weights into, and what they put before the names.
_WRAPPINGS = ("state_dict", "model")
_PREFIXES = ("", "module.", "model.", "backbone.", "network.backbone.")
_MOST_NAMES = 5


def read_weights(typed: str) -> Weights:
    """Read a safetensors file, or a state dict as torch saves it, without running any code of it.

    Raises:
        ArgumentError: the file cannot be read, is damaged, or holds something else.
    """
    try:
        path = user_path(typed)
        content = _read(path)
    except OSError as error:
        raise ArgumentError(
            "weights", typed, f"cannot be read: {error.strerror or error}"
        ) from error
    except ImportError as error:
        problem = "needs the package safetensors: pip install 'fishcnn[pretrained]'"
        raise ArgumentError("weights", typed, problem) from error
    except FishError as error:
        raise ArgumentError("weights", typed, str(error)) from error
    except pickle.UnpicklingError as error:
        problem = "is not a state dict: it holds more than weights, which is never executed here"
        raise ArgumentError("weights", typed, problem) from error
    except Exception as error:  # both readers pass on whatever they meet
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        problem = f"is neither a safetensors file nor a state dict of torch ({reason})"
        raise ArgumentError("weights", typed, problem) from error
    for wrapping in _WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping):
        raise ArgumentError("weights", typed, "is not a state dict: it holds no weights by name")
    found = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    for name, value in found.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ArgumentError("weights", typed, f"holds weights that are not finite ({name})")
    return found


def _read(path: Path) -> Any:  # noqa: ANN401 - whatever lies in it
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if zipfile.is_zipfile(path):  # torch does not compare the checksums in it
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise FishError(f"is damaged: the checksum of its part {damaged} does not fit")
    return torch.load(path, weights_only=True, map_location="cpu")


def fitting_weights(
    found: Weights, wanted: Mapping[str, Tensor], heads: Sequence[str], typed: object
) -> Weights:
    """Choose the weights that a network wants, whatever stands before their names.

    Args:
        found: those of a file.
        wanted: those of the network.
        heads: names of the layers whose weights are neither looked for nor taken.
        typed: the file, for errors.

    Raises:
        ArgumentError: names are missing or unexpected, or shapes differ.
    """
    # In front of most names: a single one may be that of something else.
    prefix = max(_PREFIXES, key=lambda prefix: sum(f"{prefix}{name}" in found for name in wanted))
    named = {name.removeprefix(prefix): v for name, v in found.items() if name.startswith(prefix)}
    of_heads = tuple(f"{head}." for head in heads)
    named, wanted = (
        {name: value for name, value in weights.items() if not name.startswith(of_heads)}
        for weights in (named, wanted)
    )
    missing = [
        name
        for name in wanted.keys() - named.keys()
        if not name.endswith("num_batches_tracked")  # older files have none, and it is not used
    ]
    unexpected = [*(named.keys() - wanted.keys())]
    if missing or unexpected:
        parts = [
            f"{len(names)} of its {what}, such as {', '.join(sorted(names)[:_MOST_NAMES])}"
            for names, what in (
                (missing, "weights are missing"),
                (unexpected, "weights are unexpected"),
            )
            if names
        ]
        problem = f"is not of this architecture: {'; '.join(parts)}"
        raise ArgumentError("weights", typed, problem)
    for name, value in named.items():
        if value.shape != wanted[name].shape:
            problem = (
                f"does not fit: {name} is {tuple(value.shape)} in the file and "
                f"{tuple(wanted[name].shape)} in the network"
            )
            raise ArgumentError("weights", typed, problem)
    return named
