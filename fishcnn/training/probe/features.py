"""What a network computes before its head, of each image and its mirror image."""

import hashlib
import logging
import os
import uuid
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.models.pretrained.backbone import Backbone
from fishcnn.utils import stopping
from fishcnn.utils.arrays import DamagedFile, read_arrays, write_arrays

log = logging.getLogger(__name__)

_BATCH = 32


def training_features(classifier: FishClassifier, datamodule: FishDataModule) -> Tensor:
    """Compute the input of the head for the training images, in the order of that split.

    See :func:`image_features`.
    """
    folder = features_folder(datamodule)
    return image_features(classifier, datamodule.images, datamodule.split.train, folder)


def features_folder(datamodule: FishDataModule) -> Path | None:
    """Where features are kept, beside the decoded images; None where these are not, either."""
    on_disk = datamodule.cache == "disk"
    return datamodule.cache_root.with_name("features") if on_disk else None


def image_features(
    classifier: FishClassifier, images: ImageSet, rows: NDArray[np.int64], folder: Path | None
) -> Tensor:
    """Compute the input of the head for some images, or take it from the cache.

    In the cache, one file belongs to a network with its weights and to an image size. It holds the
    features of every image that they were ever computed for, so that folds of a cross-validation
    share them.

    Args:
        classifier: its network is a :class:`Backbone`.
        images: decoded to the working size of the classifier.
        rows: int64 ``(n,)``, which of them.
        folder: of the cache, or None.

    Returns:
        float32 ``(n, 2, D)`` on the device of the classifier, in the order of the rows: the image
        and its mirror image.
    """
    head = cast(Backbone, classifier.network).head
    names = _names(images, rows)
    known: dict[bytes, NDArray[np.float32]] = {}
    file = folder and folder / f"{_key(classifier, head)}.npz"
    if file is not None:
        known = _read(file)
    missing = [place for place, name in enumerate(names) if name not in known]
    if missing:
        log.info("Computing the features of %d of %d images.", len(missing), len(rows))
        computed = _compute(classifier, head, images, rows[missing])
        known |= zip([names[place] for place in missing], computed, strict=True)
        if file is not None:
            _write(file, known)
    return torch.from_numpy(np.stack([known[name] for name in names])).to(classifier.device)


def _names(images: ImageSet, rows: NDArray[np.int64]) -> list[bytes]:
    """What tells decoded images from each other: the file and the pixels that it was decoded to."""
    checksums = images.facts["checksum"][:, 0]
    return [images.digests[row].tobytes() + checksums[row].tobytes() for row in rows.tolist()]


def _key(classifier: FishClassifier, head: nn.Module) -> str:
    """Of all that features depend on besides the image."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(repr((type(classifier.network), classifier.hparams["model"])).encode())
    digest.update(repr((classifier.image_size, classifier.working_size)).encode())
    own = {id(value) for value in head.state_dict(keep_vars=True).values()}
    weights = {"mean": classifier.mean, "std": classifier.std}
    weights |= classifier.network.state_dict(keep_vars=True)
    for name, value in weights.items():
        if id(value) not in own:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _compute(
    classifier: FishClassifier, head: nn.ModuleList, images: ImageSet, rows: NDArray[np.int64]
) -> list[NDArray[np.float32]]:
    """Run images through the network as they are seen when they are validated, each ``(2, D)``."""
    seen: list[Tensor] = []
    hooks = [
        part.register_forward_pre_hook(lambda _part, inputs: seen.append(inputs[0]))
        for part in head
    ]
    training = classifier.training
    classifier.eval()
    found: list[NDArray[np.float32]] = []
    try:
        with torch.inference_mode():
            for start in range(0, len(rows), _BATCH):
                stopping.check_stopped()
                raw = images.gather(torch.from_numpy(rows[start : start + _BATCH]))["image"]
                batch = resize(raw, classifier.image_size).to(classifier.device)
                views = []
                for view in (batch, batch.flip(-1)):
                    classifier(view)
                    # Logits that are averaged are those of the mean, if the layers are the same.
                    views.append(torch.stack([one.flatten(1).float() for one in seen]).mean(0))
                    seen.clear()
                found += [*torch.stack(views, 1).cpu().numpy()]
    finally:
        for hook in hooks:
            hook.remove()
        classifier.train(training)
    return found


def _read(file: Path) -> dict[bytes, NDArray[np.float32]]:
    try:
        arrays = read_arrays(file)
        names, features = arrays["names"], arrays["features"]
        return {name.tobytes(): row for name, row in zip(names, features, strict=True)}
    except FileNotFoundError:
        return {}
    except (OSError, DamagedFile, KeyError, ValueError) as error:
        log.warning("%s is damaged (%s): the features are computed again.", file, error)
        return {}


def _write(file: Path, known: dict[bytes, NDArray[np.float32]]) -> None:
    """Replace the file in one step; who cannot write computes again next time."""
    names = np.array([np.frombuffer(name, np.uint8) for name in known])
    new = file.with_name(f"{file.stem}-{uuid.uuid4().hex[:12]}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(new, names=names, features=np.stack([*known.values()]))
        os.replace(new, file)
    except OSError as error:
        log.warning("The features could not be kept in %s: %s", file, error)
        new.unlink(missing_ok=True)
