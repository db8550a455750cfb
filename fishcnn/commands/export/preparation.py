"""How a program without fishcnn prepares an image file for an exported network.

The source of :func:`prepare` stands in the model card, and the same function is compared with what
predict makes of the files.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier

IMPORTS = "import numpy as np\nfrom PIL import Image, ImageOps"


def prepare(path: str, side: int, resize: str) -> np.ndarray:
    """Decode an image file to uint8 (side, side, 3) RGB."""
    with Image.open(path, formats=["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"]) as file:
        file.draft(None, (side, side))  # large JPEGs at a half, a quarter or an eighth
        image = ImageOps.exif_transpose(file)
        if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("RGB")
    width, height = image.size
    box, size = (0, 0, width, height), (side, side)  # resize "squash"
    if resize == "crop":  # a square in the middle
        shorter = min(width, height)
        left, upper = (width - shorter) // 2, (height - shorter) // 2
        box = (left, upper, left + shorter, upper + shorter)
    if resize == "letterbox":  # the longer side fits
        scale = side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box, reducing_gap=3.0))
    prepared = np.empty((side, side, 3), np.uint8)
    prepared[:] = small.mean(axis=(0, 1)).round()  # what fills up a letterbox
    left, upper = (side - size[0]) // 2, (side - size[1]) // 2
    prepared[upper : upper + size[1], left : left + size[0]] = small
    return prepared


def source() -> str:
    """The source text of :func:`prepare`."""
    return inspect.getsource(prepare).strip()


@dataclass(frozen=True)
class FilesAgreement:
    """How well :func:`prepare` does from files what predict does.

    Attributes:
        pictures: how many files were compared.
        unreadable: how many of them :func:`prepare` cannot read.
        same_top1: on how many both ways lead to the same class.
        max_abs_difference: the largest difference of a probability; 0 where none was read.
    """

    pictures: int
    unreadable: int
    same_top1: int
    max_abs_difference: float


def compare_files(
    classifier: FishClassifier, files: Sequence[Path], expected: NDArray[np.float32]
) -> FilesAgreement:
    """Prepare files in both ways and compare the network's answers.

    Args:
        classifier: in eval mode, on the CPU.
        files: N image files.
        expected: float32 ``(N, K)``, the network's probabilities as predict prepares the files.
    """
    same, largest, unreadable = 0, 0.0, 0
    for file, probabilities in zip(files, expected, strict=True):
        try:
            prepared = prepare(str(file), classifier.square.side, classifier.square.resize)
        except Exception:  # Pillow raises almost any type: the card counts them
            unreadable += 1
            continue
        batch = resize(torch.tensor(prepared[None]), classifier.image_size)
        with torch.inference_mode():
            found = classifier.probabilities(batch).numpy()[0]
        same += int(found.argmax() == probabilities.argmax())
        largest = max(largest, float(np.abs(found - probabilities).max()))
    return FilesAgreement(len(files), unreadable, same, largest)
