"""The images of a run, wherever they lie by now, and whether they are still the same."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from fishcnn.commands.build import build_datamodule, build_source, prepare_images
from fishcnn.commands.run_files import read_config, read_overrides, read_split
from fishcnn.commands.settings import as_settings, literal
from fishcnn.commands.trained_run import run_of
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.decode import content_digest, in_order
from fishcnn.data.image_index import DIGEST_BYTES
from fishcnn.data.sources import SyntheticSource
from fishcnn.data.splitting.split_digests import SplitDigests
from fishcnn.utils.arrays import DamagedFile
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import as_on_disk
from fishcnn.utils.machine import usable_cpus, user_path
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import normalised

log = logging.getLogger(__name__)

# Settings of every script that looks at the images of a run, where they have moved.
MOVED_SETTINGS = ("data.root", "data.masks_root")
# Of what a data set brings along around the class folders.
_INNER = ("", "pictures", "fish_images")
_NAMED = 3
_SPLITS = ("train", "val", "test")


def run_datamodule(checkpoint: Path, moved: DictConfig | None = None) -> FishDataModule:
    """The images of the folder that a checkpoint was trained on, split by the same settings.

    Args:
        checkpoint: in its run folder.
        moved: the group ``data`` of the command, with the folders where the images are now.

    Raises:
        FishError: the checkpoint was moved out of its run folder, or the images are gone, or others
            lie there by now.
    """
    run = run_of(checkpoint)
    config = read_config(run)
    data_here(config, run, moved)
    read_split(run)  # without it nobody could tell what was held out
    try:
        datamodule = build_datamodule(config)
    except (FishError, TypeError) as error:  # of a setting that somebody has changed
        raise FishError(f"{run.config} is damaged: {error}") from error
    prepare_images(datamodule)
    check_same_images(run, datamodule)
    return datamodule


def check_same_images(run: RunFolder, datamodule: FishDataModule) -> None:
    """Check that the images of a datamodule, set up, are those that a run was trained on.

    Raises:
        FishError: some are missing or have other content; the message says how many.
    """
    images = datamodule.images
    names = map(normalised, images.paths.posix)
    found = dict(zip(names, map(bytes, images.digests), strict=True))
    # Drawn images are the same, but another version of the encoder writes other bytes.
    drawn = isinstance(datamodule.source, SyntheticSource)
    _check_same(run, images.index.root, found, known_digests(run), _SPLITS, drawn=drawn)


def validation_files(checkpoint: Path, moved: DictConfig | None = None) -> tuple[Path, list[Path]]:
    """The images that a run held out, as its ``split.json`` says, after the folder they lie in.

    Raises:
        FishError: they are not where ``moved`` says, or others lie there.
    """
    run = run_of(checkpoint)
    config = read_config(run)
    data_here(config, run, moved, splits=("val",))
    with as_settings("data."):
        root = build_source(config.data).folders().root
    check_packed_from(config.data.get("root"), root)
    return root, [as_on_disk(root, Path(path)) for path in read_split(run)["val"]]


def check_packed_from(place: str | None, root: Path) -> None:
    """Check that the files of packed images are on this machine; those of a folder always are.

    Raises:
        FishError: ``root``, which those in ``place`` were packed from, is not there.
    """
    if not root.is_dir():
        raise FishError(
            f"data.root={place} holds squares that were packed from {root}, which is not on this "
            "machine: name the images by input="
        )


def warn_unused(moved: DictConfig) -> None:
    """Say that the folders of the group ``data`` are not looked at, where only others are."""
    if typed := [f"data.{name}={moved[name]}" for name in ("root", "masks_root") if moved[name]]:
        log.warning(
            "%s has no effect: it says where the images of the run are, and these are not needed.",
            " ".join(typed),
        )


def write_digests(datamodule: FishDataModule, run: RunFolder, *, resumed: Path | None) -> None:
    """Write down what the images of a run are, which goes on from a checkpoint or from none."""
    before = RunFolder.of(resumed) if resumed else None
    known = known_digests(before) if before else None
    SplitDigests.of(datamodule.images, datamodule.split, known).save(run.digests)


def training_rows(datamodule: FishDataModule, run: RunFolder) -> NDArray[np.int64]:
    """Which images of a datamodule a run was trained on, by their names in ``split.json``."""
    if not run.split.is_file():
        return datamodule.split.train
    trained = {normalised(path) for path in read_split(run)["train"]}
    paths = datamodule.images.paths
    names = np.array([normalised(path) in trained for path in paths.posix], np.bool_)
    return np.flatnonzero(names).astype(np.int64)


def known_digests(run: RunFolder) -> SplitDigests | None:
    """What the images of a run were; None where that is not known."""
    try:
        return SplitDigests.load(run.digests)
    except FileNotFoundError:  # of a run of an earlier version
        return None
    except (DamagedFile, OSError) as error:
        log.warning("%s cannot be used (%s): images are compared by name.", run.digests, error)
        return None


def data_here(
    config: DictConfig,
    run: RunFolder,
    moved: DictConfig | None,
    *,
    splits: Sequence[str] = _SPLITS,
) -> None:
    """Change the configuration of a run to where the folders of its data are now.

    Args:
        config: of the run; it is changed.
        run: its folder.
        moved: the settings ``root`` and ``masks_root`` of the command, each of them null where
            nothing has moved.
        splits: of which the images in a folder that has moved are compared with those of the run.

    Raises:
        FishError: a folder is gone, or holds other images.
    """
    data, typed = config.data, OmegaConf.create({}) if moved is None else moved
    if data.name == "stream":
        data.root = literal(typed.get("root") or data.root)
        data.cache_root = _cache_here(_folder(data.get("cache_root")), run)
        return
    root = before = _folder(data.get("root"))
    masks = _folder(data.get("masks_root"))
    if typed.get("root"):
        root = _class_folders(_typed_folder("data.root", typed.root), run)
        masks = _masks_beside(root, before, masks)
        # Of a source that would look for its images, or draw them, by itself.
        data.name, data.root = "folder", literal(str(root))
    elif before is not None and not before.is_dir():
        raise FishError(
            f"data.root={before}: the images of the run {run.path} are no longer there; say where "
            "they are now by data.root=/where/they/are/now"
        )
    if typed.get("root"):  # before errors about masks, which are of others as well
        _check_files(run, Path(data.root), splits)
    if typed.get("masks_root"):
        masks = _typed_folder("data.masks_root", typed.masks_root)
    elif masks is not None and not masks.is_dir():
        log.warning(
            "The masks of the run are not in %s, and are left out; say where they are now by "
            "data.masks_root=/where/they/are/now",
            masks,
        )
        masks = None
    if data.name == "folder":
        data.masks_root = masks and literal(str(masks))
    if data.get("labels"):
        data.labels = literal(str(_labels_of(run)))
    data.cache_root = _cache_here(_folder(data.get("cache_root")), run)


def check_same_labels(run: RunFolder, datamodule: FishDataModule) -> None:
    """Check that a table of labels changes what it did when a run began.

    Args:
        run: the earlier start.
        datamodule: its folders are scanned, if its settings name a table.

    Raises:
        FishError: the table has been edited since.
    """
    if datamodule.labels is None:
        return
    now = datamodule.corrected_labels()
    if now.table() != _labels_of(run).read_text(encoding="utf-8"):
        raise FishError(
            f"data.labels={datamodule.labels} gives other classes than when the run {run.path} "
            f"began. Begin another run, in another folder, or take those of this one by "
            f"data.labels={run.labels}"
        )


def _labels_of(run: RunFolder) -> Path:
    """The table of corrected labels that a run has kept."""
    if not run.labels.is_file():
        raise FishError(
            f"{run.labels} is missing, which has the classes that the run was trained with: "
            "without it they are not known"
        )
    return run.labels.absolute()


def _folder(known: str | None) -> Path | None:
    return user_path(known) if known else None


def _typed_folder(setting: str, typed: str) -> Path:
    folder = user_path(typed).absolute()
    if not folder.is_dir():
        raise FishError(f"{setting}={typed}: is not a folder")
    return folder


def _class_folders(typed: Path, run: RunFolder) -> Path:
    """Where the paths in ``split.json`` begin: in a folder, or in one that a data set has in it."""
    if run.split.is_file():
        listed = [path for paths in read_split(run).values() for path in paths]
        for inner in _INNER:
            if any(as_on_disk(typed / inner, Path(path)).is_file() for path in listed):
                return typed / inner
    return typed


def _masks_beside(root: Path, before: Path | None, masks: Path | None) -> Path | None:
    """Where masks lie that have moved along with their images, or else where they were."""
    if masks is not None and before is not None:
        beside = Path(os.path.normpath(root / os.path.relpath(masks, before)))
        return beside if beside.is_dir() else masks
    drawn = root.parent / "masks"
    return drawn if before is None and drawn.is_dir() else None


def _cache_here(known: Path | None, run: RunFolder) -> str | None:
    """The folder of the cache that was typed for a run, if it can be there; None for today's.

    The environment variable of today comes before it.
    """
    typed = any(override.startswith("data.cache_root=") for override in read_overrides(run))
    today = os.environ.get("FISHCNN_CACHE")
    if today or known is None or (not typed and run.overrides.is_file()):
        return None  # runs of an earlier version have written down the one of their day
    there = known if known.is_dir() else known.parent
    if there.is_dir() and os.access(there, os.W_OK):
        return str(literal(str(known)))
    log.warning("The image cache of the run, %s, no longer exists: the usual one is used.", known)
    return None


def _check_files(run: RunFolder, root: Path, splits: Sequence[str]) -> None:
    """Compare the files of splits with those that a run was trained on; see _check_same()."""
    if not run.split.is_file():
        return
    split, digests = read_split(run), known_digests(run)
    files = {
        normalised(path): as_on_disk(root, Path(path)) for name in splits for path in split[name]
    }
    there = {name: file for name, file in files.items() if file.is_file()}

    def digest(file: Path) -> bytes:
        return bytes(content_digest(file, None)[: DIGEST_BYTES // 2]) if digests else b""

    read = in_order(digest, there.values(), workers=usable_cpus())
    found = dict(zip(there, read, strict=True))
    _check_same(run, root, found, digests, splits, drawn=False)


def _check_same(
    run: RunFolder,
    root: Path,
    found: dict[str, bytes],
    digests: SplitDigests | None,
    splits: Sequence[str],
    *,
    drawn: bool,
) -> None:
    """Compare images, digests by normalised relative path, with those that a run was trained on.

    Raises:
        FishError: some are missing or have other content; the message says how many.
    """
    if not run.split.is_file():
        return
    split = read_split(run)
    listed = [path for name in splits for path in split[name]]
    missing = [path for path in listed if normalised(path) not in found]
    different = []
    for name in splits if digests else ():
        known = getattr(digests, name)
        if len(known) == len(split[name]):  # else one of the two files is of another run
            pairs = zip(split[name], map(bytes, known), strict=True)
            different += [
                path for path, digest in pairs if found.get(normalised(path), digest) != digest
            ]
    if drawn and different and not missing:
        log.warning(
            "%d of %d images were drawn anew and are not the same to the byte as those of the "
            "training; another version of Pillow writes them so.",
            len(different),
            len(listed),
        )
    elif missing or different:
        faults = [_some("missing", missing), _some("different from then", different)]
        raise FishError(
            f"data.root={root} has changed since the training, or holds other images: of "
            f"{len(listed)} that {run.split} lists, {', '.join(filter(None, faults))}. Restore "
            "them, or say where they are now by data.root=/where/they/are/now"
        )


def _some(fault: str, paths: Sequence[str]) -> str:
    more = ", ..." if len(paths) > _NAMED else ""
    return f"{len(paths)} are {fault} ({', '.join(paths[:_NAMED])}{more})" if paths else ""
