"""JPEGs of the sizes that cameras and web pages give, drawn once and kept."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fishcnn.data.rendering.drawn_folder import drawn_folder, save_image
from fishcnn.data.rendering.render import render_fish
from fishcnn.data.rendering.synthetic import draw_all

SIZES = {"small": (500, 375), "large": (4000, 3000)}
SPECIES = 4
# What is drawn before it is enlarged: drawing 12 megapixels would take seconds an image.
_DRAWN_SIDE = 640


def draw_jpegs(folder: Path, size: str, *, train: int, val: int, workers: int) -> Path:
    """Draw ``train/`` and ``val/`` folders of four species, unless they are there already.

    Large images are drawn small, enlarged and given the grain of a sensor, so that their files
    have the bytes of real ones. ``size`` is a key of :data:`SIZES`; returns the folder.
    """
    root = folder / f"{size}-{train}-{val}"
    if root.is_dir():
        return root
    with drawn_folder(root, files=train + val) as unfinished:
        tasks = [
            partial(_draw, unfinished / split, size, number)
            for split, count in (("train", train), ("val", val))
            for number in range(count)
        ]
        for split in ("train", "val"):
            for species in range(SPECIES):
                (unfinished / split / f"species_{species}").mkdir(parents=True)
        draw_all(tasks, workers=workers, description=f"Drawing {size} images")
    return root


def _draw(folder: Path, size: str, number: int) -> None:
    species = number % SPECIES
    rng = np.random.default_rng([number, folder.name == "val"])
    image, _ = render_fish(species, rng, long_side=min(_DRAWN_SIDE, SIZES[size][0]), marker=False)
    enlarged = np.asarray(Image.fromarray(image).resize(SIZES[size], Image.Resampling.BICUBIC))
    if size == "large":
        grain = rng.integers(-6, 7, enlarged.shape, dtype=np.int16)
        enlarged = np.clip(enlarged + grain, 0, 255).astype(np.uint8)
    file = folder / f"species_{species}" / f"{number:04}.jpg"
    save_image(Image.fromarray(enlarged), file, quality=92)
