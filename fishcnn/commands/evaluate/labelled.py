"""Which pictures are judged: a side of the run's own, or any labelled folder."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.settings import as_settings
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.image_index import ImageIndex
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError

SPLITS = {"val": "validation", "test": "test"}


class Images(Protocol):
    """Something that gives uint8 ``(n, S, S, 3)`` for n rows."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Take some pictures."""
        ...


@dataclass(frozen=True)
class Labelled:
    """N pictures whose classes are known.

    Attributes:
        name: what a person calls them, such as "validation".
        root: folder that the paths are relative to.
        paths: N paths.
        labels: int64 ``(N,)``, in the order of the network's classes.
        images: source of the decoded pictures.
        rows: int64 ``(N,)``, where they are in ``images``.
        remarks: what a reader of the scores has to know about the pictures.
    """

    name: str
    root: Path
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    images: Images
    rows: NDArray[np.int64]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decoded pictures, uint8 ``(n, S, S, 3)``; ``positions`` count from 0 to N - 1."""
        return self.images[self.rows[positions]]


def split_of_run(
    datamodule: FishDataModule, side: str, classes: Sequence[str], run: Path
) -> Labelled:
    """Take the pictures that a run has held out.

    Args:
        datamodule: of the run, set up.
        side: ``"val"`` or ``"test"``.
        classes: of the network.
        run: its folder, whose ``split.json`` says which pictures were held out.

    Raises:
        FishError: there are none, or other ones than at the time of the run.
    """
    root = datamodule.images.index.root
    if datamodule.classes != list(classes):
        raise _other_classes(f"the pictures of the run, {root}", datamodule.classes, classes)
    rows = datamodule.split.val if side == "val" else datamodule.split.test
    paths = tuple(datamodule.images.paths[row] for row in rows.tolist())
    if not paths:
        raise FishError(
            f"side={side}: the run was trained without a {side} side; {root} has no {side}/ "
            "folder. Take side=val, or name other pictures by data_root="
        )
    written = run / "split.json"
    before = json.loads(written.read_text(encoding="utf-8"))[side] if written.is_file() else None
    now = [path.as_posix() for path in paths]
    if before is not None and before != now:
        raise FishError(
            f"side={side}: {written} lists {len(before)} pictures, and drawn anew from {root} "
            f"there are {len(now)}, of which {len(set(before) & set(now))} are the same: the "
            "folder has changed, and some of them may have been trained on. Put back what was "
            "there, or name pictures that the network has never seen by data_root="
        )
    return Labelled(
        name=SPLITS[side],
        root=root.absolute(),
        paths=paths,
        labels=datamodule.images.labels[rows],
        images=datamodule.images.pixels,
        rows=rows,
    )


def labelled_folder(root: Path, classifier: FishClassifier, workers: int) -> Labelled:
    """Take every picture of a folder with one folder a class, split or not.

    ImageSet that cannot be read are left out, and a remark names them.

    Args:
        root: ``data_root``.
        classifier: whose class names the folder has to use.
        workers: threads that decode.

    Raises:
        FishError: the folder has another layout, a class that the network does not know, or no
            readable picture.
    """
    with as_settings(root="data_root"):
        listing = scan_folder(root)
    remarks = _compare_classes(listing, classifier.classes)

    def decode(path: Path) -> NDArray[np.uint8] | FishError:
        try:
            return classifier.decode(listing.root / path)
        except FishError as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        decoded = list(pool.map(decode, listing.paths))
    images = [image for image in decoded if not isinstance(image, FishError)]
    failures = [error for error in decoded if isinstance(error, FishError)]
    if not images:
        raise FishError(f"data_root={root}: no picture can be read, for example {failures[0]}")
    if failures:
        named = "; ".join(str(error) for error in failures[:5])
        more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
        remarks.append(f"Left out, because they cannot be read: {named}{more}.")
    readable = [i for i, image in enumerate(decoded) if not isinstance(image, FishError)]
    known = np.array([classifier.classes.index(name) for name in listing.classes])
    return Labelled(
        name=listing.root.resolve().name,
        root=listing.root.absolute(),
        paths=tuple(listing.paths[i] for i in readable),
        labels=known[listing.labels[readable]],
        images=np.stack(images),
        rows=np.arange(len(images)),
        remarks=tuple(remarks),
    )


def _compare_classes(listing: ImageIndex, classes: Sequence[str]) -> list[str]:
    """Refuse classes that the network does not know, and remark on those that are missing."""
    if set(listing.classes) - set(classes):
        raise _other_classes(f"data_root={listing.root}", listing.classes, classes)
    missing = [name for name in classes if name not in listing.classes]
    if not missing:
        return []
    return [
        f"Without pictures: {', '.join(missing)}. They do not count in averages over the classes, "
        "but the network may still answer with them."
    ]


def _other_classes(folder: str, found: Sequence[str], classes: Sequence[str]) -> FishError:
    unknown = sorted(set(found) - set(classes))
    missing = sorted(set(classes) - set(found))
    return FishError(
        f"{folder} has other classes than the network.\n"
        f"  the folder has {len(found)}: {', '.join(found)}\n"
        f"  the network has {len(classes)}: {', '.join(classes)}\n"
        f"  only in the folder: {', '.join(unknown) or 'none'}\n"
        f"  only in the network: {', '.join(missing) or 'none'}\n"
        "Rename the folders to the network's names, or move the others away."
    )
