"""The plain recipe: how such a network is trained in most tutorials.

Images are decoded and augmented with PIL in every epoch, weights are float32, and every step waits
for its loss and its accuracy.
"""

import time
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from fishcnn.benchmark.network import build_network_of
from fishcnn.benchmark.turns import Turns
from fishcnn.data.channel_statistics import STATISTICS
from fishcnn.models.networks.cnn import FishCNN


def train_transform(size: int) -> transforms.Compose:
    """The augmentation of ``conf/augment/seed.yaml``, as torchvision spells it, for one image."""
    mean, std = STATISTICS["cifar10"]
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.6, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(15),
            transforms.ColorJitter(0.2, 0.2, 0.2, 0.1),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )


def train(settings: dict[str, Any], turns: Turns) -> None:
    """Train on ``train/`` in a folder."""
    turns.more()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = settings["image_size"]
    dataset = ImageFolder(f"{settings['root']}/train", train_transform(size))
    loader = DataLoader(
        dataset, settings["batch"], shuffle=True, num_workers=settings["workers"], drop_last=True
    )
    network = build_network_of(settings["blocks"], len(dataset.classes), size)
    _put_relu_before_pooling(network)
    network = network.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    while turns.more():
        network.train()
        seen, loss_sum, hits, waited = 0, 0.0, 0, 0.0
        free_since = time.perf_counter()
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            waited += time.perf_counter() - free_since
            optimizer.zero_grad()
            logits = network(images)
            loss = criterion(logits, labels)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            hits += int((logits.argmax(1) == labels).sum().item())
            seen += len(labels)
            free_since = time.perf_counter()
        turns.add(seen, waited=waited)


def _put_relu_before_pooling(network: nn.Module) -> None:
    """Order each block as it stands in most tutorials."""
    assert isinstance(network, FishCNN)
    network.blocks = nn.Sequential(*(nn.Sequential(*block.children()) for block in network.blocks))
