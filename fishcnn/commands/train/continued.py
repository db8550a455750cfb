"""Going on with a run under its own settings: only what is typed differs, and only where it may."""

from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from fishcnn.commands.how_computed import HOW_COMPUTED, belongs
from fishcnn.commands.images_of_run import MOVED_SETTINGS, data_here
from fishcnn.commands.run_files import read_config
from fishcnn.commands.settings import MISSING, change_in_words, leaves, literal
from fishcnn.commands.train.own_settings import (
    OF_A_START,
    key_of,
    merged,
    named_run,
    typed_for_job,
    typed_now,
)
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import RunFolder

# A run may go on longer, with other augmentation, be watched otherwise and be computed elsewhere.
# Any other setting, also one that is not thought of here, would make another run of it: with other
# images in the splits, another network, another loss; or it would be overruled by the state of the
# optimizer or of the schedule that the checkpoint holds.
_MAY_DIFFER = (
    *OF_A_START,
    *MOVED_SETTINGS,
    *HOW_COMPUTED,
    "augment",
    # With as many images in all, over another number of processes; see resume.py.
    "data.batch_size",
    "callbacks.early_stopping",
    "trainer.check_val_every_n_epoch",
    "trainer.compile",
    "trainer.devices",
    "trainer.max_epochs",
    "trainer.num_nodes",
    "trainer.precision",
)
# Not typed themselves but for the run, perhaps relative to another place; "data=folder", typed
# again, does not mean those.
_FOLDERS = (*MOVED_SETTINGS, "data.labels", "data.cache_root")


def own_settings(config: DictConfig, folder: RunFolder) -> tuple[DictConfig, list[str]]:
    """The settings of the run that ``ckpt_path=`` names, and on top what was typed for this start.

    Args:
        config: as Hydra has composed it.
        folder: of this start; of a start that is typed again after a kill, its settings count.

    Returns:
        The settings, and the overrides that stand for them. Those of Hydra where no run is named,
        or only a checkpoint without its run folder.

    Raises:
        FishError: a setting was typed that may not differ; the message has both values. Or the
            configuration of the run is damaged, or its images are gone.
    """
    task = typed_for_job()
    run = _run(config, folder)
    if run is None:
        return config, task
    overrides = merged(run, [one for one in task if typed_now(key_of(one))])
    before = read_config(run)
    chosen = compose(HydraConfig.get().job.config_name, [*overrides])
    if labels := chosen.data.get("labels"):
        chosen.data.labels = literal(str(user_path(labels).absolute()))
    _refuse(run, before, chosen)
    now = _overlaid(before, chosen)
    data_here(now, run, _moved(chosen, before))
    for name in ("masks_root", "labels", "cache_root"):
        named = chosen.data.get(name)
        if _chosen_now(f"data.{name}") and (named or name == "masks_root"):
            now.data[name] = named and literal(named)
    return now, overrides


def _run(config: DictConfig, folder: RunFolder) -> RunFolder | None:
    """The run whose settings count."""
    if not config.ckpt_path:
        return None
    run = named_run(config.ckpt_path)
    if folder.config.is_file() and read_config(folder).get("ckpt_path") == config.ckpt_path:
        run = folder
    return run


def _refuse(run: RunFolder, before: DictConfig, chosen: DictConfig) -> None:
    """Refuse what was typed and may not differ."""
    known, now, different = _leaves(before), _leaves(chosen), {}
    for name in {**known, **now}:
        old, new = known.get(name, MISSING), now.get(name, MISSING)
        if _chosen_now(name) and not belongs(name, _MAY_DIFFER) and old != new:
            group = name.partition(".")[0]
            names = [_group_name(group, one) for one in (before, chosen)]
            if names[0] != names[1]:  # a group that is exchanged brings other settings along
                name, old, new = group, *names
            different[name] = (old, new)
    if different:
        told = [change_in_words(name, *both, "run", "~") for name, both in different.items()]
        raise FishError(
            f"{run.path} goes on with its own settings, of which these may not differ: "
            f"{', '.join(told)}; leave them out, or leave out ckpt_path= to begin another run"
        )


def _overlaid(before: DictConfig, chosen: DictConfig) -> DictConfig:
    """The settings of a run, with those that were typed now and those that it did not know yet."""
    now = before.copy()
    known = _leaves(before)
    with open_dict(now):
        for name in known.keys() - _leaves(chosen).keys():
            group, _, inner = name.rpartition(".")
            if _chosen_now(name) and inner in (OmegaConf.select(now, group) or {}):
                del OmegaConf.select(now, group)[inner]
        for name, value in _leaves(chosen).items():
            if _chosen_now(name) or name not in known:
                OmegaConf.update(now, name, literal(value), force_add=True)
    now.ckpt_path, now.find_lr, now.runs = chosen.ckpt_path, chosen.find_lr, chosen.runs
    return now


def _moved(chosen: DictConfig, before: DictConfig) -> DictConfig:
    """The folders of the data that were typed for this start, where they are others than before."""
    moved = {}
    for name in ("root", "masks_root"):
        folder = chosen.data.get(name) if _chosen_now(f"data.{name}") else None
        same = folder and str(user_path(folder).absolute()) == before.data.get(name)
        moved[name] = None if same else folder
    return DictConfig(literal(moved))


def _leaves(config: DictConfig) -> dict[str, Any]:
    """Every setting by its dotted name."""
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return dict(leaves(content))


def _chosen_now(name: str) -> bool:
    if name in _FOLDERS:
        return typed_now(name, itself=True)
    return typed_now(name) or typed_now("experiment")  # which chooses settings of any group


def _group_name(group: str, config: DictConfig) -> object:
    settings = config.get(group)
    return settings.get("name") if isinstance(settings, DictConfig) else None
