"""Where the time of a training step goes: ``python -m fishcnn.benchmark.profile '[...]'``."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from fishcnn.commands.build import build_classifier, build_datamodule, build_trainer, compose_config
from fishcnn.training.callbacks.ema import AveragedWeights
from fishcnn.training.callbacks.history import History

# What the operators of torch are for; the first word that their name holds decides.
_KINDS = {
    "convolution": ("conv", "mkldnn"),
    "batch norm": ("batch_norm",),
    "pooling": ("pool",),
    "activation": ("relu", "threshold"),
    "linear layers": ("addmm", "aten::mm", "linear"),
    "optimizer": ("adam", "sgd"),
    "augmentation": ("grid_sampl", "bmm", "rand", "upsample", "sin", "cos"),
    "averaged weights": ("lerp",),
    "copies and casts": ("copy_", "_to_copy", "contiguous", "cat", "index"),
}


def share_of_time(overrides: list[str]) -> dict[str, Any]:
    """Train with a profiler.

    Args:
        overrides: of ``scripts/train.py``.

    Returns:
        ``shares`` of the time by kind of work, largest first, and the ``operators`` that take most.
    """
    config = compose_config(*overrides)
    datamodule = build_datamodule(config)
    datamodule.setup()
    classifier = build_classifier(config, datamodule)
    with tempfile.TemporaryDirectory() as scratch:
        callbacks = [AveragedWeights(decay=0.99)] if config.callbacks.ema.enabled else []
        trainer = build_trainer(config, [*callbacks, History(Path(scratch))], Path(scratch))
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        with profile(activities=activities) as profiler:
            trainer.fit(classifier, datamodule=datamodule)
    device = "device" if torch.cuda.is_available() else "cpu"
    # The operators; the kernels that they launch are in their device time already.
    rows = [row for row in profiler.key_averages() if row.device_type.name == "CPU"]
    times = {row.key: getattr(row, f"self_{device}_time_total") for row in rows}
    whole = sum(times.values())
    shares: dict[str, float] = {}
    for name, time in times.items():
        kind = next(
            (kind for kind, words in _KINDS.items() if any(word in name for word in words)), "other"
        )
        shares[kind] = shares.get(kind, 0.0) + time / whole
    top = sorted(times, key=lambda name: -times[name])[:8]
    return {
        "shares": dict(sorted(shares.items(), key=lambda item: -item[1])),
        "operators": {name: times[name] / whole for name in top},
    }


if __name__ == "__main__":
    print(json.dumps(share_of_time(json.loads(sys.argv[1]))))
