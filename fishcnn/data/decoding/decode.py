"""One picture file, and its mask, to one square array and what has to be known of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fishcnn.data.decoding.read import UnreadableImage, decode_image, read_bytes, read_image
from fishcnn.data.decoding.resize import squash
from fishcnn.data.duplicates.fingerprint import fingerprint
from fishcnn.utils.errors import FishError

DIGEST_BYTES = 32


@dataclass(frozen=True)
class Decoded:
    """A picture that could be read.

    Attributes:
        image: uint8 (S, S, 3), RGB, squashed to a square.
        mask: uint8 (S, S), 255 on the fish and 0 elsewhere, squashed alike; None without masks.
        size: Width and height of the upright original in pixels.
        fingerprint: uint8 (FINGERPRINT_BYTES,), alike for near-duplicates.
        moments: int64 (2, 3), sum and sum of squares of each channel of ``image``.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    size: tuple[int, int]
    fingerprint: NDArray[np.uint8]
    moments: NDArray[np.int64]


def content_digest(path: Path, mask: Path | None) -> bytes:
    """Digest the bytes of a picture and of its mask.

    Returns:
        DIGEST_BYTES: one half BLAKE2b of the picture file, the other of the mask file (zeros
        without one). Zeros alone where the picture cannot be read.
    """
    try:
        return _digest(read_bytes(path), mask)
    except UnreadableImage:
        return bytes(DIGEST_BYTES)


def decode(path: Path, mask: Path | None, *, side: int) -> tuple[bytes, Decoded | str]:
    """Decode a picture to side x side pixels.

    Args:
        path: The picture.
        mask: Its mask, brighter than 127 on the fish, or None.
        side: Pixels of the square.

    Returns:
        What content_digest() gives, and the picture or the reason why it cannot be decoded.

    Raises:
        FishError: The mask is missing, unreadable, of another shape than its picture, or written
            with 0 and 1 for 0 and 255.
    """
    try:
        content = read_bytes(path)
    except UnreadableImage as error:
        return bytes(DIGEST_BYTES), error.reason
    try:
        picture, (width, height) = decode_image(content, long_enough_for=side)
    except UnreadableImage as error:
        return _digest(content, mask), error.reason
    image = squash(picture, side)
    levels = image.reshape(-1, 3).astype(np.int64)
    return _digest(content, mask), Decoded(
        image=image,
        mask=None if mask is None else read_mask(mask, side=side, aspect=width / height),
        size=(width, height),
        fingerprint=fingerprint(picture),
        moments=np.stack([levels.sum(0), (levels**2).sum(0)]),
    )


def mask_path(masks_root: Path | None, picture: Path) -> Path | None:
    """Where the mask of a picture lies: at the same relative path, with the suffix .png."""
    return None if masks_root is None else masks_root / picture.with_suffix(".png")


def _digest(content: bytes, mask: Path | None) -> bytes:
    half = DIGEST_BYTES // 2
    of_picture = hashlib.blake2b(content, digest_size=half).digest()
    if mask is None:
        return of_picture + bytes(half)
    try:
        return of_picture + hashlib.blake2b(read_bytes(mask), digest_size=half).digest()
    except UnreadableImage:  # whoever needs the mask will say so
        return of_picture + bytes(half)


def read_mask(path: Path, *, side: int, aspect: float | None) -> NDArray[np.uint8]:
    """Read a mask as uint8 (side, side) of 0 and 255.

    Args:
        path: The mask.
        side: Pixels of the square.
        aspect: Width / height of the picture that the mask belongs to; None if it was compared
            before.

    Raises:
        FishError: The mask does not fit; see decode().
    """
    if not path.is_file():
        raise FishError(f"mask {path} does not exist; data.masks_root needs one a picture.")
    try:
        mask = read_image(path, long_enough_for=None).convert("L")
    except UnreadableImage as error:
        raise FishError(f"mask {path} cannot be read: {error.reason}.") from error
    # A smaller mask is fine, and its sides were rounded.
    if aspect is not None and abs(mask.width - mask.height * aspect) > 1 + aspect:
        raise FishError(
            f"mask {path} is {mask.width}x{mask.height}, another shape than its picture, whose "
            f"width / height is {aspect:.3f}."
        )
    brightest = int(np.asarray(mask).max())
    if 0 < brightest <= 127:
        raise FishError(
            f"mask {path} is nowhere brighter than {brightest}; "
            "write 255 on the fish and 0 elsewhere."
        )
    fish = mask.point([255 * (level > 127) for level in range(256)])
    covered = np.asarray(fish.resize((side, side), Image.Resampling.BOX))
    return np.where(covered > 127, np.uint8(255), np.uint8(0))
