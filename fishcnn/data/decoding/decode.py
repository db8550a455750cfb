"""Image files, and their masks, to square arrays and what has to be known of each."""

import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.decoding.read import UnreadableImage, decode_image, read_bytes, read_image
from fishcnn.data.decoding.resize import Square
from fishcnn.data.duplicates.fingerprint import fingerprint
from fishcnn.data.image_index import DIGEST_BYTES, FACTS, ImageIndex
from fishcnn.utils.errors import FishError
from fishcnn.utils.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")

# Fewer images than this are decoded before a progress bar could be read.
_SHOW_PROGRESS_ABOVE = 500


class Decoded(NamedTuple):
    """An image that could be read, brought to a square."""

    image: NDArray[np.uint8]  # (S, S, 3), RGB
    mask: NDArray[np.uint8] | None  # (S, S), 255 on the fish and 0 elsewhere; None without masks
    fingerprint: NDArray[np.uint8]  # (FINGERPRINT_BYTES,), alike for near-duplicates


def decode(
    path: Path, mask: Path | None, *, square: Square
) -> tuple[NDArray[np.void], Decoded | str]:
    """Decode an image, and its mask if there is one, to a square.

    Returns:
        FACTS (), all but stamp and row; and the image, or the reason why it cannot be decoded.

    Raises:
        FishError: The mask is missing, unreadable, of another shape than its image, or written
            with 0 and 1 for 0 and 255.
    """
    facts = np.zeros((), FACTS)
    facts["row"] = -1
    try:
        content = read_bytes(path)
        facts["digest"] = _digest(content, mask)
        image, size = decode_image(content, long_enough_for=square.side)
    except UnreadableImage as error:
        return facts, error.reason
    pixels = square.of_image(image)
    levels = pixels.reshape(-1, 3).astype(np.int64)
    facts["size"] = size
    facts["moments"] = levels.sum(0), (levels**2).sum(0)
    aspect = size[0] / size[1]
    covered = None if mask is None else read_mask(mask, square=square, aspect=aspect)
    decoded = Decoded(pixels, covered, fingerprint(image))
    facts["checksum"] = [0 if part is None else zlib.crc32(part.data) for part in decoded]
    return facts, decoded


def decode_files(
    index: ImageIndex, files: Sequence[int], *, square: Square, workers: int
) -> Iterator[tuple[NDArray[np.void], Decoded | str]]:
    """Yield what :func:`decode` returns of the files at these positions of an index, in order.

    Raises:
        FishError: A mask does not fit.
    """

    def read(file: int) -> tuple[NDArray[np.void], Decoded | str]:
        return decode(*index.files(file), square=square)

    show = len(files) > _SHOW_PROGRESS_ABOVE
    yield from track(
        in_order(read, files, workers=workers), "Decoding", total=len(files), show=show
    )


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int = 8
) -> Generator[Result, None, None]:
    """Apply a function in threads, lazily and in order.

    Only a few items for each worker are taken in advance, ``ahead``: undecoded images wait on disk,
    decoded ones would fill the memory. What is not begun when nobody takes more is left undone.
    Threads are enough, as Pillow lets go of the GIL.
    """
    workers = max(1, workers)
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def content_digest(path: Path, mask: Path | None) -> NDArray[np.uint8]:
    """Digest the bytes of an image and of its mask: uint8 (DIGEST_BYTES,), as in FACTS.

    It is zeros for a file that cannot be read, and zeros alone where that is the image.
    """
    try:
        return _digest(read_bytes(path), mask)
    except UnreadableImage:
        return np.zeros(DIGEST_BYTES, np.uint8)


def _digest(content: bytes, mask: Path | None) -> NDArray[np.uint8]:
    half = DIGEST_BYTES // 2
    digest = hashlib.blake2b(content, digest_size=half).digest()
    try:
        of_mask = mask and hashlib.blake2b(read_bytes(mask), digest_size=half).digest()
    except UnreadableImage:  # whoever needs the mask will say so
        of_mask = None
    return np.frombuffer(digest + (of_mask or bytes(half)), np.uint8)


def read_mask(path: Path, *, square: Square, aspect: float | None) -> NDArray[np.uint8]:
    """Read a mask as uint8 (S, S) of 0 and 255, brought to a square as its image is.

    Its image has width / height ``aspect``; None if they were compared before.

    Raises:
        FishError: The mask does not fit; see :func:`decode`.
    """
    if not path.exists():
        raise FishError(f"mask {path} does not exist; every image needs one")
    try:
        mask = read_image(path, long_enough_for=None).convert("L")
    except UnreadableImage as error:
        raise FishError(f"mask {path} cannot be read: {error.reason}") from error
    # A smaller mask is fine, and its sides were rounded.
    if aspect is not None and abs(mask.width - mask.height * aspect) > 1 + aspect:
        raise FishError(
            f"mask {path} is {mask.width}x{mask.height}, another shape than its image, whose "
            f"width / height is {aspect:.3f}"
        )
    brightest = max(level for level, count in enumerate(mask.histogram()) if count)
    if 0 < brightest <= 127:
        raise FishError(
            f"mask {path} is nowhere brighter than {brightest}; write 255 on the fish and 0 "
            "elsewhere"
        )
    fish = mask.point([255 * (level > 127) for level in range(256)])
    return square.of_mask(fish)
