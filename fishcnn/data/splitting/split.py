"""Which images train the network and which are held out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.relative_paths import RelativePaths
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.data.splitting.stratified_groups import assign_folds, draw_groups
from fishcnn.utils.errors import ArgumentError
from fishcnn.utils.files import write_text


@dataclass(frozen=True)
class Split:
    """Indices of images, each sorted, no index twice.

    Attributes:
        train: int64 (n_train,).
        val: int64 (n_val,).
        test: int64 (n_test,), only for evaluation; empty unless the folder came with a test/ of its
            own or ``test_fraction`` is above 0.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def stratified_split(labels: NDArray[np.int64], *, val_fraction: float, seed: int) -> Split:
    """Draw a validation split that has every class in proportion.

    A class of n images gives n · val_fraction of them, rounded down or up so that the total comes
    out right (largest remainder first, then lower label), but always at least one, and always
    leaves at least one to train on. A class of a single image stays in train. Many classes of two
    or three images can therefore push the total above the fraction.

    The draw depends on the arguments alone: NumPy's global random state is neither read nor
    touched, and PCG64 gives the same stream on every machine.

    Labels are int64 (N,), >= 0; 0 < val_fraction < 1; seed >= 0.
    """
    counts = np.bincount(labels)
    val_counts = _apportion(counts, val_fraction, np.maximum(counts - 1, 0))
    generator = np.random.Generator(np.random.PCG64(seed))
    is_val = np.zeros(len(labels), np.bool_)
    for label, wanted in enumerate(val_counts):
        is_val[generator.permutation(np.flatnonzero(labels == label))[:wanted]] = True
    return _split(~is_val, is_val, np.zeros_like(is_val))


def draw_split(
    labels: NDArray[np.int64], groups: NDArray[np.int64] | None, settings: SplitSettings
) -> Split:
    """Draw splits that have every class in proportion and share no group.

    The test split is drawn first; it depends on labels, groups, test_fraction and split_seed alone.
    What is left is spread over folds, one of which is the validation split; or, with folds None,
    gives the validation split its val_fraction of all images.

    Groups limit what is possible. Each class keeps a group in training, then has one in validation,
    then in test, so that a class of one group is only learnt from and one of two is not tested
    (:func:`absent_classes` tells which). The folds together validate each image that is not in the
    test split once, but for those of classes of one group.

    Without groups, test split and folds this is :func:`stratified_split`.

    Args:
        labels: int64 (N,), >= 0.
        groups: int64 (N,), the same number for images that must stay together, which may be of
            several classes; None if every image stands alone.
        settings: Shares, folds and seed.

    Raises:
        ArgumentError: A setting is out of its range, or the groups are too few to fill a split that
            was asked for.
    """
    settings.check()
    count, folds, test_fraction = len(labels), settings.folds, settings.test_fraction
    if groups is None:
        groups = np.arange(count, dtype=np.int64)
    if test_fraction == 0 and folds is None and len(np.unique(groups)) == count:
        return stratified_split(
            labels, val_fraction=settings.val_fraction, seed=settings.split_seed
        )
    # Each split has a random stream of its own: otherwise a test split would be what a validation
    # split of the same share has been before.
    test_stream, val_stream = (
        np.random.Generator(np.random.PCG64([settings.split_seed, n])) for n in (1, 2)
    )
    counts = np.bincount(labels)
    is_test = np.zeros(count, np.bool_)
    if test_fraction > 0:
        wanted = _apportion(counts, test_fraction, np.maximum(counts - 2, 0))
        is_test = draw_groups(labels, groups, wanted, leave=2, generator=test_stream)
        if not is_test.any():
            raise ArgumentError(
                "test_fraction",
                test_fraction,
                "no group of images can be spared, as each class keeps one for training and one "
                "for validation; choose 0",
            )
    rest = np.flatnonzero(~is_test)
    is_val = np.zeros(count, np.bool_)
    if folds is None:
        most = np.maximum(np.bincount(labels[rest], minlength=len(counts)) - 1, 0)
        wanted = _apportion(counts, settings.val_fraction, most)
        is_val[rest] = draw_groups(
            labels[rest], groups[rest], wanted, leave=1, generator=val_stream
        )
        if not is_val.any():
            raise ArgumentError(
                "val_fraction",
                settings.val_fraction,
                "no group of images can be spared, as each class keeps one for training; allow "
                "smaller groups by group_regex=null or group_duplicates=false",
            )
    else:
        fold_of = assign_folds(labels[rest], groups[rest], folds, val_stream)
        filled = len(np.unique(fold_of[fold_of >= 0]))
        if filled < folds:
            choice = filled if filled > 1 else "null"
            problem = f"the groups of images fill only {filled} folds; choose {choice}"
            raise ArgumentError("folds", folds, problem)
        is_val[rest] = fold_of == settings.fold
    return _split(~is_test & ~is_val, is_val, is_test)


