"""How well and how fast near-duplicates are found: twins of every kind among rendered pictures."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from PIL import Image

from fishcnn.benchmark.planted_duplicates import measure_duplicates
from fishcnn.data.duplicates.fingerprint import fingerprint
from fishcnn.data.rendering.synthetic import ensure_synthetic


def measure_planted_twins(config: DictConfig) -> dict[str, Any]:
    """Plant twins among rendered pictures, which are all different, and look for them.

    Args:
        config: ``conf/benchmark.yaml``.

    Returns:
        ``recall`` of each kind, ``precision``, the numbers of pictures and of ``twins``, and
        ``fingerprint_ms`` a picture.
    """
    settings = config.duplicates
    folder = ensure_synthetic(
        Path(config.cache_root).expanduser(),
        species=settings.species,
        pictures_per_class=settings.pictures_per_class,
        long_side=settings.long_side,
        shortcut=0.0,
        seed=0,
        workers=config.workers,
    )
    pictures = []
    for file in sorted((folder / "pictures").rglob("*.jpg")):
        with Image.open(file) as image:
            pictures.append(image.convert("RGB"))
    start = time.perf_counter()
    for picture in pictures[:200]:
        fingerprint(picture)
    seconds = time.perf_counter() - start
    generator = np.random.default_rng(settings.seed)
    measured = measure_duplicates(pictures, settings.per_kind, generator)
    return {
        "pictures": len(pictures),
        "twins": settings.per_kind * len(measured.recall),
        "recall": measured.recall,
        "precision": measured.precision,
        "fingerprint_ms": 1000 * seconds / len(pictures[:200]),
    }
