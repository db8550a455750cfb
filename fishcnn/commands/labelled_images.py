"""Images whose classes are known: a split of a run, or any folder with one folder a class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.run_files import read_split
from fishcnn.commands.settings import as_settings
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.decoding.decode import Decoded, decode, in_order
from fishcnn.data.decoding.image_set import Pixels
from fishcnn.data.decoding.on_demand import read_square
from fishcnn.data.decoding.resize import SQUASH, Square
from fishcnn.data.decoding.stored import Stored
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.relative_paths import RelativePaths
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import usable_cpus
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import find_name, same_names

SPLITS = {"val": "validation", "test": "test"}
_NAMED = 5  # files that a remark lists by name


@dataclass(frozen=True)
class LabelledImages:
    """N images whose classes are known.

    Attributes:
        name: what a person calls them, such as "validation".
        root: folder that the paths are relative to.
        labels: int64 ``(N,)``, in the order of the network's classes.
        pixels: the decoded images, and others that do not belong here.
        rows: int64 ``(N,)``, where the N are in ``pixels``.
        facts: FACTS ``(N,)``, what reading the files has found.
        fingerprints: uint8, alike for near-duplicates; their rows are those of ``pixels``.
        resize: how they were brought to a square, one of RESIZES.
        remarks: what a reader of the scores has to know about the images.
    """

    name: str
    root: Path
    paths: RelativePaths
    labels: NDArray[np.int64]
    pixels: Pixels
    rows: NDArray[np.int64]
    facts: NDArray[np.void]
    fingerprints: NDArray[np.uint8] | Stored
    resize: str = SQUASH
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, positions: NDArray[np.int64]) -> "LabelledImages":
        """Some of these images; ``positions`` count from 0 to N - 1."""
        return replace(
            self,
            paths=self.paths.only(positions.tolist()),
            labels=self.labels[positions],
            rows=self.rows[positions],
            facts=self.facts[positions],
        )

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decoded images, uint8 ``(n, S, S, 3)``; ``positions`` count from 0 to N - 1."""
        return self.pixels[self.rows[positions]]

    def take_whole(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """As :meth:`take`, but squashed however the network sees them: nothing is cut off."""
        if self.resize == SQUASH or not len(positions):
            return self.take(positions)
        read = partial(read_square, square=Square(self.pixels.shape[1]))
        files = [self.root / self.paths[position] for position in positions.tolist()]
        return np.stack(list(in_order(read, files, workers=usable_cpus())))


def split_of_run(
    datamodule: FishDataModule,
    split: str,
    classes: Sequence[str],
    run: RunFolder,
    *,
    instead: str = "data_root",
) -> LabelledImages:
    """Take the images that a run has held out.

    The classes are the network's, and the run's ``split.json`` says which images were held out;
    ``instead`` is the setting by which the user can name others.

    Raises:
        FishError: there are none, or other ones than at the time of the run.
    """
    root = datamodule.images.index.root
    if not same_names(datamodule.classes, classes):
        raise _other_classes(f"the image folder of the run, {root},", datamodule.classes, classes)
    rows = datamodule.split.val if split == "val" else datamodule.split.test
    paths = datamodule.images.paths.only(rows.tolist())
    if not paths:
        raise FishError(
            f"split={split}: the run was trained without a {split} split, and {root} has no "
            f"{split}/ folder. Type split=val, or name other images by {instead}="
        )
    now = paths.posix
    if run.split.is_file():
        before = read_split(run)[split]
        if not same_names(before, now):
            raise FishError(
                f"{root} has changed since the training: {run.split} lists {len(before)} {split} "
                f"images; the folder now gives {len(now)}, of which {len(set(before) & set(now))} "
                "are the same, so the network may have been trained on some of them. Restore the "
                f"folder, or name images that the network has never seen by {instead}="
            )
    return LabelledImages(
        name=SPLITS[split],
        root=root.absolute(),
        paths=paths,
        labels=datamodule.images.labels[rows],
        pixels=datamodule.images.pixels,
        rows=rows,
        facts=datamodule.images.facts[rows],
        fingerprints=datamodule.images.fingerprints,
        resize=datamodule.resize,
    )


def labelled_folder(root: Path, classifier: FishClassifier) -> LabelledImages:
    """Take every image of a folder with one folder a class, split or not.

    Images that cannot be read are left out, and a remark names them.

    Raises:
        FishError: the folder has another layout, a class that the network does not know, or no
            readable image.
    """
    with as_settings(root="data_root"):
        index = scan_folder(root, known_classes=classifier.classes)
    remarks = [*index.remarks, *_compare_classes(index, classifier.classes)]

    def read(path: Path) -> tuple[NDArray[np.void], Decoded | str]:
        return decode(index.root / path, None, square=classifier.square)

    found = list(in_order(read, index.paths, workers=usable_cpus()))
    decoded = {i: one for i, (_, one) in enumerate(found) if isinstance(one, Decoded)}
    readable = list(decoded)
    failures = [
        f"{index.root / path}: {one}"
        for path, (_, one) in zip(index.paths, found, strict=True)
        if isinstance(one, str)
    ]
    if not readable:
        raise FishError(f"data_root={root}: no image can be read, for example {failures[0]}")
    if failures:
        more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
        remarks.append(f"Left out as unreadable: {'; '.join(failures[:_NAMED])}{more}.")
    known = np.array([find_name(name, classifier.classes) for name in index.classes])
    return LabelledImages(
        name=index.root.resolve().name,
        root=index.root.absolute(),
        paths=index.paths.only(readable),
        labels=known[index.labels[readable]],
        pixels=np.stack([one.image for one in decoded.values()]),
        rows=np.arange(len(readable)),
        facts=np.stack([found[i][0] for i in readable]),
        fingerprints=np.stack([one.fingerprint for one in decoded.values()]),
        resize=classifier.square.resize,
        remarks=tuple(remarks),
    )


def _compare_classes(index: ImageIndex, classes: Sequence[str]) -> list[str]:
    """Refuse classes that the network does not know, and remark on those that are missing."""
    found = [find_name(name, classes) for name in index.classes]
    if None in found:
        raise _other_classes(f"data_root={index.root}", index.classes, classes)
    missing = [name for label, name in enumerate(classes) if label not in found]
    if not missing:
        return []
    return [
        f"Classes without an image: {', '.join(missing)}. Averages over the classes leave them "
        "out, but the network may still answer with them."
    ]


def _other_classes(folder: str, found: Sequence[str], classes: Sequence[str]) -> FishError:
    unknown = sorted(name for name in found if find_name(name, classes) is None)
    missing = sorted(name for name in classes if find_name(name, found) is None)
    return FishError(
        f"{folder} has other classes than the network.\n"
        f"  the folder has {len(found)}: {', '.join(found)}\n"
        f"  the network has {len(classes)}: {', '.join(classes)}\n"
        f"  only in the folder: {', '.join(unknown) or 'none'}\n"
        f"  only in the network: {', '.join(missing) or 'none'}\n"
        "Rename the folders to the network's names, or move the others away."
    )
