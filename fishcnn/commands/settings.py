"""Reading settings, and checking them before anything expensive begins."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fishcnn.utils.checks import Check, either, flag, optional, path, text
from fishcnn.utils.errors import ArgumentError, FishError, typed

# The folder of the configuration: inside the package in a wheel, beside it in a checkout.
_PACKAGE = Path(__file__).resolve().parents[1]
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"
# In the folder of a group: what its choices have in common.
_COMMON = "base"
MISSING = object()  # in place of the value of a setting that is not there
# The settings of any command whose value is free text: paths, patterns, names. They are taken from
# the command line as typed (commands.overrides), and checked by check_settings wherever they are.
FREE_TEXT: dict[str, Check] = {
    "against": optional(text),
    "augment.name": text,
    "cache_root": text,
    "callbacks.grad_cam.layer": optional(text),
    "ckpt": optional(text),
    "ckpt_path": optional(text),
    "data.cache_root": optional(path),
    "data.endpoint_url": optional(text),
    "data.group_regex": optional(text),
    "data.labels": optional(path),
    "data.masks_root": optional(path),
    "data.root": optional(path),
    "data_root": optional(text),
    "input": optional(text),
    "labels": either(flag, text),
    "layer": optional(text),
    "model.weights": optional(text),
    "output": optional(text),
    "results.root": optional(path),
    "runs": text,
    "sweep.resume": optional(text),
    "target": text,
    "tune.output": optional(text),
    "tune.study": optional(text),
}


def _of_network(name: str, otherwise: Any, *, _root_: DictConfig) -> Any:  # noqa: ANN401
    """A setting of the images as the weights want it that the network starts from.

    It is ``otherwise`` where there are none, or where settings are wrong, which their check says.
    """
    model = _root_.get("model")
    if not isinstance(model, DictConfig) or not (model.get("pretrained") or model.get("weights")):
        return otherwise

    from fishcnn.data.channel_statistics import STATISTICS  # heavy, as are networks
    from fishcnn.models.networks import pretrained_input

    try:
        wanted = pretrained_input(plain(model))
    except ArgumentError:
        wanted = None
    if wanted is None:
        return otherwise
    if name != "normalize":
        return getattr(wanted, name)
    statistics = (wanted.mean, wanted.std)
    return next((word for word, known in STATISTICS.items() if known == statistics), [*statistics])


OmegaConf.register_new_resolver("of_network", _of_network, replace=True)


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a node of the configuration to plain dicts, lists, numbers and strings."""
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def literal(value: Any) -> Any:  # noqa: ANN401 - anything that YAML can hold
    """What OmegaConf has to be given so that ``${`` in a text, of a folder say, stays as it is."""
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [literal(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"(\\*)\$\{", lambda found: f"{found[1] * 2}\\${{", value)


def leaves(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name; a group without any is one itself."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def change_in_words(
    name: str, old: object, new: object, where: str, without: str = "without "
) -> str:
    """What a setting is now and what it was, such as ``seed=1 (0 in that run)``.

    Args:
        name: of the setting.
        old: what it was, or MISSING.
        new: what it is, or MISSING.
        where: it was so: ``run``, say.
        without: what stands before the name of one that is not there now.
    """
    now = f"{without}{name}" if new is MISSING else f"{name}={typed(new)}"
    return f"{now} ({'not set' if old is MISSING else typed(old)} in that {where})"


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


def choices(group: str) -> list[str]:
    """What there is to choose from in a group."""
    return sorted({file.stem for file in (CONF / group).glob("*.yaml")} - {_COMMON})


def check_settings(config: DictConfig, wanted: Mapping[str, Check]) -> None:
    """Check settings before anything is read.

    Args:
        config: of the command.
        wanted: what each setting may be, by dotted name; those that are free text are checked
            without being wanted.

    Raises:
        FishError: a setting has a value that it may not have, or is not there.
    """
    for group in dict.fromkeys(name.rpartition(".")[0] for name in wanted):
        if group:
            check_group(config, group)
    texts = {name: check for name, check in FREE_TEXT.items() if _has(config, name)}
    for name, check in {**texts, **wanted}.items():
        value = OmegaConf.select(config, name, default=check, throw_on_missing=True)
        if value is check:
            raise FishError(f"{name} is missing: leave out ~{name}")
        if isinstance(value, DictConfig | ListConfig):
            value = OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        if problem := check(value):
            raise FishError(f"{name}={typed(value)}: {problem}")


def check_group(config: DictConfig, name: str) -> None:
    """Check that a group, or a part of one by dotted name, was not removed.

    Raises:
        FishError: it was; the message says what there is to choose from.
    """
    group = name.partition(".")[0]
    value = OmegaConf.select(config, group)
    if value is None and (there_is := choices(group)):
        raise FishError(f"{group}=null: choose one of {', '.join(there_is)}")
    value = OmegaConf.select(config, name)
    if not isinstance(value, DictConfig):
        problem = f"{name}={typed(value)}: is a group of settings"
        raise FishError(f"{problem}; set one of them, by {name}.SETTING=VALUE")


def _has(config: DictConfig, name: str) -> bool:
    group, _, key = name.rpartition(".")
    node = OmegaConf.select(config, group) if group else config
    return isinstance(node, DictConfig) and key in node
