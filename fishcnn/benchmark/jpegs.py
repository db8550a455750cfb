"""JPEGs of the sizes that cameras and web pages give, drawn once and kept."""

import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from fishcnn.data.rendering.render import render_fish
from fishcnn.utils.progress import track

SIZES = {"small": (500, 375), "large": (4000, 3000)}
SPECIES = 4
# What is drawn before it is enlarged: drawing 12 megapixels would take seconds an image.
_DRAWN_SIDE = 640


def draw_jpegs(folder: Path, size: str, *, train: int, val: int, workers: int) -> Path:
    """Draw ``train/`` and ``val/`` folders of four species, unless they are there already.

    Large images are drawn small, enlarged and given the grain of a sensor, so that their files
    have the bytes of real ones.

    Args:
        folder: where the folders of each size go.
        size: a key of :data:`SIZES`.
        train: images to train on.
        val: images to validate on.
        workers: processes that draw.

    Returns:
        The folder that holds ``train/`` and ``val/``.
    """
    root = folder / f"{size}-{train}-{val}"
    if root.is_dir():
        return root
    unfinished = root.with_name(f"{root.name}.{os.getpid()}")
    tasks = [
        (unfinished / split, size, number)
        for split, count in (("train", train), ("val", val))
        for number in range(count)
    ]
    for split in ("train", "val"):
        for species in range(SPECIES):
            (unfinished / split / f"species_{species}").mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        drawn = pool.map(_draw, tasks)
        for _ in track(drawn, f"Drawing {size} images", total=len(tasks), show=True):
            pass
    shutil.rmtree(root, ignore_errors=True)
    unfinished.rename(root)
    return root


def _draw(task: tuple[Path, str, int]) -> None:
    folder, size, number = task
    species = number % SPECIES
    rng = np.random.default_rng([number, folder.name == "val"])
    image, _ = render_fish(species, rng, long_side=min(_DRAWN_SIDE, SIZES[size][0]), marker=False)
    enlarged = np.asarray(Image.fromarray(image).resize(SIZES[size], Image.Resampling.BICUBIC))
    if size == "large":
        grain = rng.integers(-6, 7, enlarged.shape, dtype=np.int16)
        enlarged = np.clip(enlarged + grain, 0, 255).astype(np.uint8)
    file = folder / f"species_{species}" / f"{number:04}.jpg"
    Image.fromarray(enlarged).save(file, quality=92)
