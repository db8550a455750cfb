"""What the network's input is normalised with."""

import numpy as np
from numpy.typing import NDArray

# RGB mean and standard deviation of images in [0, 1], as commonly published for the training
# splits of CIFAR-10 and ImageNet.
STATISTICS: dict[str, tuple[list[float], list[float]]] = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def channel_statistics(moments: NDArray[np.int64], pixels: int) -> tuple[list[float], list[float]]:
    """RGB mean and standard deviation over all pixels of some images, brought to [0, 1].

    ``moments`` is int64 ``(n, 2, 3)``, sum and sum of squares of each channel of each image, which
    has so many ``pixels``.
    """
    first, second = moments.sum(axis=0) / (len(moments) * pixels)
    variance = np.maximum(second - first**2, 1)  # a constant colour would be divided by zero
    return (first / 255).tolist(), (np.sqrt(variance) / 255).tolist()
