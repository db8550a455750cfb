"""What the tags of a TIFF file say that Pillow takes on trust."""

from PIL.TiffImagePlugin import TiffImageFile

from fishcnn.data.decoding.file_bytes import UnreadableImage
from fishcnn.data.decoding.pixel_limit import check_size

# TIFF 6.0.
_BITS, _PLANES = 258, 284
_TILE_SIZE = (322, 323)
_IN_PLANES = 2


def check_tags(image: TiffImageFile, limit: int) -> None:
    """Refuse, before it is decoded, an open TIFF file that Pillow would decode wrong, or too large.

    Strips need no limit: those that are higher than the image are cut to it.

    Raises:
        UnreadableImage: Its tiles have more pixels than the limit, or its colours of 16 bits are
            stored one after the other, which Pillow takes for 8 bits.
    """
    tags = image.tag_v2
    width, height = (tags.get(tag, 1) for tag in _TILE_SIZE)
    check_size((width, height), limit, what=" in a tile")
    deep = max(_numbers(tags.get(_BITS, 8))) > 8
    # Where the data are compressed, libtiff puts the colours together first.
    if deep and tags.get(_PLANES) == _IN_PLANES and len(image.tile) > 1:
        raise UnreadableImage("a TIFF of 16 bits with a plane for each colour, which is not read")


def _numbers(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
