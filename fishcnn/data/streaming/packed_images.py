"""What lies beside the shards of packed images: all that is known of them but their pixels."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.stored import Stored
from fishcnn.data.duplicates.finder import Duplicates
from fishcnn.data.image_index import ImageIndex
from fishcnn.data.splitting.grouped_split import Splitting
from fishcnn.data.splitting.split import Split
from fishcnn.data.splitting.split_settings import SplitSettings
from fishcnn.data.streaming.packed_files import PackedFiles, S3Files
from fishcnn.data.streaming.shards import Packed, Shard, Shards
from fishcnn.utils.arrays import DamagedFile, read_arrays, write_arrays
from fishcnn.utils.errors import ArgumentError, FishError
from fishcnn.utils.text import for_shells

# Written last: without it nothing is packed.
MANIFEST = "packed.json"
INDEX, SPLITS, FINGERPRINTS = "index.npz", "splits.npz", "fingerprints.npy"
SPLIT_NAMES = tuple(field.name for field in fields(Split))
_VERSION = 1
# What a shard is called: a copy of it is written by this name, which a server has told.
_SHARD = re.compile(r"(train|val|test)/chunk-0-\d+\.bin")


@dataclass(frozen=True)
class Layout:
    """Where the parts of an item lie, in bytes.

    Attributes:
        item_bytes: of a whole item.
        image: where uint8 (S, S, 3) begins in it.
        mask: where uint8 (S, S) begins in it; None without masks.
    """

    item_bytes: int
    image: int
    mask: int | None


@dataclass(frozen=True)
class Manifest:
    """The content of ``packed.json``, for programs and for people.

    Attributes:
        pack: a name that only the same content has.
        root: the folder that was packed.
        masks_root: that of its masks, or None.
        classes: names in the order of the labels.
        images: how many each split has.
        working_size: side of the images in pixels.
        resize: how they became squares.
        mean, std: RGB statistics of the training split, of images in [0, 1].
        split: what it was drawn with; None where the folder was split already.
        layout: of an item.
        shards: of each split, the names and how many images each has, in their order.
        version: of this format.
    """

    pack: str
    root: str
    masks_root: str | None
    classes: list[str]
    images: dict[str, int]
    working_size: int
    resize: str
    mean: list[float]
    std: list[float]
    split: dict[str, Any] | None
    layout: dict[str, int | None]
    shards: dict[str, list[tuple[str, int]]]
    version: int = _VERSION

    def text(self) -> str:
        """As JSON, in ASCII with escapes, as file names need not be valid Unicode."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_manifest(file: Path) -> Manifest:
    """Read ``packed.json``.

    Raises:
        FishError: it is something else, or of another version.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content["version"]
        if version == _VERSION:
            manifest = Manifest(**content)
            for name, _ in (shard for own in manifest.shards.values() for shard in own):
                if not _SHARD.fullmatch(name):
                    raise ValueError(f"{name!r} is not the name of a shard")
            return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FishError(f"{file} is damaged ({error}): pack the images again") from error
    raise FishError(f"{file} is of another version, {version}: pack the images again")


def packed_manifest(files: PackedFiles) -> Manifest:
    """Read what packed images say of themselves.

    Raises:
        FishError: there are none, or it is damaged.
    """
    if not files.remote and not files.has(MANIFEST):
        raise ArgumentError("root", files.place, _instead_of_packed(Path(files.place)))
    return read_manifest(files.path(MANIFEST))


def told_as_packed(folder: Path) -> str | None:
    """Say what to type for a folder of packed images, one inside, or one around such folders.

    Returns:
        None for any other.
    """
    packed = [one for one in (folder, folder.parent) if (one / MANIFEST).is_file()]
    packed = packed[:1] or sorted(file.parent for file in folder.glob(f"*/{MANIFEST}"))
    if not packed:
        return None
    words = for_shells(["data=stream", f"data.root={packed[0]}"])
    if len(packed) > 1:
        return f"holds {len(packed)} folders of packed images: name one of them, such as {words}"
    try:
        of = f"; they were packed from {read_manifest(packed[0] / MANIFEST).root}"
    except FishError:
        of = ""
    return f"holds packed images: to train on them type {words}{of}"


def name_of(images: ImageSet, order: Mapping[str, NDArray[np.int64]], settings: object) -> str:
    """A name that only the same images in the same order have."""
    digest = blake2b(repr((settings, images.classes, images.resize)).encode(), digest_size=12)
    digest.update("\0".join(images.paths.posix).encode("utf-8", "surrogateescape"))
    arrays = [images.labels, images.facts["checksum"][:, :2], images.digests, *order.values()]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_beside(
    folder: Path, images: ImageSet, splitting: Splitting, order: Mapping[str, NDArray[np.int64]]
) -> None:
    """Write what is known of the images, and which rows of it each split has, in its order."""
    images.index.save(folder / INDEX)
    arrays: dict[str, NDArray[Any]] = dict(order)
    arrays |= {"groups": splitting.groups, "leaked": splitting.leaked}
    if splitting.duplicates is not None:
        arrays["pairs"] = splitting.duplicates.pairs
        arrays["alike"] = splitting.duplicates.groups
    parts = "" if splitting.parts is None else json.dumps([*splitting.parts])
    arrays["parts"] = np.frombuffer(parts.encode("ascii"), np.uint8)
    write_arrays(folder / SPLITS, **arrays)
    np.save(folder / FINGERPRINTS, images.fingerprints[np.arange(len(images.labels))])


@dataclass(frozen=True)
class PackedImages:
    """Packed images, opened.

    Attributes:
        manifest: what there is.
        images: all of them, of which a row is read when it is asked for.
        splitting: as it was when they were packed.
        shards: of all splits.
        train_shards: how many the training split has, which come first in ``shards``.
        train_positions: int64 (n,), for each training image in the order of the shards, its
            position in the training split.
    """

    manifest: Manifest
    images: ImageSet
    splitting: Splitting
    shards: Shards
    train_shards: int
    train_positions: NDArray[np.int64]


def open_packed(files: PackedFiles, *, workers: int, room: float) -> PackedImages:
    """Open packed images; of their shards nothing is read yet.

    Args:
        files: where they are.
        workers: threads that read and fetch.
        room: bytes that copies of shards may take on this machine.

    Raises:
        FishError: there are none, or a file is damaged.
    """
    if isinstance(files, S3Files):
        files.anew(MANIFEST)
    manifest = packed_manifest(files)
    if isinstance(files, S3Files):
        files.keep_only(manifest.pack)
    try:
        index, _ = ImageIndex.load(files.path(INDEX))
        arrays = read_arrays(files.path(SPLITS))
    except (DamagedFile, OSError) as error:
        raise FishError(f"{files.place} is damaged ({error}): pack the images again") from error
    shards: list[Shard] = []
    where = np.full((len(index.readable), 2), -1, np.int64)
    for split in SPLIT_NAMES:
        own = [Shard(name, count) for name, count in manifest.shards[split]]
        counts = [shard.items for shard in own]
        where[arrays[split], 0] = np.repeat(np.arange(len(own)) + len(shards), counts)
        where[arrays[split], 1] = np.concatenate([np.arange(0), *map(np.arange, counts)])
        shards += own
    layout = Layout(**manifest.layout)  # type: ignore[arg-type]
    opened = Shards(files, shards, where, layout.item_bytes, workers=workers, room=room)
    rows, side = np.arange(len(where)), manifest.working_size
    checksums = index.facts["checksum"][index.readable]
    images = ImageSet(
        index,
        Packed(opened, layout.image, (side, side, 3), checksums[:, 0], rows),
        None if layout.mask is None
        else Packed(opened, layout.mask, (side, side), checksums[:, 1], rows),
        fingerprints=cast(Stored, _Fingerprints(files)),
        resize=manifest.resize,
    )  # fmt: skip
    return PackedImages(
        manifest=manifest,
        images=images,
        splitting=_splitting(arrays, drawn=manifest.split is not None),
        shards=opened,
        train_shards=len(manifest.shards["train"]),
        train_positions=np.searchsorted(np.sort(arrays["train"]), arrays["train"]),
    )


def _instead_of_packed(folder: Path) -> str:
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        return f"{problem}: with data=stream, data.root= names a folder of packed images"
    if told := told_as_packed(folder):
        return told
    if any(folder.glob("*/chunk-*.bin")) or any(folder.glob("chunk-*.bin")):
        why = f"has no {MANIFEST}, as it was not packed to its end"
        return f"{why}: type the command that packs it again"
    return (
        f"has no {MANIFEST}, so no packed images: to train on a folder of images leave out "
        f"data=stream, or pack it first: python scripts/pack_data.py {for_shells([str(folder)])}"
    )


class _Fingerprints:
    """Those of packed images, which a training does not need: fetched when they are asked for."""

    def __init__(self, files: PackedFiles) -> None:
        self._files = files

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        whole = np.load(self._files.path(FINGERPRINTS), mmap_mode="r")
        return np.asarray(whole[rows], np.uint8)


def _splitting(arrays: Mapping[str, NDArray[Any]], *, drawn: bool) -> Splitting:
    duplicates = Duplicates(arrays["pairs"], arrays["alike"]) if "pairs" in arrays else None
    parts = arrays["parts"].tobytes()
    return Splitting(
        split=Split(*(np.sort(arrays[name]) for name in SPLIT_NAMES)),
        groups=arrays["groups"],
        duplicates=duplicates,
        leaked=arrays["leaked"],
        drawn=drawn,
        parts=json.loads(parts) if parts else None,
    )


def settings_of(manifest: Manifest) -> SplitSettings:
    """What the split was drawn with."""
    return SplitSettings(**(manifest.split or {}))
