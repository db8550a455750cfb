"""Renders the default data set into a folder, once, and finds it again."""

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from operator import call
from pathlib import Path

import numpy as np
from PIL import Image

from fishcnn.data.rendering.drawn_folder import drawn_folder, save_image
from fishcnn.data.rendering.render import RENDERER_VERSION, render_fish
from fishcnn.data.rendering.species import SPECIES
from fishcnn.utils.checks import check_arguments, number, whole
from fishcnn.utils.progress import track

IMAGES_PER_TASK = 50
FEW_IMAGES = 200  # starting processes takes longer than drawing these

# What each setting of the images may be.
SETTINGS = {
    "species": whole(2, len(SPECIES)),
    "images_per_class": whole(2, 100_000),
    "long_side": whole(48, 1024),
    "shortcut": number(0, 1),
    "seed": whole(0),
}


def ensure_synthetic(
    folder: Path,
    *,
    species: int,
    images_per_class: int,
    long_side: int,
    shortcut: float,
    seed: int,
    workers: int,
) -> Path:
    """Draws the data set with these settings below ``folder``, unless it is there already.

    The same settings give the same bytes, whatever the number of workers. What is found under the
    final name is complete.

    Args:
        folder: where data sets are kept; created if missing.
        species: number of classes, 2..20.
        images_per_class: at least 2.
        long_side: pixels of the longer side, 48..1024.
        shortcut: share of each class's images, 0..1, with the class's tag in the background;
            exactly ``round(shortcut * images_per_class)`` of them. The other images, and all
            else in these, do not depend on it.
        seed: 0 or more.
        workers: processes to draw with; below 2, or for few images, this process draws.

    Returns:
        The data set's folder: ``pictures/<class>/<0000>.jpg``, ``masks/<class>/<0000>.png``
        (white where fish is visible) and ``settings.json``.

    Raises:
        ArgumentError: a value is out of its range.
        FishError: the disk is full or may not be written to.
    """
    check_arguments(locals(), SETTINGS)
    settings = {
        "species": species,
        "pictures_per_class": images_per_class,
        "long_side": long_side,
        "shortcut": float(shortcut),
        "seed": seed,
        "renderer_version": RENDERER_VERSION,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    name = f"fish-{species}x{images_per_class}-{long_side}px-shortcut{shortcut:g}-seed{seed}"
    final = folder / f"{name}-{digest}"
    if final.is_dir():
        return final

    tasks = []
    with drawn_folder(final, files=2 * species * images_per_class) as growing:
        for index in range(species):
            for kind in ("pictures", "masks"):
                (growing / kind / SPECIES[index].name).mkdir(parents=True)
            # The spawn key keeps this stream apart from those of the images.
            rng = np.random.default_rng(np.random.SeedSequence([seed, index], spawn_key=(1,)))
            order = rng.permutation(images_per_class)
            marked = frozenset(order[: round(shortcut * images_per_class)].tolist())
            for start in range(0, images_per_class, IMAGES_PER_TASK):
                images = range(start, min(start + IMAGES_PER_TASK, images_per_class))
                tasks.append(partial(_draw, growing, index, images, marked, long_side, seed))
        workers = workers if species * images_per_class >= FEW_IMAGES else 1
        draw_all(tasks, workers=workers, description="Drawing fish")
        (growing / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    return final


def _draw(
    folder: Path, species: int, images: range, marked: frozenset[int], long_side: int, seed: int
) -> None:
    """Draws and writes images of one species; each has a generator of its own."""
    name = SPECIES[species].name
    for index in images:
        rng = np.random.default_rng([seed, species, index])
        image, mask = render_fish(species, rng, long_side=long_side, marker=index in marked)
        path = folder / "pictures" / name / f"{index:04d}.jpg"
        save_image(Image.fromarray(image), path, quality=92)
        save_image(Image.fromarray(mask), folder / "masks" / name / f"{index:04d}.png")


def draw_all(tasks: Sequence[Callable[[], None]], *, workers: int, description: str) -> None:
    """Call each in processes of their own, or in this one where it is alone, and show progress."""
    if workers < 2:
        for _ in track(map(call, tasks), description, total=len(tasks), show=True):
            pass
        return
    # "spawn", because a fork of a process that runs threads may hang.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    before = set(multiprocessing.active_children())
    try:
        # Ctrl-C reaches every process; only the one that holds the pool should answer it, so the
        # others, which begin now, inherit that it waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            done = pool.map(call, tasks)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for _ in track(done, description, total=len(tasks), show=True):
            pass
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
