"""The project's own network: a stack of convolution blocks and a small head."""

from torch import Tensor, nn

from fishcnn.models.registry import NETWORKS
from fishcnn.utils.checks import check_arguments, choice, number, whole
from fishcnn.utils.errors import ArgumentError

_WANTED = {
    "blocks": whole(1),
    "base_channels": whole(1, 8192),
    "max_channels": whole(1, 8192),
    "head": choice("flatten", "gap"),
    "hidden": whole(1, 65536),
    "dropout": number(0, 1),
}


class ConvBlock(nn.Sequential):
    """Convolution 3x3, batch norm, ReLU, max-pool 2: halves the image.

    In training the ReLU comes last, where a quarter of the pixels is left: it never decreases, so
    it may change places with a maximum, and outputs and gradients are those of the usual order.
    In evaluation it stands where class activation maps look: before the pooling.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            # The batch norm behind it has a bias of its own.
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """From ``(N, in_channels, H, W)`` to ``(N, out_channels, H // 2, W // 2)``."""
        convolution, norm, relu, pool = self
        features = norm(convolution(images))
        pooled: Tensor = relu(pool(features)) if self.training else pool(relu(features))
        return pooled


@NETWORKS.register("cnn")
class FishCNN(nn.Module):
    """``blocks`` convolution blocks whose channels double, then a head.

    Args:
        num_classes: number of classes K.
        image_size: side of the square input in pixels; at least ``2 ** blocks``.
        blocks: number of convolution blocks, at least 1.
        base_channels: channels of the first block.
        max_channels: where the doubling stops.
        head: ``"flatten"`` (Linear ``hidden``, ReLU, dropout, Linear K) or ``"gap"`` (global
            average pooling, dropout, Linear K; Lin et al. 2013, "Network in Network").
        hidden: width of the hidden layer of the flatten head.
        dropout: probability of dropping a unit before the last linear layer.

    Raises:
        ArgumentError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        blocks: int = 4,
        base_channels: int = 24,
        max_channels: int = 512,
        head: str = "gap",
        hidden: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_arguments(locals(), _WANTED)
        if image_size >> blocks < 1:
            raise ArgumentError(
                "blocks",
                blocks,
                f"an image of {image_size} pixels would shrink below 1 pixel; use "
                f"{image_size.bit_length() - 1} blocks or fewer, or larger images",
            )
        channels = [min(base_channels << block, max_channels) for block in range(blocks)]
        self.blocks = nn.Sequential(
            *(ConvBlock(c_in, c_out) for c_in, c_out in zip([3, *channels], channels, strict=False))
        )
        if head == "flatten":
            self.head = nn.Sequential(
                nn.Flatten(),
                nn.Linear(channels[-1] * (image_size >> blocks) ** 2, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, num_classes),
            )
        else:
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(channels[-1], num_classes),
            )

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised images.

        Args:
            images: ``(N, 3, image_size, image_size)`` float.

        Returns:
            Logits ``(N, num_classes)``.
        """
        logits: Tensor = self.head(self.blocks(images))
        return logits
