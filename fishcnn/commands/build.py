"""From the configuration to the parts of a run."""

import logging
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import fields
from inspect import signature
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from torch import nn

from fishcnn.commands.overrides import quote_values
from fishcnn.commands.settings import CONF, as_settings, check_group, plain
from fishcnn.data.augmentation.recipe import Recipe
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.sources import BengaliFishSource, FolderSource, Source, SyntheticSource
from fishcnn.data.streaming.packed_files import S3, check_litdata
from fishcnn.data.streaming.stream_datamodule import StreamDataModule
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.networks import check_network, pretrained_input
from fishcnn.models.optimization import OPTIMIZERS, check_optimizer, check_scheduler
from fishcnn.models.pretrained.backbone import Backbone
from fishcnn.models.registry import NETWORKS
from fishcnn.models.sharding import ShardedClassifier
from fishcnn.utils.checks import choice
from fishcnn.utils.errors import FishError, typed
from fishcnn.utils.text import for_shells

log = logging.getLogger(__name__)

_SOURCE = choice("folder", "bengali_fish", "synthetic", "stream")
# The arguments of a classifier that are not in the group ``model``.
_CLASSIFIER_SETTINGS = {
    **{group: group for group in ("model", "optimizer", "scheduler")},
    "image_size": "data.image_size",
}


def compose_config(*overrides: str) -> DictConfig:
    """Compose ``conf/train.yaml`` as ``scripts/train.py`` would, without its command line.

    Args:
        overrides: as they are typed there, for example ``"data.image_size=96"``.
    """
    # Within a command Hydra has begun already.
    begun = GlobalHydra.instance().is_initialized()
    with nullcontext() if begun else initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(quote_values(overrides)))


def build_source(config: DictConfig) -> Source:
    """Build the source of images that ``data.name`` names.

    Args:
        config: the ``data`` group.

    Raises:
        FishError: ``data.root`` is not set, or no source has that name.
    """
    data = plain(config)
    name = data.get("name")
    if problem := _SOURCE(name):
        raise FishError(f"data.name={typed(name)}: {problem}")
    with as_settings("data.", images_per_class="data.pictures_per_class"):
        if name == "bengali_fish":
            return BengaliFishSource(data.get("root"))
        if name == "stream":
            return _build_stream(data).source
        if name == "synthetic":
            data["images_per_class"] = data.pop("pictures_per_class", None)
            names = (field.name for field in fields(SyntheticSource))
            return SyntheticSource(**{name: data[name] for name in names if name in data})
        if not data.get("root"):
            raise FishError("data.root is not set: add data.root=/path/to/images")
        # A run folder of an earlier version has no layout.
        return FolderSource(data["root"], data.get("masks_root"), data.get("layout", "auto"))


def build_datamodule(config: DictConfig) -> FishDataModule:
    """Build the datamodule of the ``data`` and ``augment`` groups.

    Raises:
        FishError: a setting is out of range.
    """
    for group in ("data", "augment"):
        check_group(config, group)
    with as_settings("augment."):
        recipe = Recipe.from_config(plain(config.augment))
    seed = config.get("seed")
    with as_settings("data.", seed="seed"):
        if config.data.get("name") == "stream":
            return _build_stream(plain(config.data), recipe=recipe, seed=seed)
        # The seed of the data is that of its drawing.
        of_source = {"root", "masks_root", "layout", "seed"}
        data = _arguments_of(FishDataModule, plain(config.data), of_source)
        source = build_source(config.data)
        return FishDataModule(source=source, recipe=recipe, seed=seed, **data)


def _arguments_of(
    datamodule: type, data: Mapping[str, Any], others: Collection[str] = ()
) -> dict[str, Any]:
    """The settings of the group ``data`` that a datamodule takes, but for some others."""
    arguments = signature(datamodule).parameters.keys() - others
    return {name: value for name, value in data.items() if name in arguments}


def _build_stream(data: Mapping[str, Any], **more: Any) -> StreamDataModule:
    """Build the datamodule of ``data=stream``, whose settings are its arguments."""
    if not data.get("root"):
        raise FishError(
            "data.root is not set: add data.root=/path/to/packed/images or data.root=s3://bucket"
        )
    if str(data["root"]).startswith(S3):
        check_litdata("root", data["root"])
    return StreamDataModule(**_arguments_of(StreamDataModule, data), **more)


def prepare_images(datamodule: FishDataModule) -> None:
    """Download or draw, scan, decode and split the images of a configuration.

    Raises:
        FishError: the images are not there or cannot be trained on; the message names the setting.
    """
    with as_settings("data.", images_per_class="data.pictures_per_class"):
        datamodule.prepare_data()
        datamodule.setup()


def check_classifier(config: DictConfig) -> nn.Module | None:
    """Raise the errors of :func:`build_classifier` that need no data.

    Returns:
        The network, without weights; None where that is not possible.

    Raises:
        FishError: a setting of the network, the optimizer or the schedule is unknown or out of
            range.
    """
    for group in ("model", "optimizer", "scheduler"):
        check_group(config, group)
    with as_settings("optimizer.", optimizer="optimizer"):
        check_optimizer(plain(config.optimizer))
    with as_settings("scheduler.", scheduler="scheduler"):
        lr = OPTIMIZERS.complete(plain(config.optimizer))["lr"]
        check_scheduler(plain(config.scheduler), lr=lr)
    model = plain(config.model)
    with as_settings("model.", model="model", image_size="data.image_size"):
        known = NETWORKS.complete(model)
        if others := [key for key in model if key not in NETWORKS.complete(known["name"])]:
            # An experiment that sets up one network, say, with another one on the command line.
            raise FishError(
                f"model={model['name']} has no setting {', '.join(others)}; leave "
                f"{'it' if len(others) == 1 else 'them'} out by adding "
                f"{for_shells(f'~model.{key}' for key in others)}"
            )
        network = check_network(model, image_size=config.data.image_size)
    return network


def check_weights(config: DictConfig) -> None:
    """Read or fetch the weights that a network starts from, before the data is read, and say so.

    Raises:
        FishError: they cannot be had, or are not those of this network.
    """
    model = plain(config.model)
    with as_settings("model.", **_CLASSIFIER_SETTINGS):
        wanted = pretrained_input(model)
        network = check_network(model, image_size=config.data.image_size)
        if wanted is None or not isinstance(network, Backbone):
            return
        network.checked_weights()
    normalize = typed(plain(config.data)["normalize"]).replace(", ", ",")
    log.info(
        "Pretrained on images of %d pixels: data.image_size=%s, data.normalize=%s",
        *(wanted.image_size, config.data.image_size, normalize),
    )


def build_classifier(
    config: DictConfig, datamodule: FishDataModule, *, fetch: bool = True
) -> FishClassifier:
    """Build the classifier for a datamodule.

    Args:
        config: of the run.
        datamodule: set up.
        fetch: whether to fetch the pretrained weights that the settings may ask for.

    Raises:
        FishError: a setting cannot be used, or the weights cannot be fetched.
    """
    with as_settings("model.", **_CLASSIFIER_SETTINGS):
        kind = ShardedClassifier if config.trainer.get("strategy") == "fsdp" else FishClassifier
        return kind.for_data(
            datamodule,
            model=plain(config.model),
            optimizer=plain(config.optimizer),
            scheduler=plain(config.scheduler),
            label_smoothing=config.loss.label_smoothing,
            fetch=fetch,
        )
