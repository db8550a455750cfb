"""Which pictures train the network and which are held out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.errors import FishError


@dataclass(frozen=True)
class Split:
    """Indices of pictures, each sorted, no index twice.

    Attributes:
        train: int64 (n_train,).
        val: int64 (n_val,).
        test: int64 (n_test,), empty unless the folder came with a test/ of its own.
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
    if not 0 < val_fraction < 1:
        raise FishError(
            f"data.val_fraction={val_fraction} must lie between 0 and 1, for example 0.2."
        )
    counts = np.bincount(labels)
    val_counts = _share_out(counts, val_fraction)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = [
        generator.permutation(np.flatnonzero(labels == label))[: val_counts[label]]
        for label in range(len(counts))
    ]
    val = np.sort(np.concatenate([np.empty(0, np.int64), *drawn]))
    train = np.setdiff1d(np.arange(len(labels), dtype=np.int64), val)
    return Split(train=train, val=val, test=np.empty(0, np.int64))


def _share_out(counts: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """Round counts · fraction to integers whose sum is right, by largest remainder.

    Args:
        counts: int64 (C,), pictures a class.
        fraction: Share wanted.

    Returns:
        int64 (C,), 1 <= share < count wherever count >= 2, else 0.
    """
    quotas = counts * fraction
    most = np.maximum(counts - 1, 0)
    floors = np.floor(quotas).astype(np.int64)
    shares: NDArray[np.int64] = np.clip(floors, np.minimum(1, most), most)
    short = round(counts.sum() * fraction) - int(shares.sum())
    remainders = np.where(shares < most, quotas - shares, 0.0)
    for label in np.argsort(-remainders, kind="stable")[: max(short, 0)]:
        if remainders[label] > 0:
            shares[label] += 1
    return shares


def split_from_sides(sides: Sequence[str]) -> Split:
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
    split: Split, paths: Sequence[Path], file: Path, *, val_fraction: float | None, seed: int | None
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
        val_fraction: What the split was drawn with; None if the folder was split already.
        seed: What the split was drawn with; None if the folder was split already.
    """
    content = {
        "val_fraction": val_fraction,
        "seed": seed,
        **{
            side: [paths[index].as_posix() for index in indices]
            for side, indices in (("train", split.train), ("val", split.val), ("test", split.test))
        },
    }
    # ASCII with escapes, as file names need not be valid Unicode.
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
