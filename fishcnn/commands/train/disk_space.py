"""Whether the checkpoints of a run find room, before its images are read."""

import shutil

import torch
from omegaconf import DictConfig
from torch import nn

from fishcnn.commands.build import check_classifier
from fishcnn.commands.settings import plain
from fishcnn.models.optimization import OPTIMIZERS
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import megabytes
from fishcnn.utils.run_folder import RunFolder


def check_disk_space(config: DictConfig, run: RunFolder) -> None:
    """Check that the disk of a run folder has room for its checkpoints.

    These are the best one, the last one and, while one of them is replaced, its successor.

    Raises:
        FishError: it has not; the message says how much is wanted and how much is free.
    """
    network = check_classifier(config)
    if network is None:
        return  # its size is not known
    there = [file for file in (run.best_checkpoint, run.last_checkpoint) if file.is_file()]
    copies = 2 if config.trainer.max_epochs == 1 else 3
    each = checkpoint_bytes(network, config)
    wanted = each * copies - sum(file.stat().st_size for file in there)
    free = shutil.disk_usage(run.path).free
    if wanted > free:
        raise FishError(
            f"cannot write {run.checkpoints}: the disk of {run.path} is too full for the best and "
            f"the last checkpoint ({megabytes(wanted)} wanted, {megabytes(free)} free); free some "
            "space or choose another folder by hydra.run.dir="
        )


def checkpoint_bytes(network: nn.Module, config: DictConfig) -> int:
    """About the size of a checkpoint: the weights, their average and the state of the optimizer.

    Args:
        network: on any device, the meta device too.
        config: of the run.
    """
    weights: int = sum(value.nbytes for value in network.state_dict().values())
    trained: int = sum(value.nbytes for value in network.parameters() if value.requires_grad)
    copies = 2 if config.callbacks.ema.enabled else 1
    return copies * weights + _numbers_per_weight(config) * trained


def _numbers_per_weight(config: DictConfig) -> int:
    """How many numbers an optimizer keeps for each weight, found by a step of it."""
    weight = nn.Parameter(torch.zeros(7))
    optimizer = OPTIMIZERS.build(plain(config.optimizer), [weight], fused=False)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    state = optimizer.state[weight].values()
    return sum(1 for value in state if getattr(value, "shape", None) == weight.shape)
