"""Which formats are read, and what a file is that holds another one."""

import re
from functools import cache

from PIL import Image

from fishcnn.data.decoding.file_bytes import UnreadableImage

# Pillow's names. It knows some forty formats more, of which one starts Ghostscript (EPS) and most
# have few users and old decoders.
_READ = (
    "JPEG",  # and so MPO, of cameras with a preview or a second lens
    "PNG",
    "WEBP",
    "TIFF",
    "BMP",
    "GIF",
    "PPM",
    "JPEG2000",
    "AVIF",
    "HEIF",  # of pillow-heif
)
# How files begin that people call x.jpg by mistake, or that their tools have written.
_BEGINNINGS = (
    ("EPS", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("PDF", rb"%PDF"),
    ("Photoshop", rb"8BPS"),
    ("GIMP", rb"gimp xcf"),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL "),
    ("JPEG XR", rb"II\xbc"),
    ("Canon raw", rb"....ftypcrx"),
    ("Fujifilm raw", rb"FUJIFILM"),
    ("Panasonic raw", rb"IIU\0"),
    ("Olympus raw", rb"IIR[OS]"),
    ("video", rb"....ftyp(?:mp4|isom|iso\d|avc1|qt  |M4V|3g)|\x1aE\xdf\xa3|RIFF....AVI "),
    ("ICO", rb"\x00\x00[\x01\x02]\x00[^\x00]"),
    ("ICNS", rb"icns"),
    ("DDS", rb"DDS "),
    ("PCX", rb"\n[\x00-\x05]\x01"),
    ("SGI", rb"\x01\xda"),
    ("Sun raster", rb"\x59\xa6\x6a\x95"),
    ("QOI", rb"qoif"),
    ("OpenEXR", rb"v/1\x01"),
    ("Radiance", rb"#\?R"),
    ("FITS", rb"SIMPLE  ="),
    ("HDF5", rb"\x89HDF"),
    ("DICOM", rb".{128}DICM"),
    ("WMF or EMF", rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"),
    ("XBM", rb"#define "),
    ("XPM", rb"/\* XPM"),
    ("SVG", rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg"),
    ("a web page", rb"\s*<(?i:!doctype html|html|head|body)"),
    ("a Git LFS pointer: run git lfs pull", rb"version https://git-lfs"),
    ("a zip archive", rb"PK\x03\x04"),
    ("a gzip archive", rb"\x1f\x8b"),
)
_PATTERNS = tuple((name, re.compile(start, re.DOTALL)) for name, start in _BEGINNINGS)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats that are read here: those of the list that Pillow, or pillow-heif, can read."""
    try:
        import pillow_heif
    except ImportError:
        pass  # HEIC files will get a reason that names the extra
    else:
        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in _READ if name in Image.OPEN)


def check_format(content: bytes) -> None:
    """Refuse a file that is known to hold another format, without opening it.

    Raises:
        UnreadableImage: It names the format, and the package that reads it where there is one.
    """
    start = content[:1024]
    brands = _brands(start)
    if b"avif" in brands or b"avis" in brands:
        if "AVIF" not in readable_formats():
            raise UnreadableImage("AVIF, which this Pillow cannot read; pip install -U pillow")
    elif any(brand in _HEIC for brand in brands):
        if "HEIF" not in readable_formats():
            raise UnreadableImage("HEIC; pip install 'fishcnn[heif]' reads it")
    else:
        for name, pattern in _PATTERNS:
            if pattern.match(start):
                raise UnreadableImage(f"{name}, a format that is not supported")


def _brands(start: bytes) -> list[bytes]:
    """The names of what an ISO media file claims to be."""
    if start[4:8] != b"ftyp":
        return []
    names = start[8 : min(int.from_bytes(start[:4]), len(start))]
    return [names[at : at + 4] for at in range(0, len(names), 4)]
