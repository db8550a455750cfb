"""What is known of every file of a folder, and the pass over the files that finds it out."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from fishcnn.data.decoding.decode import DIGEST_BYTES, Decoded, content_digest, decode, mask_path
from fishcnn.data.duplicates.fingerprint import FINGERPRINT_BYTES
from fishcnn.data.image_folder import ImageIndex

Item = TypeVar("Item")
Result = TypeVar("Result")

# Fewer pictures than this are decoded before a progress bar could be read.
_SHOW_PROGRESS_ABOVE = 500


@dataclass(frozen=True)
class Catalogue:
    """N files that look like pictures by their names, in the order of a listing.

    Attributes:
        paths: POSIX paths relative to the root.
        reasons: Why a file cannot be read; empty for the R that can.
        stamps: int64 (N, 4), bytes and time of the last change (ns) of the picture and its mask.
        digests: uint8 (N, 32), see content_digest().
        sizes: int32 (R, 2), width and height of the upright originals.
        fingerprints: uint8 (R, FINGERPRINT_BYTES).
        moments: int64 (R, 2, 3), sum and sum of squares of each channel.
    """

    paths: tuple[str, ...]
    reasons: tuple[str, ...]
    stamps: NDArray[np.int64]
    digests: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    fingerprints: NDArray[np.uint8]
    moments: NDArray[np.int64]

    @property
    def readable(self) -> NDArray[np.int64]:
        """Which of the N files can be read: int64 (R,)."""
        return np.flatnonzero([not reason for reason in self.reasons]).astype(np.int64)

    def save(self, file: Path, **more: str | int) -> None:
        """Write everything to one ``.npz`` file; ``more`` is kept along with it."""
        words = {"paths": self.paths, "reasons": self.reasons, "more": more}
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in words}
        # Escaped, as file names need not be valid Unicode.
        text = np.frombuffer(json.dumps(words).encode("ascii"), np.uint8)
        with file.open("wb") as stream:
            np.savez(stream, words=text, **arrays)

    @staticmethod
    def load(file: Path) -> tuple["Catalogue", dict[str, str | int]]:
        """Read what save() has written."""
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        words = json.loads(arrays.pop("words").tobytes())
        paths, reasons = tuple(words["paths"]), tuple(words["reasons"])
        return Catalogue(paths=paths, reasons=reasons, **arrays), words["more"]


def file_stamps(listing: ImageIndex, masks_root: Path | None) -> NDArray[np.int64]:
    """Bytes and modification times of the files, int64 (N, 4); -1 for a file that is not there."""

    def stamp(file: Path | None) -> tuple[int, int]:
        try:
            stat = file.stat() if file else None
        except OSError:
            stat = None
        # A copy may keep the modification time of its original, but not the time of its inode.
        return (stat.st_size, max(stat.st_mtime_ns, stat.st_ctime_ns)) if stat else (-1, -1)

    rows = [
        stamp(listing.root / path) + stamp(mask_path(masks_root, path)) for path in listing.paths
    ]
    return np.array(rows, np.int64).reshape(-1, 4)


def digest_files(
    listing: ImageIndex, masks_root: Path | None, indices: Sequence[int], *, workers: int
) -> list[bytes]:
    """Digest the files of a listing with these indices."""

    def digest(index: int) -> bytes:
        path = listing.paths[index]
        return content_digest(listing.root / path, mask_path(masks_root, path))

    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(in_order(pool, digest, indices, ahead=4 * workers))


def read_files(
    listing: ImageIndex,
    *,
    stamps: NDArray[np.int64],
    masks_root: Path | None,
    side: int,
    workers: int,
    known: Callable[[int], tuple[bytes, Decoded] | None],
    keep: Callable[[Decoded], None],
) -> Catalogue:
    """Decode the files of a listing, in parallel and with a progress bar.

    Args:
        listing: The files.
        stamps: What file_stamps() said before.
        masks_root: Folder of the masks, or None.
        side: Pixels of the square that pictures are squashed to.
        workers: Threads; Pillow lets go of the GIL.
        known: Gives the digest and the picture of an index that need not be decoded again.
        keep: Takes every readable picture, in the order of the listing, on the calling thread.

    Raises:
        FishError: A mask does not fit.
    """
    reasons: list[str] = []
    digests: list[bytes] = []
    sizes: list[tuple[int, int]] = []
    fingerprints: list[NDArray[np.uint8]] = []
    moments: list[NDArray[np.int64]] = []

    def read(index: int) -> tuple[bytes, Decoded | str]:
        path = listing.paths[index]
        mask = mask_path(masks_root, path)
        return known(index) or decode(listing.root / path, mask, side=side)

    count = len(listing.paths)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        # A bounded number ahead: undecoded pictures wait on disk, decoded ones would fill memory.
        results = in_order(pool, read, range(count), ahead=8 * max(1, workers))
        for digest, decoded in track(
            results,
            "Decoding",
            total=count,
            transient=True,
            disable=count <= _SHOW_PROGRESS_ABOVE,
        ):
            digests.append(digest)
            reasons.append(decoded if isinstance(decoded, str) else "")
            if isinstance(decoded, Decoded):
                keep(decoded)
                sizes.append(decoded.size)
                fingerprints.append(decoded.fingerprint)
                moments.append(decoded.moments)
    return Catalogue(
        paths=tuple(path.as_posix() for path in listing.paths),
        reasons=tuple(reasons),
        stamps=stamps,
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES),
        sizes=np.array(sizes, np.int32).reshape(-1, 2),
        fingerprints=np.array(fingerprints, np.uint8).reshape(-1, FINGERPRINT_BYTES),
        moments=np.array(moments, np.int64).reshape(-1, 2, 3),
    )


def in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int,
) -> Iterator[Result]:
    """Apply a function in a pool, lazily and in order, at most ``ahead`` items in front."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
