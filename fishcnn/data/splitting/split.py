"""Which pictures train the network and which are held out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.splitting.stratified_groups import deal_groups, draw_groups
from fishcnn.utils.errors import FishError


@dataclass(frozen=True)
class Split:
    """Indices of pictures, each sorted, no index twice.

    Attributes:
        train: int64 (n_train,).
        val: int64 (n_val,).
        test: int64 (n_test,), only for evaluation; empty unless the folder came with a test/ of its
            own or data.test_fraction is above 0.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def stratified_split(labels: NDArray[np.int64], *, val_fraction: float, seed: int) -> Split:
    """Draw a validation side that has every class in proportion.

    A class of n pictures gives n · val_fraction of them, rounded down or up so that the total comes
    out right (largest remainder first, then lower label), but always leaves at least one on each
    side. A class of a single picture stays in train. Many classes of two or three pictures can
    therefore push the total above the fraction.

    The draw depends on the arguments alone: NumPy's global random state is neither read nor
    touched, and PCG64 gives the same stream on every machine.

    Args:
        labels: int64 (N,), >= 0.
        val_fraction: Share of the pictures for validation, 0 < val_fraction < 1.
        seed: Any integer >= 0.

    Raises:
        FishError: val_fraction is not between 0 and 1.
    """
    _check_val_fraction(val_fraction)
    counts = np.bincount(labels)
    val_counts = _share_out(counts, val_fraction, np.maximum(counts - 1, 0))
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = [
        generator.permutation(np.flatnonzero(labels == label))[: val_counts[label]]
        for label in range(len(counts))
    ]
    val = np.sort(np.concatenate([np.empty(0, np.int64), *drawn]))
    train = np.setdiff1d(np.arange(len(labels), dtype=np.int64), val)
    return Split(train=train, val=val, test=np.empty(0, np.int64))


def draw_split(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    *,
    val_fraction: float,
    test_fraction: float,
    folds: int | None,
    fold: int,
    seed: int,
) -> Split:
    """Draw sides that have every class in proportion and share no group.

    The test side is drawn first; it depends on labels, groups, test_fraction and seed alone. What
    is left is dealt onto folds, one of which is the validation side; or, with folds None, gives the
    validation side its val_fraction of all pictures.

    Groups limit what is possible. Each class keeps a group in training, then has one in validation,
    then in test, so that a class of one group is only learnt from and one of two is not tested
    (:func:`absent_classes` tells which). The folds together validate each picture that is not on
    the test side once, but for those of classes of one group.

    Without groups, test side and folds this is :func:`stratified_split`.

    Args:
        labels: int64 (N,), >= 0.
        groups: int64 (N,), the same number for pictures that must stay together, which may be of
            several classes; None if every picture stands alone.
        val_fraction: Share of all pictures for validation, above 0; without effect with folds.
        test_fraction: Share of all pictures for the test side, 0 for none.
        folds: Number of folds of a cross-validation, at least 2, or None.
        fold: The fold to validate on, from 0; 0 if folds is None.
        seed: Any integer >= 0.

    Raises:
        FishError: A setting is out of its range, or the groups are too few to fill a side that was
            asked for.
    """
    check_shares(val_fraction=val_fraction, test_fraction=test_fraction, folds=folds, fold=fold)
    count = len(labels)
    if groups is None:
        groups = np.arange(count, dtype=np.int64)
    if test_fraction == 0 and folds is None and len(np.unique(groups)) == count:
        return stratified_split(labels, val_fraction=val_fraction, seed=seed)
    # Each side has a random stream of its own: otherwise a test side would be what a validation
    # side of the same share has been before.
    test_stream, val_stream = (np.random.Generator(np.random.PCG64([seed, n])) for n in (1, 2))
    counts = np.bincount(labels)
    is_test = np.zeros(count, np.bool_)
    if test_fraction > 0:
        wanted = _share_out(counts, test_fraction, np.maximum(counts - 2, 0))
        is_test = draw_groups(labels, groups, wanted, leave=2, generator=test_stream)
        if not is_test.any():
            raise FishError(
                f"data.test_fraction={test_fraction}: no group of pictures can be spared, as each "
                "class keeps one for training and one for validation; type data.test_fraction=0."
            )
    rest = np.flatnonzero(~is_test)
    is_val = np.zeros(count, np.bool_)
    if folds is None:
        most = np.maximum(np.bincount(labels[rest], minlength=len(counts)) - 1, 0)
        wanted = _share_out(counts, val_fraction, most)
        is_val[rest] = draw_groups(
            labels[rest], groups[rest], wanted, leave=1, generator=val_stream
        )
        if not is_val.any():
            raise FishError(
                f"data.val_fraction={val_fraction}: no group of pictures can be spared, as each "
                "class keeps one for training; use smaller groups: data.group_regex=null or "
                "data.group_duplicates=false."
            )
    else:
        fold_of = deal_groups(labels[rest], groups[rest], folds, val_stream)
        filled = len(np.unique(fold_of[fold_of >= 0]))
        if filled < folds:
            raise FishError(
                f"data.folds={folds}: the groups of pictures fill only {filled} folds; "
                + (f"type data.folds={filled}." if filled > 1 else "type data.folds=null.")
            )
        is_val[rest] = fold_of == fold
    train, val, test = (
        np.flatnonzero(side).astype(np.int64) for side in (~is_test & ~is_val, is_val, is_test)
    )
    return Split(train=train, val=val, test=test)


