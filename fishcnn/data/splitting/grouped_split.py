"""From decoded pictures to a split in which near-duplicates are on the same side."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.duplicates.finder import FINDER_VERSION, Duplicates, find_duplicates
from fishcnn.data.splitting.groups import groups_by_name, leaked_by_random_split
from fishcnn.data.splitting.partitions import merge_groups
from fishcnn.data.splitting.split import Split, check_shares, draw_split, split_from_folders
from fishcnn.utils.errors import FishError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitSettings:
    """How to split what is not split already.

    Attributes:
        val_fraction: Share of the pictures for validation.
        test_fraction: Share that neither training nor validation sees.
        folds: Number of folds for cross-validation, or None.
        fold: Which of them is validated on, from 0.
        seed: Of the draw; independent of the seed of the training.
        group_duplicates: Whether near-duplicates are looked for and kept together.
        group_regex: What the names of pictures that belong together have in common, or None.
    """

    val_fraction: float
    test_fraction: float
    folds: int | None
    fold: int
    seed: int
    group_duplicates: bool
    group_regex: str | None

    @property
    def held_out(self) -> float:
        """Share of the pictures that are validated on."""
        return 1 / self.folds if self.folds else self.val_fraction

    def check(self) -> None:
        """Check what can be checked before the pictures are known.

        Raises:
            FishError: A setting is out of range; the message names it.
        """
        if self.seed < 0:
            raise FishError(f"data.split_seed={self.seed}: wanted 0 or more")
        check_shares(
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            folds=self.folds,
            fold=self.fold,
        )
        if self.group_regex is not None:
            groups_by_name([], self.group_regex)


@dataclass(frozen=True)
class Splitting:
    """A split, and what was looked at to make it.

    Attributes:
        split: Which picture is on which side.
        groups: int64 (N,), number of the group of each picture that no split separates.
        duplicates: Near-duplicates, or None where nobody looked for them.
        leaked: int64 (L,), pictures that have a member of their group in training although they
            are held out: by a plain random split, or, where the folder is split already, by that.
        drawn: Whether the split was drawn here.
    """

    split: Split
    groups: NDArray[np.int64]
    duplicates: Duplicates | None
    leaked: NDArray[np.int64]
    drawn: bool


def split_images(pictures: ImageSet, settings: SplitSettings) -> Splitting:
    """Split pictures so that no group is on two sides; or take the split that they came with.

    Raises:
        FishError: A setting is out of range, or asks to draw what is split already.
    """
    duplicates = known_duplicates(pictures) if settings.group_duplicates else None
    groups = np.arange(len(pictures.labels)) if duplicates is None else duplicates.groups
    if settings.group_regex is not None:
        groups = merge_groups(groups, groups_by_name(pictures.paths, settings.group_regex))
    if pictures.splits is not None:
        if settings.folds is not None or settings.test_fraction:
            raise FishError(
                "data.folds and data.test_fraction draw a split, but the folder has train/ and "
                "val/ already: leave them out, or name a folder that has the classes in it"
            )
        split = split_from_folders(pictures.splits)
        held_out = np.concatenate([split.val, split.test])
        leaked = held_out[np.isin(groups[held_out], groups[split.train])]
        return Splitting(split, groups, duplicates, leaked, drawn=False)
    split = draw_split(
        pictures.labels,
        groups,
        val_fraction=settings.val_fraction,
        test_fraction=settings.test_fraction,
        folds=settings.folds,
        fold=settings.fold,
        seed=settings.seed,
    )
    leaked = leaked_by_random_split(
        pictures.labels, groups, val_fraction=settings.held_out, seed=settings.seed
    )
    return Splitting(split, groups, duplicates, leaked, drawn=True)


def known_duplicates(pictures: ImageSet) -> Duplicates:
    """Find the near-duplicates, or read them from the cache where these pictures had them found."""
    file = pictures.arrays and pictures.arrays.with_suffix(f".duplicates{FINDER_VERSION}")
    if file and (known := _load(file)):
        return known
    duplicates = find_duplicates(
        pictures.fingerprints,
        pictures.pixels,
        pictures.aspect,
        [digest.tobytes().hex() for digest in pictures.digests],
    )
    if file:
        _save(duplicates, file)
    return duplicates


def _load(file: Path) -> Duplicates | None:
    """Read what was found before; None where nothing was, or somebody has damaged it."""
    if not file.is_file():
        return None
    try:
        with file.open("rb") as stream, np.load(stream) as content:
            return Duplicates(content["pairs"], content["groups"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        log.warning("%s is damaged (%s): looking for near-duplicates again.", file, error)
        return None


def _save(duplicates: Duplicates, file: Path) -> None:
    new = file.with_suffix(f".new{os.getpid()}")
    try:
        with new.open("wb") as stream:
            np.savez(stream, pairs=duplicates.pairs, groups=duplicates.groups)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
    except OSError as error:  # they are known for this run; only the next one has to look again
        log.warning("The near-duplicates cannot be kept in %s: %s", file, error)
        new.unlink(missing_ok=True)
