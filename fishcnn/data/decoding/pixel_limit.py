"""How many pixels an image may have, the same for every reader."""

import os

from fishcnn.data.decoding.file_bytes import UnreadableImage
from fishcnn.utils.errors import FishError

VARIABLE = "FISHCNN_MAX_PIXELS"
# 8000 x 8000. At the worst (WebP) one takes 16 bytes a pixel, or 1 GB, while it is decoded.
DEFAULT = 64_000_000


def max_pixels() -> int:
    """The most pixels of an image that are held in memory; JPEGs count as they are decoded.

    It is an environment variable, FISHCNN_MAX_PIXELS, as it says something of the machine and not
    of a run: the scripts, the demo and ``classifier.predict`` share it without handing it on, and a
    run that is repeated on a larger machine is still the same run.

    Raises:
        FishError: The variable is not a whole number above 0.
    """
    typed = os.environ.get(VARIABLE)
    if not typed:
        return DEFAULT
    if not typed.isdecimal() or not int(typed):
        raise FishError(
            f"{VARIABLE}={typed}: set a whole number of pixels, such as {DEFAULT}, or unset it"
        )
    return int(typed)


def check_size(size: tuple[int, int], limit: int, *, share: int = 1, what: str = "") -> None:
    """Refuse an image, or what of it is ``what``, of more than ``share`` times the limit.

    Raises:
        UnreadableImage: It says which limit would do.
    """
    pixels = size[0] * size[1]
    if pixels > share * limit:
        wanted = -(-pixels // share)
        raise UnreadableImage(
            f"{size[0]}x{size[1]} are {pixels:,} pixels{what}, more than the limit of "
            f"{share * limit:,}; set {VARIABLE}={wanted} to read it"
        )
