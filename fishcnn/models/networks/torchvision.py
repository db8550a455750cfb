"""Any classification network of torchvision, with a head for the classes at hand."""

from difflib import get_close_matches
from typing import cast
from urllib.error import URLError

import torch
import torchvision
from torch import nn

from fishcnn.models.pretrained.backbone import Backbone, NetworkInput, enlarged
from fishcnn.models.pretrained.weights_file import Weights
from fishcnn.models.registry import NETWORKS
from fishcnn.utils.errors import ArgumentError

# Networks whose weights take images of one size only.
_ONE_SIZE = ("vit_", "maxvit_")
# Inception's and GoogLeNet's weights hold auxiliary heads that are not built here.
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")


@NETWORKS.register("torchvision", architecture="resnet18")
class TorchvisionNetwork(Backbone):
    """A backbone of torchvision; names are those that ``torchvision.models.list_models`` gives."""

    @staticmethod
    def check_architecture(name: str) -> None:
        """Refuse a name that torchvision does not know, or that of a network of another kind."""
        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            near = get_close_matches(name, known, n=5, cutoff=0.4) or known[:5]
            raise ArgumentError(
                "architecture",
                name,
                "torchvision has no such classification network; similar names are "
                + ", ".join(near),
            )

    @staticmethod
    def input_of(architecture: str) -> NetworkInput:
        """What torchvision's default (ImageNet) weights were trained on."""
        TorchvisionNetwork.check_architecture(architecture)
        prepare = torchvision.models.get_model_weights(architecture).DEFAULT.transforms()
        size = prepare.crop_size[0]
        whole = size if architecture.startswith(_ONE_SIZE) else enlarged(size)
        return NetworkInput(size, [*prepare.mean], [*prepare.std], whole)

    def _build(
        self, num_classes: int, image_size: int, *, has_weights: bool
    ) -> tuple[nn.Module, list[str]]:
        network = _backbone(self.architecture, image_size, has_weights)
        return network, [_replace_head(network, num_classes)]

    def _published(self) -> Weights:
        if torch.hub.get_dir().startswith("~"):
            problem = "there is no home folder for the weights: name another by TORCH_HOME=/path"
            raise ArgumentError("pretrained", True, problem)
        weights = torchvision.models.get_model_weights(self.architecture).DEFAULT
        try:
            return dict(weights.get_state_dict(progress=True, check_hash=True))
        except (URLError, OSError, RuntimeError) as error:
            folder = f"{torch.hub.get_dir()}/checkpoints"
            raise ArgumentError(
                "pretrained",
                True,
                f"the weights of {self.architecture} could not be downloaded ({error}); fetch "
                f"{weights.url} on another machine and place the file in {folder}/ under the same "
                "name, or train from random weights",
            ) from error

    def _renamed(self, weights: Weights) -> Weights:
        return {name: v for name, v in weights.items() if not name.startswith(_AUXILIARY)}


def _backbone(architecture: str, image_size: int, has_weights: bool) -> nn.Module:
    """The network as torchvision builds it, with its own head and random weights."""
    options: dict[str, object] = {}
    if architecture.startswith("vit_") and not has_weights:
        options["image_size"] = image_size  # its position embedding has one entry for each patch
    if architecture in ("googlenet", "inception_v3"):
        # Their auxiliary heads only help where their losses are added up. The pretrained ones
        # were trained on images normalised in another way.
        options |= {"aux_logits": False, "init_weights": False, "transform_input": has_weights}
    return cast(nn.Module, torchvision.models.get_model(architecture, weights=None, **options))


def _replace_head(network: nn.Module, num_classes: int) -> str:
    """Replace the last classifying layer; return its dotted name."""
    name: str
    name, head = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
        or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))
    ][-1]
    new: nn.Module
    if isinstance(head, nn.Linear):
        new = nn.Linear(head.in_features, num_classes)
    else:  # SqueezeNet classifies with a 1x1 convolution
        new = nn.Conv2d(head.in_channels, num_classes, kernel_size=1)
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, new)
    return name
