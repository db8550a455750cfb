"""Whether the quick way costs accuracy: the same recipe with batched and with plain transforms.

``python -m fishcnn.benchmark.accuracy '{...}'`` trains the plain way.
"""

import json
import math
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from fishcnn.benchmark import engine
from fishcnn.benchmark.network import build_network_of, read_conf
from fishcnn.benchmark.plain import train_transform
from fishcnn.benchmark.process import run_module
from fishcnn.data.channel_statistics import STATISTICS
from fishcnn.data.rendering.synthetic import ensure_synthetic
from fishcnn.models.optimization import build_schedule


def measure_accuracy(config: DictConfig) -> dict[str, Any]:
    """Train ``experiment=seed`` with the engine and the plain way, over some seeds.

    Args:
        config: ``conf/benchmark.yaml``.

    Returns:
        Validation accuracy after the last epoch of each seed, ``fishcnn`` and ``plain``; their
        means; and ``difference`` of the means with its ``standard_error``.
    """
    settings = config.accuracy
    cache = Path(config.cache_root).expanduser()
    pictures = ensure_synthetic(
        cache,
        species=settings.species,
        pictures_per_class=settings.pictures_per_class,
        long_side=160,
        shortcut=0.0,
        seed=0,
        workers=config.workers,
    )
    ours, theirs = [], []
    for seed in settings.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            overrides = [
                "experiment=seed",
                "data=folder",
                f"data.root={pictures / 'pictures'}",
                f"data.cache_root={cache}",
                f"data.image_size={settings.image_size}",
                f"trainer.max_epochs={settings.epochs}",
                "callbacks.grad_cam.enabled=false",
                "logger=none",
                f"seed={seed}",
            ]
            result, _ = engine.measure(overrides, folder=folder, threads=config.threads)
            ours.append(result["summary"]["last_val_acc"])
            job = {
                "root": str(pictures / "pictures"),
                "split": str(folder / "split.json"),
                "image_size": settings.image_size,
                "epochs": settings.epochs,
                "seed": seed,
            }
            result, _ = run_module(
                "fishcnn.benchmark.accuracy", job, threads=config.threads, folder=folder
            )
            theirs.append(result["accuracy"])
    spread = statistics.variance(ours) + statistics.variance(theirs) if len(ours) > 1 else math.nan
    return {
        "fishcnn": ours,
        "plain": theirs,
        "means": [statistics.mean(ours), statistics.mean(theirs)],
        "difference": statistics.mean(ours) - statistics.mean(theirs),
        "standard_error": math.sqrt(spread / len(ours)),
    }


class _Files(Dataset[tuple[Tensor, int]]):
    """ImageSet of one side of a split, decoded and transformed when they are asked for."""

    def __init__(self, root: Path, paths: list[str], transform: transforms.Compose) -> None:
        self._root = root
        self._paths = paths
        self._transform = transform
        self._classes = sorted(folder.name for folder in root.iterdir())

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path = self._paths[index]
        with Image.open(self._root / path) as image:
            pixels: Tensor = self._transform(image.convert("RGB"))
        return pixels, self._classes.index(path.split("/")[0])


def _train_plainly(settings: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(settings["seed"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size, root = settings["image_size"], Path(settings["root"])
    split = json.loads(Path(settings["split"]).read_text(encoding="ascii"))
    mean, std = STATISTICS["cifar10"]
    evaluate = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    train = DataLoader(_Files(root, split["train"], train_transform(size)), 32, shuffle=True)
    val = DataLoader(_Files(root, split["val"], evaluate), 32)
    network = build_network_of(4, len(list(root.iterdir())), size).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = build_schedule(read_conf("scheduler/plateau.yaml"), optimizer, steps=0)
    criterion = nn.CrossEntropyLoss()
    accuracy = 0.0
    for _ in range(settings["epochs"]):
        network.train()
        for images, labels in train:
            optimizer.zero_grad()
            criterion(network(images.to(device)), labels.to(device)).backward()
            optimizer.step()
        network.eval()
        loss_sum, hits, seen = 0.0, 0, 0
        with torch.no_grad():
            for images, labels in val:
                logits, wanted = network(images.to(device)), labels.to(device)
                loss_sum += criterion(logits, wanted).item() * len(labels)
                hits += int((logits.argmax(1) == wanted).sum())
                seen += len(labels)
        schedule.step(loss_sum / seen)  # type: ignore[arg-type]
        accuracy = hits / seen
    return {"accuracy": accuracy}


if __name__ == "__main__":
    print(json.dumps(_train_plainly(json.loads(sys.argv[1]))))
