"""Any classification network of torchvision, with a head for the classes at hand."""

from difflib import get_close_matches
from typing import cast
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from fishcnn.models.registry import NETWORKS
from fishcnn.utils.checks import check_arguments, flag, text
from fishcnn.utils.errors import ArgumentError

_WANTED = {"architecture": text, "pretrained": flag, "freeze_backbone": flag}


@NETWORKS.register("torchvision")
class TorchvisionNetwork(nn.Module):
    """A torchvision backbone whose last linear layer is replaced.

    The weights start at random; :meth:`load_pretrained` fills the backbone. They are kept apart so
    that a checkpoint can be read without a network connection.

    Args:
        num_classes: number of classes K.
        image_size: side of the square input in pixels.
        architecture: name as ``torchvision.models.list_models`` prints it.
        pretrained: whether :meth:`load_pretrained` will be called.
        freeze_backbone: train only the new head; the backbone keeps its weights and its batch
            norm statistics.

    Raises:
        ArgumentError: torchvision has no such network, or a flag is neither true nor false.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        architecture: str = "resnet18",
        pretrained: bool = False,
        freeze_backbone: bool = False,
    ) -> None:
        super().__init__()
        check_arguments(locals(), _WANTED)
        known = torchvision.models.list_models(module=torchvision.models)
        if architecture not in known:
            near = get_close_matches(architecture, known, n=5, cutoff=0.4) or known[:5]
            raise ArgumentError(
                "architecture",
                architecture,
                "torchvision has no such classification network; similar names are "
                + ", ".join(near),
            )
        self.architecture = architecture
        self.backbone = _backbone(architecture, image_size, pretrained)
        self._head_name = _replace_head(self.backbone, num_classes)
        self._frozen = freeze_backbone
        if freeze_backbone:
            self.backbone.requires_grad_(False)
            self.backbone.get_submodule(self._head_name).requires_grad_(True)

    def load_pretrained(self) -> None:
        """Fill the backbone with torchvision's default (ImageNet) weights.

        Raises:
            ArgumentError: the weights cannot be downloaded; it says where to place the file.
        """
        if torch.hub.get_dir().startswith("~"):
            problem = "there is no home folder for the weights: name another by TORCH_HOME=/path"
            raise ArgumentError("pretrained", True, problem)
        weights = torchvision.models.get_model_weights(self.architecture).DEFAULT
        try:
            state = weights.get_state_dict(progress=True, check_hash=True)
        except (URLError, OSError, RuntimeError) as error:
            folder = f"{torch.hub.get_dir()}/checkpoints"
            raise ArgumentError(
                "pretrained",
                True,
                f"the weights of {self.architecture} could not be downloaded ({error}); fetch "
                f"{weights.url} on another machine and place the file in {folder}/ under the same "
                "name, or train from random weights",
            ) from error
        backbone = {k: v for k, v in state.items() if not k.startswith(f"{self._head_name}.")}
        # Not strict: the head is missing, and Inception's and GoogLeNet's weights hold auxiliary
        # heads that are not built here.
        self.backbone.load_state_dict(backbone, strict=False)

    def train(self, mode: bool = True) -> "TorchvisionNetwork":
        """Set the training mode; a frozen backbone stays in evaluation mode, its head follows."""
        super().train(mode)
        if self._frozen:
            self.backbone.eval()
            self.backbone.get_submodule(self._head_name).train(mode)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised images.

        Args:
            images: ``(N, 3, image_size, image_size)`` float.

        Returns:
            Logits ``(N, num_classes)``.
        """
        return cast(Tensor, self.backbone(images))


def _backbone(architecture: str, image_size: int, pretrained: bool) -> nn.Module:
    """The network as torchvision builds it, with its own head and random weights."""
    options: dict[str, object] = {}
    if architecture.startswith("vit_") and not pretrained:
        options["image_size"] = image_size  # its position embedding has one entry for each patch
    if architecture in ("googlenet", "inception_v3"):
        # Their auxiliary heads only help where their losses are added up. The pretrained ones
        # were trained on images normalised in another way.
        options |= {"aux_logits": False, "init_weights": False, "transform_input": pretrained}
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
