"""The index of an image folder: what is known of each of its files."""

import json
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.relative_paths import RelativePaths
from fishcnn.utils.arrays import read_arrays, write_arrays
from fishcnn.utils.files import as_on_disk

DIGEST_BYTES = 32
FACTS = np.dtype(
    [
        # Bytes and time of the last change (ns), of the image and of its mask.
        ("stamp", np.int64, (4,)),
        # One half is BLAKE2b of the image file, the other of the mask file.
        ("digest", np.uint8, (DIGEST_BYTES,)),
        # Width and height of the upright original in pixels; zeros where it cannot be read, as all
        # that follows.
        ("size", np.int32, (2,)),
        # Sum and sum of squares of each channel of the decoded image.
        ("moments", np.int64, (2, 3)),
        # CRC-32 of the decoded image, of its mask and of its fingerprint, of which nobody else
        # keeps an account.
        ("checksum", np.uint32, (3,)),
        # Where these three are in the arrays of a cache.
        ("row", np.int64),
    ]
)


@dataclass(frozen=True)
class ImageIndex:
    """N files that look like images by their names, in an order that is the same on every machine.

    Attributes:
        root: The folder that was scanned.
        classes: Class names, sorted; a label is an index into them.
        paths: N paths relative to root, sorted as POSIX strings.
        labels: int64 (N,), 0 <= label < len(classes).
        splits: "train", "val" or "test" for every path where the folder is split, else None.
        empty_classes: Folders relative to root that hold no image and were left out.
        ignored: Files that are not images by their suffix or lie outside every class folder.
        ignored_files: Their paths relative to root, sorted; not in a file of save().
        masks_root: Folder with a mask for every image, see :func:`mask_path`; None without masks.
        remarks: What a person should know of how the folders were understood.
        facts: FACTS (N,), what reading the files has found; (0,) before.
        reasons: Why a file cannot be read, by its position; empty before.
    """

    root: Path
    classes: tuple[str, ...]
    paths: RelativePaths
    labels: NDArray[np.int64]
    splits: tuple[str, ...] | None
    empty_classes: tuple[str, ...]
    ignored: int
    masks_root: Path | None = None
    remarks: tuple[str, ...] = ()
    ignored_files: RelativePaths = RelativePaths()  # noqa: RUF009 - it cannot be changed
    facts: NDArray[np.void] = field(default_factory=lambda: np.empty(0, FACTS))
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def readable(self) -> NDArray[np.int64]:
        """Which of the N files can be read: int64 (R,)."""
        return np.delete(np.arange(len(self.paths)), list(self.reasons)).astype(np.int64)

    def files(self, file: int) -> tuple[Path, Path | None]:
        """Where one of the N images and its mask lie."""
        path = self.paths[file]
        return self.root / path, mask_path(self.masks_root, path)

    def only(self, files: NDArray[np.int64]) -> "ImageIndex":
        """Some of the N files, int64 (n,), in ascending order."""
        place = {file: number for number, file in enumerate(files.tolist())}
        return replace(
            self,
            paths=self.paths.only(place),
            labels=self.labels[files],
            splits=self.splits and tuple(self.splits[file] for file in place),
            facts=self.facts[files],
            reasons={place[file]: why for file, why in self.reasons.items() if file in place},
        )

    def save(self, file: Path, **more: str) -> None:
        """Write everything but the ignored files to one file; ``more`` is kept along with it."""
        words = {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "root": str(self.root),
            "masks_root": self.masks_root and str(self.masks_root),
            "paths": self.paths.posix,
            "reasons": list(self.reasons.items()),
            "more": more,
        }
        del words["ignored_files"]  # those of the day are found again with the images
        arrays = {"labels": words.pop("labels"), "facts": words.pop("facts")}
        # Escaped, as file names need not be valid Unicode.
        text = np.frombuffer(json.dumps(words).encode("ascii"), np.uint8)
        write_arrays(file, words=text, **arrays)

    @staticmethod
    def load(file: Path) -> tuple["ImageIndex", dict[str, str]]:
        """Read what save() has written.

        Raises:
            DamagedFile: It is something else by now.
            OSError: It cannot be read.
        """
        arrays: dict[str, Any] = read_arrays(file)
        words = json.loads(arrays.pop("words").tobytes())
        more = words.pop("more")
        words |= {
            "root": Path(words["root"]),
            "masks_root": words["masks_root"] and Path(words["masks_root"]),
            "paths": RelativePaths(words["paths"]),
            "splits": words["splits"] and tuple(map(sys.intern, words["splits"])),
            "reasons": dict(words["reasons"]),
            "remarks": tuple(words["remarks"]),
        }
        return ImageIndex(**arrays, **words), more


def mask_path(masks_root: Path | None, image: Path) -> Path | None:
    """Where the mask of an image lies: at the same relative path, with the suffix .png."""
    return None if masks_root is None else as_on_disk(masks_root, image.with_suffix(".png"))
