"""A classifier whose weights are shared out between the processes of a fit."""

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule, fully_shard

from fishcnn.models.classifier import FishClassifier

# The axis of torch's device mesh along which Lightning gives the processes other images.
_AXIS = "data_parallel"


class ShardedClassifier(FishClassifier):
    """Each process keeps its part of the weights, their gradients and the optimizer's state.

    For a forward pass they are gathered, and given back after the backward pass (Zhao et al.,
    "PyTorch FSDP: experiences on scaling fully sharded data parallel", 2023).
    """

    def configure_model(self) -> None:
        """Share the weights out; Lightning calls it when the processes are there."""
        if not is_sharded(self) and self.device_mesh is not None:
            fully_shard(self.network, mesh=self.device_mesh[_AXIS])

    def lay_out(self) -> None:
        """Leave the weights as they are: only contiguous ones can be shared out."""

    def whole(self) -> FishClassifier:
        """A copy with all weights in the first process; in others, one with random ones."""
        if not is_sharded(self):
            return self
        with torch.inference_mode(False):  # of a validation, whose tensors have no gradients
            options = StateDictOptions(full_state_dict=True, cpu_offload=True)
            state = get_model_state_dict(self, options=options)
            copy = FishClassifier(**self.hparams)
            if state:
                copy.load_state_dict(state)
            return copy.to(self.device).train(self.training)


def is_sharded(classifier: FishClassifier) -> bool:
    """Whether a process has only its part of the weights."""
    return isinstance(classifier.network, FSDPModule)