def inner_split(
    split: Split, labels: NDArray[np.int64], groups: NDArray[np.int64], settings: SplitSettings
) -> Split:
    """Draw a validation split from the training images, and hold the other one back like a test.

    What is chosen by it has not seen the images that a run under other settings validates on.

    Args:
        split: that such a run has.
        labels: int64 (N,), >= 0.
        groups: int64 (N,), the same number for images that must stay together.
        settings: the share that is validated on, now of the training images, and the seed.

    Raises:
        ArgumentError: the groups of the training images are too few.
    """
    inside = split.train
    counts = np.bincount(labels[inside], minlength=int(labels.max()) + 1)
    wanted = _apportion(counts, settings.held_out, np.maximum(counts - 1, 0))
    stream = np.random.Generator(np.random.PCG64([settings.split_seed, 3]))
    drawn = draw_groups(labels[inside], groups[inside], wanted, leave=1, generator=stream)
    if not drawn.any():
        raise ArgumentError(
            "inner_split",
            True,
            "no group of training images can be spared, as each class keeps one; choose false",
        )
    held_back = np.sort(np.concatenate([split.val, split.test]))
    return Split(inside[~drawn], inside[drawn], held_back)


def leaked_by_random_split(
    labels: NDArray[np.int64], groups: NDArray[np.int64], settings: SplitSettings
) -> NDArray[np.int64]:
    """Find what a split without regard to groups would validate on after training on its like.

    Gives the indices, int64, sorted, of the validation images whose groups have images in training,
    too. The test split is left aside.
    """
    split = stratified_split(labels, val_fraction=settings.held_out, seed=settings.split_seed)
    return split.val[np.isin(groups[split.val], groups[split.train])]


def absent_classes(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels, sorted, of the classes that have no image among rows, such as ``split.val``."""
    return np.setdiff1d(labels, labels[rows])


def _apportion(
    counts: NDArray[np.int64], fraction: float, most: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Round counts · fraction to integers whose sum is right, by largest remainder.

    All are int64 (C,), images of each class; 1 <= share <= most wherever most >= 1, else 0.
    """
    quotas = counts * fraction
    floors = np.floor(quotas).astype(np.int64)
    shares: NDArray[np.int64] = np.clip(floors, np.minimum(1, most), most)
    short = round(counts.sum() * fraction) - int(shares.sum())
    remainders = np.where(shares < most, quotas - shares, 0.0)
    for label in np.argsort(-remainders, kind="stable")[: max(short, 0)]:
        if remainders[label] > 0:
            shares[label] += 1
    return shares


def split_from_folders(names: Sequence[str]) -> Split:
    """Take the split that a folder brings along: "train", "val" or "test" for each of N images."""
    return _split(*(np.array(names, "U5") == name for name in ("train", "val", "test")))


def _split(*members: NDArray[np.bool_]) -> Split:
    """Turn train, val and test, bool (N,) each, into indices."""
    return Split(*(np.flatnonzero(member).astype(np.int64) for member in members))


def write_split(
    split: Split, paths: RelativePaths, file: Path, settings: SplitSettings | None
) -> None:
    """Write down which image is in which split, as JSON.

    The lists hold POSIX paths relative to the folder of images, so another program or another
    version can use the very same split without drawing it again:

        split = json.loads(Path("split.json").read_text(encoding="utf-8"))
        held_out = [root / path for path in split["val"]]

    The N paths are relative to that folder, and the folder of the file must exist. Of the settings
    that the split was drawn with, what has no effect is written as null; they are None if the
    folder of images was split already.
    """
    drawn = settings or SplitSettings()
    content: dict[str, Any] = {
        "val_fraction": None if drawn.folds else drawn.val_fraction,
        "test_fraction": drawn.test_fraction,
        "folds": drawn.folds,
        "fold": drawn.fold if drawn.folds else None,
        "seed": drawn.split_seed,
    }
    if settings and settings.inner_split:
        content["inner_split"] = True
    if settings is None:
        content = dict.fromkeys(content)
    for name, rows in vars(split).items():
        content[name] = paths.only(rows.tolist()).posix
    # ASCII with escapes, as file names need not be valid Unicode.
    write_text(file, json.dumps(content, indent=1) + "\n")
