"""Whether a JPEG file holds as much as its image needs, which Pillow does not say.

libjpeg fills with grey what is missing, or skips what is too much, and warns of it; Pillow throws
the warnings away. But Pillow asks for bytes only as long as the decoder needs some, so where it
stops asking tells whether the coded image ended where the file says that it does. A file that was
cut, joined or overwritten almost never ends there.
"""

import io
import re
from dataclasses import dataclass, field
from math import ceil

from PIL import Image

from fishcnn.data.decoding.file_bytes import UnreadableImage

BEGINNING = b"\xff\xd8\xff"
_SOF, _SEQUENTIAL, _PROGRESSIVE = range(0xC0, 0xD0), (0xC0, 0xC1), 0xC2
_DHT, _EOI, _SOS, _DRI = 0xC4, 0xD9, 0xDA, 0xDD
_NO_FRAME = (_DHT, 0xC8, 0xCC)
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA))
# A zero byte after 0xFF belongs to the coded image, and so do restart markers. (Fill bytes before a
# marker would be \xff+, which takes the re module 17 times as long.)
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
# The decoder takes up to 8 bytes more than it needs before it looks at them.
_AHEAD = bytes(24)
# Encoders may leave so many bytes behind the coded image.
_SPARE = 16
# So many zero bytes would be hundreds of equal coefficients one after another.
_ZEROS = bytes(48)
# Each may take as long as the whole image. Encoders write some ten.
_MAX_SCANS = 100
# What no decoder takes for a flat image, without 0xFF: put where a scan ends too early.
_PROBE = bytes((number * number * 7 + number * 13) % 251 for number in range(4096))
_DAMAGED = "damaged: "


@dataclass
class _Scan:
    components: tuple[int, ...]
    first: int  # of the coefficients, 0 to 63
    last: int
    high: int  # the bit that came before, 0 for the first time
    low: int
    start: int = 0  # of the coded data, in bytes of the file
    end: int = 0
    filled: int = 0  # where zero bytes begin that go on to the end: cameras pad with them


@dataclass
class JpegStream:
    """The parts of a JPEG file.

    Attributes:
        frame: the marker of its kind, such as 0xC0 for a baseline JPEG; 0 where there is none.
        size: width and height in pixels.
        sampling: horizontal and vertical factors by component.
        scans: in the order of the file.
        restart: MCUs between restart markers; 0 for none.
        zero_means_flat: whether zero bits may mean "no more detail" in this file.
    """

    content: bytes
    frame: int = 0
    size: tuple[int, int] = (0, 0)
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    scans: list[_Scan] = field(default_factory=list)
    restart: int = 0
    zero_means_flat: bool = False

    @property
    def in_one_scan(self) -> bool:
        """Whether the decoder gives rows while it reads, so that where it stops means something."""
        return self.frame in _SEQUENTIAL and len(self.scans) == 1


def parse(content: bytes) -> JpegStream:
    """Find the parts of a JPEG file, as far as there are such.

    Raises:
        UnreadableImage: A part lies behind the end of the file, or there are too many scans.
    """
    jpeg = JpegStream(content)
    at = 2
    while marker := _MARKER.search(content, at):
        code, at = marker[1][0], marker.end()
        if code == _EOI:
            break
        if code in _WITHOUT_LENGTH:
            continue
        segment = content[at + 2 : at + int.from_bytes(content[at : at + 2])]
        at += 2 + len(segment)
        try:
            _take(jpeg, code, segment)
        except IndexError as error:
            raise UnreadableImage("truncated") from error
        if code == _SOS:
            if len(jpeg.scans) > _MAX_SCANS:
                raise UnreadableImage(
                    f"a JPEG of more than {_MAX_SCANS} scans, as no camera writes"
                )
            scan = jpeg.scans[-1]
            end = _END_OF_SCAN.search(content, at)
            scan.start, scan.end = at, end.start() if end else len(content)
            scan.filled = at + len(content[at : scan.end].rstrip(b"\0"))
            at = scan.end
    return jpeg


def _take(jpeg: JpegStream, code: int, segment: bytes) -> None:
    if code in _SOF and code not in _NO_FRAME and not jpeg.frame:
        jpeg.frame = code
        jpeg.size = (int.from_bytes(segment[3:5]), int.from_bytes(segment[1:3]))
        for at in range(6, 6 + 3 * segment[5], 3):
            jpeg.sampling[segment[at]] = (segment[at + 1] >> 4, segment[at + 1] & 15)
    elif code == _DRI:
        jpeg.restart = int.from_bytes(segment[:2])
    elif code == _DHT:
        at = 0
        while at < len(segment):
            count = sum(segment[at + 1 : at + 17])
            # The first symbol of a table has the code that is all zeros; of a table for detail,
            # the symbol 0 means that the rest of a block is flat.
            if count and segment[at] >> 4 and segment[at + 17] & 15 == 0:
                jpeg.zero_means_flat = True
            at += 17 + count
    elif code == _SOS:
        count = segment[0]
        components = tuple(segment[at] for at in range(1, 1 + 2 * count, 2))
        first, last, bits = segment[1 + 2 * count], segment[2 + 2 * count], segment[3 + 2 * count]
        jpeg.scans.append(_Scan(components, first, last, bits >> 4, bits & 15))


