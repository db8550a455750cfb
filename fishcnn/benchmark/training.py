"""How fast each contender trains, on small and on large images."""

import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from fishcnn.benchmark.jpegs import SPECIES, draw_jpegs
from fishcnn.benchmark.process import scratch_folder
from fishcnn.benchmark.turns import Turn, contender
from fishcnn.metrics.intervals import ratio_interval
from fishcnn.utils.machine import cache_folder

PLAIN, WORKERS, FISHCNN, LIMIT = "plain recipe", "plain recipe, 2 workers", "fishcnn", "limit"
CONTENDERS = (PLAIN, WORKERS, FISHCNN, LIMIT)
STREAM = "fishcnn, data=stream"  # one more, where it is asked for
IMAGE_SIZE = 128  # of experiment=seed

# What is compared from the second turn on, and what it has to reach; None where it only tells. On a
# CPU nobody can be more times as fast as the plain recipe than the limit is.
RATIOS = {
    "cpu": ((FISHCNN, PLAIN, None), (LIMIT, PLAIN, None), (FISHCNN, LIMIT, 0.95)),
    "cuda": ((FISHCNN, PLAIN, 100.0), (LIMIT, PLAIN, None), (FISHCNN, LIMIT, 0.85)),
}
MET, MISSED, UNCLEAR = "met", "missed", "not distinguishable"


def measure_training(config: DictConfig) -> dict[str, list[dict[str, Any]]]:
    """Let all contenders train, each in a process of its own, in turns.

    Returns:
        ``rows`` by contender and ``epoch``: ``1``, which pays for setting up, or ``later``, with
        the median of its turns in ``images_per_second``. ``peak_memory`` is that of the process in
        bytes, ``data_wait`` the share of the time in which the next batch was not ready.
        ``ratios``, see :func:`compare`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = config.training
    rows: list[dict[str, Any]] = []
    ratios: list[dict[str, Any]] = []
    for photos in settings.photos:
        root = draw_jpegs(
            cache_folder(config.cache_root) / "benchmark",
            photos,
            train=settings.pictures[photos],
            val=SPECIES,
            workers=config.workers,
        )
        for blocks in settings.blocks:
            for batch in settings.batches:
                cell = {"photos": photos, "blocks": blocks, "batch": batch}
                turns, memory = _take_turns(config, root, cell)
                rows += [{**cell, "device": device, **row} for row in _rows(turns, memory)]
                asked = [(STREAM, FISHCNN, None)] if settings.stream else []
                for name, over, target in [*RATIOS[device], *asked]:
                    found = compare(turns[name][1:], turns[over][1:], target)
                    ratios.append({**cell, "of": name, "over": over, **found})
    return {"rows": rows, "ratios": ratios}


def _take_turns(
    config: DictConfig, root: Path, cell: dict[str, Any]
) -> tuple[dict[str, list[Turn]], dict[str, int]]:
    """Let all contenders train in rounds; return the turns of each and its peak memory."""
    settings = config.training
    job = {
        **cell, "root": str(root), "image_size": IMAGE_SIZE, "classes": SPECIES,
        "steps": settings.limit_steps,
    }  # fmt: skip
    jobs = {
        PLAIN: ("plain", {**job, "workers": 0}),
        WORKERS: ("plain", {**job, "workers": 2}),
        FISHCNN: ("engine", {**job, "stream": False}),
        **({STREAM: ("engine", {**job, "stream": True})} if settings.stream else {}),
        LIMIT: ("limit", job),
    }
    how = {"seconds": settings.seconds, "threads": config.threads}
    with scratch_folder() as folder, ExitStack() as started:
        contenders = {
            name: started.enter_context(contender(module, one, folder=folder, **how))
            for name, (module, one) in jobs.items()
        }
        turns: dict[str, list[Turn]] = {name: [] for name in contenders}
        for number in range(1 + settings.rounds):
            # The other way round every second time, so that none always comes first.
            for name in list(contenders)[:: 1 if number % 2 == 0 else -1]:
                turns[name].append(contenders[name].take_turn())
        return turns, {name: one.peak_memory for name, one in contenders.items()}


def _rows(turns: dict[str, list[Turn]], memory: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "contender": name,
            "epoch": epoch,
            "images_per_second": statistics.median(turn.speed for turn in part),
            "data_wait": statistics.median(turn.waited / turn.seconds for turn in part),
            "peak_memory": memory[name],
        }
        for name, taken in turns.items()
        for epoch, part in (("1", taken[:1]), ("later", taken[1:]))
    ]


def compare(turns: list[Turn], over: list[Turn], target: float | None) -> dict[str, Any]:
    """Compare the speeds of two contenders, round by round.

    Returns:
        value: mean ratio of the rounds, the geometric one.
        interval: 95% interval of it.
        target: as given.
        verdict: ``met`` where the whole interval reaches the target, ``missed`` where nothing of it
            does, ``not distinguishable`` between; None without a target.
    """
    ratios = [turn.speed / other.speed for turn, other in zip(turns, over, strict=True)]
    low, high = ratio_interval(ratios)
    verdict = None
    if target is not None:
        verdict = MET if low >= target else MISSED if high < target else UNCLEAR
    value = statistics.geometric_mean(ratios)
    return {"value": value, "interval": [low, high], "target": target, "verdict": verdict}
