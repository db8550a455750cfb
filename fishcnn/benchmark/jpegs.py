"""JPEGs of the sizes that cameras and web pages give, drawn once and kept."""

import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from fishcnn.data.rendering.render import render_fish

SIZES = {"small": (500, 375), "large": (4000, 3000)}
SPECIES = 4
# What is drawn before it is enlarged: drawing 12 megapixels would take seconds a picture.
_DRAWN_SIDE = 640


def draw_photos(folder: Path, size: str, *, train: int, val: int, workers: int) -> Path:
    """Draw ``train/`` and ``val/`` folders of four species, unless they are there already.

    Large pictures are drawn small, enlarged and given the grain of a sensor, so that their files
    have the bytes of real ones.

    Args:
        folder: where the folders of each size go.
        size: a key of :data:`SIZES`.
        train: pictures to train on.
        val: pictures to validate on.
        workers: processes that draw.

    Returns:
        The folder that holds ``train/`` and ``val/``.
    """
    root = folder / f"{size}-{train}-{val}"
    if root.is_dir():
        return root
    unfinished = root.with_name(f"{root.name}.{os.getpid()}")
    tasks = [
        (unfinished / side, size, number)
        for side, count in (("train", train), ("val", val))
        for number in range(count)
    ]
    for side in ("train", "val"):
        for species in range(SPECIES):
            (unfinished / side / f"species_{species}").mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        for _ in track(pool.map(_draw, tasks), f"Drawing {size} photos", total=len(tasks)):
            pass
    shutil.rmtree(root, ignore_errors=True)
    unfinished.rename(root)
    return root


def _draw(task: tuple[Path, str, int]) -> None:
    side, size, number = task
    species = number % SPECIES
    rng = np.random.default_rng([number, side.name == "val"])
    picture, _ = render_fish(species, rng, long_side=min(_DRAWN_SIDE, SIZES[size][0]), marker=False)
    enlarged = np.asarray(Image.fromarray(picture).resize(SIZES[size], Image.Resampling.BICUBIC))
    if size == "large":
        enlarged = _grain(enlarged, rng)
    file = side / f"species_{species}" / f"{number:04}.jpg"
    Image.fromarray(enlarged).save(file, quality=92)


def _grain(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = rng.integers(-6, 7, picture.shape, dtype=np.int16)
    grainy: NDArray[np.uint8] = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return grainy
