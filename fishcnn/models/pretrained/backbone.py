"""A network of another library: its head replaced, its weights loaded, parts of it frozen."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fishcnn.cam.layers import block_layers
from fishcnn.models.pretrained.weights_file import Weights, fitting_weights, read_weights
from fishcnn.utils.checks import check_arguments, flag, optional, text, whole
from fishcnn.utils.errors import ArgumentError

_WANTED = {
    "architecture": text,
    "pretrained": flag,
    "weights": optional(text),
    "freeze_backbone": flag,
    "frozen_stages": whole(0),
    "freeze_batch_norm": flag,
}


@dataclass(frozen=True)
class NetworkInput:
    """What images some weights were trained on.

    Attributes:
        image_size: side of the square in pixels.
        mean, std: RGB, of images in [0, 1].
        whole_size: side at which images of which nothing is cut off show things about as large as
            the random crops of the training did (Touvron et al. 2019, "Fixing the train-test
            resolution discrepancy"); for networks of one size, that size.
    """

    image_size: int
    mean: list[float]
    std: list[float]
    whole_size: int


def enlarged(image_size: int) -> int:
    """A seventh more, as a whole number of the strides of usual networks."""
    return round(image_size * 8 / 7 / 32) * 32


class Backbone(nn.Module, ABC):
    """A network whose last layer is replaced by one for the classes at hand.

    The weights start at random; :meth:`load_pretrained` fills those of the backbone. They are kept
    apart so that a checkpoint can be read where there is neither a network connection nor a file.

    Args:
        num_classes: number of classes K.
        image_size: side of the square input in pixels.
        architecture: name by which the library knows it.
        pretrained: whether :meth:`load_pretrained` takes the weights that the library offers.
        weights: a file for :meth:`load_pretrained` instead, whatever ``pretrained`` says.
        freeze_backbone: train only the new head; the backbone keeps its weights and its batch
            norm statistics.
        frozen_stages: how many stages, from the input on, are frozen in the same way; a stage ends
            with the last layer of a spatial resolution.
        freeze_batch_norm: keep the batch norm statistics of the whole backbone.

    Raises:
        ArgumentError: the library has no such network, it has fewer stages, or an argument is not
            of its kind.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        architecture: str,
        pretrained: bool = False,
        weights: str | None = None,
        freeze_backbone: bool = False,
        frozen_stages: int = 0,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        check_arguments(locals(), _WANTED)
        self.check_architecture(architecture)
        self.architecture = architecture
        self.pretrained = pretrained
        self.weights = weights
        self.backbone, self._heads = self._build(
            num_classes, image_size, has_weights=pretrained or weights is not None
        )
        self._frozen: list[nn.Module] = []  # each by itself, without what is inside it
        if freeze_backbone:
            inside_head = set(self.head.modules())
            self._frozen = [part for part in self.backbone.modules() if part not in inside_head]
        elif frozen_stages:
            self._frozen = self._first_stages(frozen_stages, image_size)
        for part in self._frozen:
            for parameter in part.parameters(recurse=False):
                parameter.requires_grad_(False)
        if freeze_batch_norm:
            norms = [part for part in self.backbone.modules() if isinstance(part, _BatchNorm)]
            self._frozen += [norm for norm in norms if norm not in self._frozen]
        self.train()  # Lightning leaves the modes of a new network as they are

    @staticmethod
    @abstractmethod
    def check_architecture(name: str) -> None:
        """Raise an ArgumentError with similar names for one that the library does not have."""

    @staticmethod
    @abstractmethod
    def input_of(architecture: str) -> NetworkInput:
        """What the weights that the library offers were trained on."""

    @abstractmethod
    def _build(
        self, num_classes: int, image_size: int, *, has_weights: bool
    ) -> tuple[nn.Module, list[str]]:
        """Build the network with random weights and a head for the classes.

        Those that are made for one image size are made for ``image_size``, or for that of their
        weights if it is to have these.

        Returns:
            The network, and the names of the layers that classify.
        """

    @abstractmethod
    def _published(self) -> Weights:
        """The weights that the library offers; an ArgumentError says how else to get them."""

    def _renamed(self, weights: Weights) -> Weights:
        """Weights by the names that the library has for them, without those of no use here."""
        return weights

    @property
    def head(self) -> nn.ModuleList:
        """The layer that classifies, or two with averaged logits (DeiT, Touvron et al. 2021)."""
        return nn.ModuleList(self.backbone.get_submodule(name) for name in self._heads)

    def checked_weights(self) -> Weights | None:
        """Read or fetch the weights of the backbone; None where it starts from random ones.

        Raises:
            ArgumentError: they cannot be had, or are not those of this architecture.
        """
        if self.weights is not None:
            found = read_weights(self.weights)
        elif self.pretrained:
            found = self._published()
        else:
            return None
        found = self._renamed(found)
        typed = self.architecture if self.weights is None else self.weights
        return fitting_weights(found, self.backbone.state_dict(), self._heads, typed)

    def load_pretrained(self) -> None:
        """Fill the backbone with the weights that the settings name, if they name any.

        Raises:
            ArgumentError: as :meth:`checked_weights`.
        """
        if weights := self.checked_weights():
            # Not strict: the head is missing.
            self.backbone.load_state_dict(weights, strict=False)

    def _first_stages(self, count: int, image_size: int) -> list[nn.Module]:
        """The parts up to the end of a stage, counted from 1, in the order of their making."""
        images = torch.zeros(1, 3, image_size, image_size)
        stages = block_layers(self.backbone, images)
        if count > len(stages):
            problem = f"{self.architecture} has {len(stages)} stages at {image_size} pixels"
            raise ArgumentError("frozen_stages", count, problem)
        end = stages[count - 1]
        parts = list(self.backbone.named_modules())
        last = max(n for n, (name, _) in enumerate(parts) if f"{name}.".startswith(f"{end}."))
        first = [part for _, part in parts[: last + 1]]
        # Without what holds later parts as well.
        return [part for part in first if set(part.modules()).issubset(first)]

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.training = False
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised images.

        Args:
            images: ``(N, 3, image_size, image_size)`` float.

        Returns:
            Logits ``(N, num_classes)``.
        """
        return cast(Tensor, self.backbone(images))
