"""The project's own network: a stack of convolution blocks and a small head."""

from torch import Tensor, nn

from fishcnn.utils.errors import FishError


class ConvBlock(nn.Sequential):
    """Convolution 3x3, batch norm, max-pool 2, ReLU: halves the picture.

    The ReLU comes last, where a quarter of the pixels is left: the maximum of what is not negative
    is what is not negative of the maximum, so that outputs and gradients are those of the usual
    order.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            # The batch norm behind it has a bias of its own.
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
        )


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
        FishError: a setting is out of range; the message names it.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        blocks: int,
        base_channels: int,
        max_channels: int,
        head: str,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise FishError(f"model.blocks={blocks}: the network needs at least 1 block")
        side = image_size >> blocks
        if side < 1:
            raise FishError(
                f"model.blocks={blocks} would shrink a picture of {image_size} pixels below 1 "
                f"pixel: use model.blocks={image_size.bit_length() - 1} or fewer, or a larger "
                "data.image_size"
            )
        channels = [min(base_channels << block, max_channels) for block in range(blocks)]
        self.blocks = nn.Sequential(
            *(ConvBlock(c_in, c_out) for c_in, c_out in zip([3, *channels], channels, strict=False))
        )
        if head == "flatten":
            self.head = nn.Sequential(
                nn.Flatten(),
                nn.Linear(channels[-1] * side * side, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, num_classes),
            )
        elif head == "gap":
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(channels[-1], num_classes),
            )
        else:
            raise FishError(f"model.head={head}: there is 'flatten' and 'gap'")
        self.cam_layer = f"blocks.{blocks - 1}"

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised pictures.

        Args:
            images: ``(N, 3, image_size, image_size)`` float.

        Returns:
            Logits ``(N, num_classes)``.
        """
        logits: Tensor = self.head(self.blocks(images))
        return logits
