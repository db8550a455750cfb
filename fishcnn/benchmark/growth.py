"""How the cost of the data grows with the number of pictures.

``python -m fishcnn.benchmark.growth '{...}'`` measures one size.
"""

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fishcnn.benchmark.process import run_module
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.data.decoding.loading import load_images
from fishcnn.data.duplicates.kept import known_duplicates
from fishcnn.data.image_folder import scan_folder
from fishcnn.data.rendering.synthetic import ensure_synthetic

SPECIES = 20


def measure_growth(config: DictConfig) -> list[dict[str, Any]]:
    """Decode, group and open again 1,000, 10,000, ... rendered pictures.

    Args:
        config: ``conf/benchmark.yaml``.

    Returns:
        For each count: ``pictures``, milliseconds a picture for ``decode_ms``, ``duplicates_ms``
        and ``reopen_ms``, and ``peak_memory`` in bytes, of which ``bytes_per_picture`` come on top
        of what the smallest count needs.
    """
    rows = []
    for count in config.growth.pictures:
        folder = ensure_synthetic(
            Path(config.cache_root).expanduser(),
            species=SPECIES,
            pictures_per_class=count // SPECIES,
            long_side=config.growth.long_side,
            shortcut=0.0,
            seed=0,
            workers=config.workers,
        )
        with tempfile.TemporaryDirectory() as scratch:
            settings = {
                "root": str(folder / "pictures"),
                "working_size": config.growth.working_size,
                "workers": config.workers,
                "cache": scratch,
            }
            row, peak = run_module(
                "fishcnn.benchmark.growth", settings, threads=config.threads, folder=Path(scratch)
            )
        rows.append({**row, "peak_memory": peak})
    smallest = rows[0]
    for row in rows:
        more = row["pictures"] - smallest["pictures"]
        grown = row["peak_memory"] - smallest["peak_memory"]
        row["bytes_per_picture"] = grown / more if more else None
    return rows


def _measure(settings: dict[str, Any]) -> dict[str, Any]:
    def load() -> ImageSet:
        return load_images(
            scan_folder(Path(settings["root"])),
            working_size=settings["working_size"],
            masks_root=None,
            workers=settings["workers"],
            cache="disk",
            cache_root=Path(settings["cache"]),
        )

    seconds = [time.perf_counter()]
    pictures = load()
    seconds.append(time.perf_counter())
    known_duplicates(pictures)
    seconds.append(time.perf_counter())
    load()
    seconds.append(time.perf_counter())
    count = len(pictures.paths)
    decode, duplicates, reopen = (
        1000 * (after - before) / count for before, after in itertools.pairwise(seconds)
    )
    return {
        "pictures": count,
        "decode_ms": decode,
        "duplicates_ms": duplicates,
        "reopen_ms": reopen,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.argv[1]))))
