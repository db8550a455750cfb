"""The limit: the same network, precision and batch in a bare loop over one batch on the device."""

from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F

from fishcnn.benchmark.network import build_network_of
from fishcnn.benchmark.turns import Turns
from fishcnn.commands.train.build_trainer import native_precision
from fishcnn.models.optimization import OPTIMIZERS


def train(settings: dict[str, Any], turns: Turns) -> None:
    """Train on one batch again and again, in epochs of so many steps."""
    turns.more()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size, batch = settings["image_size"], settings["batch"]
    network = build_network_of(settings["blocks"], settings["classes"], size)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = {"name": "adam", "lr": 1e-3, "weight_decay": 0.0}
    optimizer = OPTIMIZERS.build(adam, network.parameters(), fused=True)
    images = torch.randn(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    target = torch.rand(batch, settings["classes"], device=device).softmax(1)
    half = native_precision("auto") == "bf16-mixed"
    while turns.more():
        for _ in range(settings["steps"]):
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
                logits = network(images)
                loss = F.cross_entropy(logits.float(), target)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        loss.item()  # wait for the device
        turns.add(batch * settings["steps"])
