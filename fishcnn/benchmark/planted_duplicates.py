"""Twins of pictures, made the way real collections get them, to measure the duplicate finder."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from fishcnn.data.duplicates.finder import find_duplicates
from fishcnn.data.duplicates.fingerprint import fingerprint

KINDS = ("reencoded", "resized", "cropped", "mirrored", "watermarked", "next_frame")

# Pixels that pictures are squashed to, as in the cache of a run.
_SQUARE = 96


def plant_duplicate(picture: Image.Image, kind: str, generator: np.random.Generator) -> Image.Image:
    """Make a near-duplicate of a picture; every kind is also stored as a JPEG of quality 75-95.

    Args:
        picture: Mode "RGB".
        kind: One of KINDS: "reencoded" at JPEG quality 30-90; "resized" by 0.6-2; "cropped" by
            5-15 % on each side on its own; "mirrored" left to right; "watermarked" with a bar of
            8-15 % of the height, opaque or translucent, laid over the picture or added to it;
            "next_frame" turned by up to 3 degrees, shifted by up to 3 %, zoomed by 0.97-1.05,
            brightened by up to 10 % and with noise of up to 5 grey levels.
        generator: Decides the strength.

    Returns:
        A new picture of mode "RGB".

    Raises:
        ValueError: An unknown kind.
    """
    if kind == "reencoded":
        return _through_jpeg(picture, int(generator.integers(30, 91)))
    if kind == "resized":
        factor = generator.uniform(0.6, 2)
        size = (round(picture.width * factor), round(picture.height * factor))
        filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
        twin = picture.resize(size, filters[generator.integers(3)])
    elif kind == "cropped":
        left, top, right, bottom = generator.uniform(0.05, 0.15, 4)
        twin = picture.crop(
            (
                round(left * picture.width),
                round(top * picture.height),
                round((1 - right) * picture.width),
                round((1 - bottom) * picture.height),
            )
        )
    elif kind == "mirrored":
        twin = ImageOps.mirror(picture)
    elif kind == "watermarked":
        twin = _watermarked(picture, generator)
    elif kind == "next_frame":
        twin = _next_frame(picture, generator)
    else:
        raise ValueError(f"kind is {kind!r}, but must be one of {KINDS}")
    return _through_jpeg(twin, int(generator.integers(75, 96)))


@dataclass(frozen=True)
class Measured:
    """How well planted twins were found.

    Attributes:
        recall: For each of KINDS, the share of twins that are in a group with their original.
        precision: Share of the found pairs that are a twin and its original; 1 if none was found.
        wrong: int64 (W, 2), the other pairs, as indices into the pictures with the twins appended.
    """

    recall: dict[str, float]
    precision: float
    wrong: NDArray[np.int64]


def measure_duplicates(
    pictures: Sequence[Image.Image], per_kind: int, generator: np.random.Generator
) -> Measured:
    """Plant twins among pictures that are all different, and look for them.

    Args:
        pictures: Mode "RGB"; at least per_kind for each of KINDS, as none gets two twins.
        per_kind: Twins of each kind.
        generator: Chooses the originals and the strength of what is done to them.
    """
    originals = generator.permutation(len(pictures))[: per_kind * len(KINDS)]
    kinds = np.repeat(KINDS, per_kind)
    twins = [
        plant_duplicate(pictures[original], kind, generator)
        for original, kind in zip(originals, kinds, strict=True)
    ]
    everything = [*pictures, *twins]
    size = (_SQUARE, _SQUARE)
    found = find_duplicates(
        np.stack([fingerprint(picture) for picture in everything]),
        np.stack([np.asarray(picture.resize(size)) for picture in everything]),
        np.array([picture.width / picture.height for picture in everything], np.float32),
        None,
    )
    original_of = np.concatenate([np.full(len(pictures), -1), originals])
    right = original_of[found.pairs[:, 1]] == found.pairs[:, 0]
    together = found.groups[len(pictures) :] == found.groups[originals]
    return Measured(
        recall={kind: float(together[kinds == kind].mean()) for kind in KINDS},
        precision=float(right.mean()) if len(right) else 1.0,
        wrong=found.pairs[~right],
    )


def _through_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return image.convert("RGB")


def _watermarked(picture: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Return the picture with a stock agency's bar."""
    width, height = picture.size
    bar = max(1, round(generator.uniform(0.08, 0.15) * height))
    at_top, added = generator.random() < 0.5, generator.random() < 0.5
    # An added bar hides nothing, so it is opaque.
    opacity = 255 if added or generator.random() < 0.5 else int(generator.integers(90, 200))
    if added:
        canvas = Image.new("RGB", (width, height + bar))
        canvas.paste(picture, (0, bar if at_top else 0))
    else:
        canvas = picture.copy()
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


def _next_frame(picture: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Return the picture as a camera that moves a little would see it a moment later."""
    width, height = picture.size
    angle = np.deg2rad(generator.uniform(-3, 3))
    zoom = generator.uniform(0.97, 1.05)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    # What comes into view is invented by reflection at the border.
    margin = max(width, height) // 8
    wide = Image.fromarray(
        np.pad(np.asarray(picture), ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    )
    x = margin + width / 2 + generator.uniform(-0.03, 0.03) * width
    y = margin + height / 2 + generator.uniform(-0.03, 0.03) * height
    turned = wide.transform(
        (width, height),
        Image.Transform.AFFINE,
        (
            cos,
            -sin,
            x - cos * width / 2 + sin * height / 2,
            sin,
            cos,
            y - sin * width / 2 - cos * height / 2,
        ),
        Image.Resampling.BICUBIC,
    )
    lit = np.asarray(ImageEnhance.Brightness(turned).enhance(generator.uniform(0.9, 1.1)))
    noisy = lit + generator.normal(0, generator.uniform(1, 5), lit.shape)
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