def check_structure(jpeg: JpegStream) -> None:
    """Check what can be seen without decoding.

    Raises:
        UnreadableImage: Restart markers or scans are missing, or data were overwritten with zeros.
    """
    if not jpeg.frame or not jpeg.scans:
        return  # Pillow will say so
    if jpeg.frame == _PROGRESSIVE or not jpeg.in_one_scan:
        _check_scans(jpeg)
    for scan in jpeg.scans:
        detailed = jpeg.frame in _SEQUENTIAL or (scan.first and not scan.high)
        if not detailed or jpeg.zero_means_flat:
            continue
        # Behind the coded image they do no harm, and whether they are that, decoding will tell.
        scan.end = min(scan.end, scan.filled + len(_AHEAD))
        if jpeg.content.find(_ZEROS, scan.start, scan.end) >= 0:
            raise UnreadableImage(_DAMAGED + "a part of it was overwritten with zeros")
    if jpeg.restart and jpeg.in_one_scan:
        _check_restarts(jpeg)


def _check_scans(jpeg: JpegStream) -> None:
    """Every coefficient of every component must come, down to its last bit."""
    bits: dict[tuple[int, int], int] = {}
    for scan in jpeg.scans:
        last = scan.last if jpeg.frame == _PROGRESSIVE else 63
        for component in scan.components:
            for coefficient in range(scan.first, min(last, 63) + 1):
                bits[component, coefficient] = scan.low if jpeg.frame == _PROGRESSIVE else 0
    wanted = {(component, number) for component in jpeg.sampling for number in range(64)}
    if wanted - bits.keys() or any(bits.values()):
        raise UnreadableImage(_DAMAGED + "scans of its pixels are missing")


def _check_restarts(jpeg: JpegStream) -> None:
    scan = jpeg.scans[0]
    found = [code[0] & 7 for code in _RESTART.findall(jpeg.content, scan.start, scan.end)]
    across, down = 1, 1
    if len(jpeg.sampling) > 1:
        across = max(h for h, _ in jpeg.sampling.values())
        down = max(v for _, v in jpeg.sampling.values())
    width, height = jpeg.size
    units = ceil(width / (8 * across)) * ceil(height / (8 * down))
    expected = ceil(units / jpeg.restart) - 1
    # Some encoders end with one more.
    if len(found) - expected not in (0, 1) or found != [n % 8 for n in range(len(found))]:
        raise UnreadableImage(_DAMAGED + "parts of its pixels are missing")


class WatchedJpeg(io.BytesIO):
    """A JPEG file in one scan that remembers how much of it the decoder has asked for."""

    def __init__(self, jpeg: JpegStream) -> None:
        (scan,) = jpeg.scans
        super().__init__(b"".join([jpeg.content[: scan.end], _AHEAD, jpeg.content[scan.end :]]))
        self._asked = 0
        # Where the decoder may stop: at the end, or where zeros begin that go on to the end. In
        # between it would have taken a part of them, but not all, for its image.
        self._ends = tuple(
            (max(scan.start, end - _SPARE), end + len(_AHEAD)) for end in (scan.filled, scan.end)
        )
        self._needed = self._ends[0][0]
        self._stops = sorted({*self._ends[0], *self._ends[1], scan.filled, scan.end})

    def read(self, size: int | None = -1, /) -> bytes:
        """Read no further than to the next place where it matters whether somebody reads on."""
        at = self.tell()
        if size is not None and at + size > self._needed:
            self._asked = at
            stop = next((stop for stop in self._stops if at < stop), at + size)
            size = min(size, stop - at)
        return super().read(size)

    def check(self) -> None:
        """Check, after decoding, that the coded image ended where it should.

        Raises:
            UnreadableImage: It ended too early or too late.
        """
        if self._asked >= self._ends[1][1]:
            raise UnreadableImage(_DAMAGED + "a part of its pixels is missing")
        if self._asked < self._needed:
            raise UnreadableImage(_DAMAGED + "its pixels end before its data do")
        if not any(first <= self._asked < last for first, last in self._ends):
            raise UnreadableImage(_DAMAGED + "a part of it was overwritten with zeros")


def with_probes(jpeg: JpegStream) -> bytes:
    """Put noise behind every scan of a JPEG: it looks different only if one had too little."""
    parts, at = [], 0
    for scan in jpeg.scans:
        parts += [jpeg.content[at : scan.end], _PROBE]
        at = scan.end
    return b"".join([*parts, jpeg.content[at:]])


def check_same(image: Image.Image, probed: Image.Image) -> None:
    """Check that the probes have not changed the image.

    Raises:
        UnreadableImage: They have: a scan had too little data.
    """
    rows = max(1, 2**20 // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        if image.crop(box).tobytes() != probed.crop(box).tobytes():
            raise UnreadableImage(_DAMAGED + "a part of its pixels is missing")
