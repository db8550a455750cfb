"""Renders the default data set into a folder, once, and finds it again."""

import hashlib
import itertools
import json
import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from operator import call
from pathlib import Path

import numpy as np
from PIL import Image

from fishcnn.data.rendering.drawn_files import damaged_files, write_list
from fishcnn.data.rendering.drawn_folder import drawn_folder, save_image
from fishcnn.data.rendering.render import RENDERER_VERSION, render_fish
from fishcnn.data.rendering.species import SPECIES
from fishcnn.utils.checks import check_arguments, number, whole
from fishcnn.utils.progress import track

log = logging.getLogger(__name__)

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
    final name is complete; what has been lost or changed there since is drawn again.

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
    every = [(index, image) for index in range(species) for image in range(images_per_class)]

    def draw(into: Path, wanted: Sequence[tuple[int, int]]) -> None:
        tasks = []
        for index, group in itertools.groupby(wanted, lambda one: one[0]):
            for kind in ("pictures", "masks"):
                (into / kind / SPECIES[index].name).mkdir(parents=True, exist_ok=True)
            # The spawn key keeps this stream apart from those of the images.
            rng = np.random.default_rng(np.random.SeedSequence([seed, index], spawn_key=(1,)))
            order = rng.permutation(images_per_class)
            marked = frozenset(order[: round(shortcut * images_per_class)].tolist())
            images = [image for _, image in group]
            for start in range(0, len(images), IMAGES_PER_TASK):
                few = images[start : start + IMAGES_PER_TASK]
                tasks.append(partial(_draw, into, index, few, marked, long_side, seed))
        few_images = len(wanted) < FEW_IMAGES
        draw_all(tasks, workers=1 if few_images else workers, description="Drawing fish")

    if not final.is_dir():
        with drawn_folder(final, files=2 * len(every)) as growing:
            draw(growing, every)
            write_list(growing, settings)
        return final
    names = [name for one in every for name in _files(*one)]
    damaged = damaged_files(final, settings, names)
    lost = set(names if damaged is None else damaged)
    again = [one for one in every if lost.intersection(_files(*one))]
    if again:
        text = "The drawn images in %s are damaged: %d of %d are drawn again."
        log.warning(text, final, len(again), len(every))
        with drawn_folder(final, files=2 * len(again)) as growing:
            draw(growing, again)
            write_list(growing, settings, into=final)
    return final


def _files(species: int, image: int) -> tuple[str, str]:
    """Relative paths of an image and its mask."""
    name = f"{SPECIES[species].name}/{image:04d}"
    return f"pictures/{name}.jpg", f"masks/{name}.png"


def _draw(
    folder: Path,
    species: int,
    images: Sequence[int],
    marked: frozenset[int],
    long_side: int,
    seed: int,
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
        with _interrupts_wait():
            done = pool.map(call, tasks)
        for _ in track(done, description, total=len(tasks), show=True):
            pass
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C wait meanwhile, where the system can: Windows cannot."""
    if sys.platform == "win32":
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
