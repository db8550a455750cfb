"""Reading settings, and checking them before anything expensive begins."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fishcnn.utils.checks import Check
from fishcnn.utils.errors import ArgumentError, FishError, typed

# The folder of the configuration: inside the package in a wheel, beside it in a checkout.
_PACKAGE = Path(__file__).resolve().parents[1]
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a node of the configuration to plain dicts, lists, numbers and strings."""
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@contextmanager
def as_settings(prefix: str = "", **names: str) -> Iterator[None]:
    """Let errors about arguments of the library name the settings that the arguments came from.

    Args:
        prefix: what stands before the name of every argument, such as ``data.``.
        names: the settings of arguments that are called something else, such as
            ``root="data_root"``.

    Raises:
        FishError: in place of an :class:`~fishcnn.utils.errors.ArgumentError`.
    """
    try:
        yield
    except ArgumentError as error:
        setting = names.get(error.name, f"{prefix}{error.name}")
        raise FishError(f"{setting}={typed(error.value)}: {error.problem}") from error


def check_settings(config: DictConfig, wanted: Mapping[str, Check]) -> None:
    """Check settings before anything is read.

    Args:
        config: of the command.
        wanted: what each setting may be, by dotted name; a name that the configuration does not
            have, such as that of another network, is passed over.

    Raises:
        FishError: a setting has a value that it may not have.
    """
    for name, check in wanted.items():
        value = OmegaConf.select(config, name, default=check, throw_on_missing=True)
        if value is not check and (problem := check(value)):
            raise FishError(f"{name}={typed(value)}: {problem}")
