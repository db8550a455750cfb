"""The probe's features of the images that a command has looked at."""

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from fishcnn.commands.build import build_datamodule, check_weights, compose_config
from fishcnn.commands.settings import as_settings, literal, plain
from fishcnn.commands.trained_run import best_device
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.sources import Folders
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.networks import pretrained_input
from fishcnn.models.pretrained.backbone import Backbone
from fishcnn.training.probe.features import features_folder, image_features
from fishcnn.training.probe.out_of_fold import ProbedImages
from fishcnn.utils.errors import FishError

# Settings of images that are the network's and not the user's.
_OF_NETWORK = ("image_size", "working_size", "normalize")


def check_probe(config: DictConfig) -> None:
    """Check that there is all that a probe needs, and say what its network was trained on.

    Args:
        config: of the command, with the group ``data``.

    Raises:
        FishError: the packages of the network are not installed, or its weights cannot be had.
    """
    check_weights(_probe_settings(config))


def _probe_settings(config: DictConfig) -> DictConfig:
    """Compose what ``experiment=probe`` would be for the images of a command."""
    probe = compose_config("experiment=probe", f"data={config.data.name}")
    for name, value in plain(config.data).items():
        if name not in _OF_NETWORK:
            probe.data[name] = literal(value)
    return probe


def probed_images(config: DictConfig, images: ImageSet, groups: NDArray[np.int64]) -> ProbedImages:
    """Compute the features of all images, or take them from the cache that training shares.

    Args:
        config: of the command, with the group ``data``.
        images: of the same folder, at any size.
        groups: int64 ``(n,)``, which of them belong together.

    Raises:
        FishError: the images have changed in the meantime, or the weights cannot be had.
    """
    probe = _probe_settings(config)
    datamodule = build_datamodule(probe)
    index, model = images.index, plain(probe.model)
    with as_settings("data."):
        folders = Folders(index.root, index.masks_root, probe.data.get("layout", "auto"))
        decoded = datamodule.decode(folders, quiet=True)
    if decoded.paths != images.paths:
        raise FishError(f"{index.root} has changed while it was looked at; type the command again")
    with as_settings("model."):
        wanted = pretrained_input(model)
        assert wanted is not None
        classifier = FishClassifier(
            classes=[*images.classes],
            image_size=datamodule.image_size,
            working_size=datamodule.working_size,
            resize=datamodule.resize,
            mean=wanted.mean,
            std=wanted.std,
            model=model,
        )
        assert isinstance(classifier.network, Backbone)
        classifier.network.load_pretrained()
    classifier.to(best_device())
    rows = np.arange(len(images.paths))
    features = image_features(classifier, decoded, rows, features_folder(datamodule))
    labels = torch.from_numpy(images.labels).to(features.device)
    return ProbedImages(features, labels, groups, len(images.classes))
