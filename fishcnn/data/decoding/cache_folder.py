"""What lies in a folder of the cache, and how it is opened and tidied up.

A folder of the cache belongs to one folder of images, one working size and one way of resizing. It
holds

    index.npz             what is known of every file, its row in the arrays, and their name
    NAME.images           uint8 (E, S, S, 3), images in the order in which they were decoded
    NAME.masks            uint8 (E, S, S), where there are masks
    NAME.fingerprints     uint8 (E, FINGERPRINT_BYTES)
    NAME.damaged          there if a row was found to be damaged when it was read
    NAME.compared*        which rows show the same, as far as they were compared
    NAME-CONTENT.*        what others know of just these images, such as their near-duplicates
    lock

The arrays grow at their ends, and the index is replaced in one step after they have: whatever a
kill leaves behind is named by no index. What is added to a million images costs its own rows and
the index, some 200 bytes an image.
"""

import hashlib
import logging
import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.decode import decode
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.resize import Square
from fishcnn.data.decoding.row_files import SUFFIXES, RowFiles
from fishcnn.data.decoding.stored import DAMAGED, Stored
from fishcnn.data.image_index import ImageIndex
from fishcnn.utils.arrays import DamagedFile
from fishcnn.utils.errors import FishError

log = logging.getLogger(__name__)

_INDEX, LOCK = "index.npz", "lock"


class Cached(NamedTuple):
    """Images that were decoded before, and the files that others can be appended to."""

    images: ImageSet
    files: RowFiles

    @property
    def doubted(self) -> bool:
        """Whether somebody has read a damaged row."""
        return self.files.name.with_suffix(DAMAGED).exists()


def open_cached(folder: Path, index: ImageIndex, square: Square, workers: int) -> Cached | None:
    """Open what is there for the root of an index; None where there is none, or it is damaged."""
    file = folder / _INDEX
    if not file.is_file():
        return None
    try:
        old, more = ImageIndex.load(file)
        if old.paths == index.paths:
            # What they are taken for may have changed without them, and what lies beside them.
            old = replace(index, facts=old.facts, reasons=old.reasons)
        else:
            # The same folder may have been typed in another way, from elsewhere.
            old = replace(old, root=index.root, masks_root=index.masks_root)
        name = folder / more["arrays"]
        files = RowFiles(name, int(more["end"]), square, masks=old.masks_root is not None)
        pixels, masks, fingerprints = (
            _stored(files, suffix, old, square, workers) for suffix in SUFFIXES
        )
    except (DamagedFile, FileNotFoundError) as error:
        log.warning("The cache %s is damaged (%s) and is built anew.", folder, error)
        return None
    assert pixels is not None
    content = hashlib.blake2b(old.facts["digest"][old.readable].tobytes(), digest_size=6)
    images = ImageSet(
        old,
        pixels,
        masks,
        fingerprints=fingerprints,
        arrays=name.with_name(f"{name.name}-{content.hexdigest()}"),
        resize=square.resize,
    )
    return Cached(images, files)


def _stored(
    files: RowFiles, suffix: str, index: ImageIndex, square: Square, workers: int
) -> Stored | None:
    if suffix not in files.shapes:
        return None
    part = SUFFIXES.index(suffix)
    facts = index.facts[index.readable]
    checksums = np.zeros(files.end, np.uint32)
    checksums[facts["row"]] = facts["checksum"][:, part]
    again = partial(_decode_again, index, square, part)
    shape = (files.end, *files.shapes[suffix])
    return Stored(files.path(suffix), shape, checksums, again, workers, facts["row"].copy())


def _decode_again(index: ImageIndex, square: Square, part: int, row: int) -> NDArray[np.uint8]:
    """Make a row again that the cache has lost, of the images or what belongs to them.

    Raises:
        FishError: The file has been changed or removed meanwhile.
    """
    file = int(np.flatnonzero(index.facts["row"] == row)[0])
    facts, decoded = decode(*index.files(file), square=square)
    if isinstance(decoded, str) or (facts["digest"] != index.facts["digest"][file]).any():
        raise FishError(
            f"the decoded image of {index.files(file)[0]} has been damaged in the cache, and the "
            "file has been changed or removed since it was decoded: start again"
        )
    lost = decoded[part]
    assert lost is not None
    return lost


def write_index(index: ImageIndex, files: RowFiles) -> None:
    """Replace the index in one step, by one that names the rows up to the end of the files."""
    new = files.name.with_suffix(".index")
    index.save(new, arrays=files.name.name, end=str(files.kept))
    os.replace(new, new.with_name(_INDEX))


def sweep(folder: Path, keep: Cached | None) -> None:
    """Remove what no index names; who has it open keeps it."""
    kept = {keep.files.name.name, keep.images.arrays and keep.images.arrays.name} if keep else set()
    for file in folder.iterdir():
        named = file.stem in kept and file.suffix != DAMAGED
        if file.name not in (LOCK, _INDEX) and not named:
            with suppress(PermissionError, IsADirectoryError):  # on Windows, open elsewhere
                file.unlink(missing_ok=True)