def absent_classes(labels: NDArray[np.int64], side: NDArray[np.int64]) -> NDArray[np.int64]:
    """Name the classes that have no picture on a side.

    Args:
        labels: int64 (N,), >= 0.
        side: int64 (n,), indices into labels, such as ``split.val``.

    Returns:
        int64, sorted: those of the labels.
    """
    return np.setdiff1d(labels, labels[side])


def check_shares(
    *, val_fraction: float, test_fraction: float, folds: int | None, fold: int
) -> None:
    """Check the settings of :func:`draw_split` that need no pictures.

    Raises:
        FishError: One of them is out of its range.
    """
    _check_fractions(val_fraction, test_fraction, folds)
    _check_folds(folds, fold)


def _check_val_fraction(val_fraction: float) -> None:
    if not 0 < val_fraction < 1:
        raise FishError(
            f"data.val_fraction={val_fraction} must lie between 0 and 1, for example 0.2."
        )


def _check_fractions(val_fraction: float, test_fraction: float, folds: int | None) -> None:
    if not 0 <= test_fraction < 1:
        raise FishError(
            f"data.test_fraction={test_fraction} must be at least 0, for no test side, and below "
            "1, for example 0.1."
        )
    if folds is None:
        _check_val_fraction(val_fraction)
        if val_fraction + test_fraction >= 1:
            raise FishError(
                f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave "
                "nothing to train on; together they must stay below 1, for example 0.2 and 0.1."
            )


def _check_folds(folds: int | None, fold: int) -> None:
    if folds is None:
        if fold != 0:
            raise FishError(f"data.fold={fold} needs data.folds; add, for example, data.folds=5.")
        return
    if folds < 2:
        raise FishError(f"data.folds={folds} must be at least 2, for example 5, or null for none.")
    if not 0 <= fold < folds:
        raise FishError(
            f"data.fold={fold} must lie between 0 and {folds - 1}, as data.folds={folds}."
        )


def _share_out(
    counts: NDArray[np.int64], fraction: float, most: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Round counts · fraction to integers whose sum is right, by largest remainder.

    Args:
        counts: int64 (C,), pictures a class.
        fraction: Share wanted.
        most: int64 (C,), >= 0, pictures a class that can be had.

    Returns:
        int64 (C,), 1 <= share <= most wherever most >= 1, else 0.
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


def split_from_folders(sides: Sequence[str]) -> Split:
    """Take the split that a folder with train/, val/ and perhaps test/ brings along.

    Args:
        sides: "train", "val" or "test" for each of N pictures.
    """
    names = np.array(sides, dtype="U5")
    train, val, test = (
        np.flatnonzero(names == side).astype(np.int64) for side in ("train", "val", "test")
    )
    return Split(train=train, val=val, test=test)


def write_split(
    split: Split,
    paths: Sequence[Path],
    file: Path,
    *,
    val_fraction: float | None,
    seed: int | None,
    test_fraction: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
) -> None:
    """Write down which picture is on which side, as JSON.

    The lists hold POSIX paths relative to data.root, so another program or another version can use
    the very same split without drawing it again:

        split = json.loads(Path("split.json").read_text(encoding="utf-8"))
        held_out = [data_root / path for path in split["val"]]

    Args:
        split: Indices into paths.
        paths: N paths relative to data.root.
        file: Where to write; its folder must exist.
        val_fraction: What the split was drawn with; None if the folder was split already. Written
            as null with folds, where it has no effect.
        seed: What the split was drawn with; None if the folder was split already.
        test_fraction: What the split was drawn with; None if the folder was split already.
        folds: What the split was drawn with; None without cross-validation.
        fold: What the split was drawn with. Written as null without folds.
    """
    content = {
        "val_fraction": val_fraction if folds is None else None,
        "test_fraction": test_fraction,
        "folds": folds,
        "fold": None if folds is None else fold,
        "seed": seed,
        **{
            side: [paths[index].as_posix() for index in indices]
            for side, indices in (("train", split.train), ("val", split.val), ("test", split.test))
        },
    }
    # ASCII with escapes, as file names need not be valid Unicode.
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
