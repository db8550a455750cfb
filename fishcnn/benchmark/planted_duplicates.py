"""Near-duplicates, made the way real image folders get them, to measure the finder of them."""

import io
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from fishcnn.data.decoding.image_formats import readable_formats
from fishcnn.data.decoding.read import read_image
from fishcnn.data.duplicates.finder import find_duplicates
from fishcnn.data.duplicates.fingerprint import fingerprint
from fishcnn.data.rendering.synthetic import ensure_synthetic
from fishcnn.utils.machine import cache_folder

KINDS = ("reencoded", "resized", "cropped", "mirrored", "watermarked", "next_frame")


def plant_duplicate(image: Image.Image, kind: str, generator: np.random.Generator) -> Image.Image:
    """Make a near-duplicate of an image of mode "RGB".

    Every kind is also stored as a JPEG of quality 75-95. "reencoded" has JPEG quality 30-90;
    "resized" by 0.6-2; "cropped" by 5-15 % on each side on its own; "mirrored" left to right;
    "watermarked" with a bar of 8-15 % of the height, opaque or translucent, laid over the image or
    added to it; "next_frame" turned by up to 3 degrees, shifted by up to 3 %, zoomed by 0.97-1.05,
    brightened by up to 10 % and with noise of up to 5 grey levels.

    Raises:
        ValueError: An unknown kind.
    """
    if kind == "reencoded":
        return _through_jpeg(image, int(generator.integers(30, 91)))
    if kind == "resized":
        factor = generator.uniform(0.6, 2)
        size = (round(image.width * factor), round(image.height * factor))
        filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
        made = image.resize(size, filters[generator.integers(3)])
    elif kind == "cropped":
        left, top, right, bottom = generator.uniform(0.05, 0.15, 4)
        left, right = round(left * image.width), round((1 - right) * image.width)
        top, bottom = round(top * image.height), round((1 - bottom) * image.height)
        made = image.crop((left, top, right, bottom))
    elif kind == "mirrored":
        made = ImageOps.mirror(image)
    elif kind == "watermarked":
        made = _watermarked(image, generator)
    elif kind == "next_frame":
        made = _next_frame(image, generator)
    else:
        raise ValueError(f"kind is {kind!r}, but must be one of {KINDS}")
    return _through_jpeg(made, int(generator.integers(75, 96)))


class Measured(NamedTuple):
    """How well planted near-duplicates were found."""

    recall: dict[str, float]  # of KINDS: the share that are in a group with their original
    precision: float  # share of the found pairs that are an original and its near-duplicate, or 1
    wrong: NDArray[np.int64]  # (W, 2), the other pairs; the planted images come after the others


def measure_duplicates(
    images: Sequence[Image.Image], per_kind: int, generator: np.random.Generator
) -> Measured:
    """Plant near-duplicates of each kind among images that are all different, and look for them.

    There must be at least per_kind images for each of KINDS, as none gets two near-duplicates.
    """
    originals = generator.permutation(len(images))[: per_kind * len(KINDS)]
    kinds = np.repeat(KINDS, per_kind)
    planted = [
        plant_duplicate(images[original], kind, generator)
        for original, kind in zip(originals, kinds, strict=True)
    ]
    everything = [*images, *planted]
    found = find_duplicates(
        np.stack([fingerprint(image) for image in everything]),
        np.stack([np.asarray(image.resize((96, 96))) for image in everything]),
        np.array([image.width / image.height for image in everything], np.float32),
        None,
    )
    original_of = np.concatenate([np.full(len(images), -1), originals])
    right = original_of[found.pairs[:, 1]] == found.pairs[:, 0]
    together = found.groups[len(images) :] == found.groups[originals]
    return Measured(
        recall={kind: float(together[kinds == kind].mean()) for kind in KINDS},
        precision=float(right.mean()) if len(right) else 1.0,
        wrong=found.pairs[~right],
    )


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Measure the finder, and the milliseconds of a fingerprint, on rendered images.

    These are all different. ``settings["seed"]`` is that of the near-duplicates.
    """
    folder = ensure_synthetic(
        cache_folder(settings["cache_root"]),
        species=settings["species"],
        images_per_class=settings["pictures_per_class"],
        long_side=settings["long_side"],
        shortcut=0.0,
        seed=0,
        workers=settings["workers"],
    )
    files = sorted((folder / "pictures").rglob("*.jpg"))
    images = [read_image(file, long_enough_for=None) for file in files]
    some = images[:200]
    start = time.perf_counter()
    for image in some:
        fingerprint(image)
    seconds = time.perf_counter() - start
    generator = np.random.default_rng(settings["seed"])
    measured = measure_duplicates(images, settings["per_kind"], generator)
    return {
        "pictures": len(images),
        "planted": settings["per_kind"] * len(KINDS),
        "recall": measured.recall,
        "precision": measured.precision,
        "fingerprint_ms": 1000 * seconds / len(some),
    }


def _through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer, formats=readable_formats()) as decoded:
        return decoded.convert("RGB")


def _watermarked(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Return the image with a stock agency's bar."""
    width, height = image.size
    bar = max(1, round(generator.uniform(0.08, 0.15) * height))
    at_top, added = generator.random() < 0.5, generator.random() < 0.5
    # An added bar hides nothing, so it is opaque.
    opacity = 255 if added or generator.random() < 0.5 else int(generator.integers(90, 200))
    if added:
        canvas = Image.new("RGB", (width, height + bar))
        canvas.paste(image, (0, bar if at_top else 0))
    else:
        canvas = image.copy()
    top = 0 if at_top else canvas.height - bar
    shade = int(generator.choice([0, 30, 255]))
    ink = 255 - shade
    overlay = Image.new("RGBA", canvas.size)
    draw = ImageDraw.Draw(overlay)
    draw.rectangle((0, top, width, top + bar), fill=(shade, shade, shade, opacity))
    font = ImageFont.load_default(max(6, 0.7 * bar))
    number = int(generator.integers(10**6, 10**7))
    draw.text((0.05 * width, top + 0.1 * bar), f"stockfish {number}", (ink,) * 3 + (255,), font)
    return Image.alpha_composite(canvas.convert("RGBA"), overlay).convert("RGB")


def _next_frame(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Return the image as a camera that moves a little would see it a moment later."""
    width, height = image.size
    angle = np.deg2rad(generator.uniform(-3, 3))
    zoom = generator.uniform(0.97, 1.05)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    # What comes into view is invented by reflection at the border.
    margin = max(width, height) // 8
    wide = Image.fromarray(
        np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    )
    x = margin + width / 2 + generator.uniform(-0.03, 0.03) * width
    y = margin + height / 2 + generator.uniform(-0.03, 0.03) * height
    left = x - cos * width / 2 + sin * height / 2
    top = y - sin * width / 2 - cos * height / 2
    affine = (cos, -sin, left, sin, cos, top)
    turned = wide.transform(image.size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    lit = np.asarray(ImageEnhance.Brightness(turned).enhance(generator.uniform(0.9, 1.1)))
    noisy = lit + generator.normal(0, generator.uniform(1, 5), lit.shape)
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
