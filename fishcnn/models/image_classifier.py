"""A network that classifies images of any size, as those of its training were."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fishcnn.data.decoding.image_like import ImageLike, decode_image_like, series_of
from fishcnn.data.decoding.resize import Square, resize

# Bounds the memory of a prediction.
_PREDICT_BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """What the network says of one image.

    Attributes:
        label: name of the most probable class.
        probability: its softmax probability.
        probabilities: class name to probability, most probable first.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


class ImageClassifier(pl.LightningModule):
    """What a network needs beside its weights, to be used on images.

    Attributes:
        classes: class names in the order of the logits.
        image_size: side in pixels of what the network sees.
        square: how images of any shape are decoded before that.
        network: from normalized images to logits.
        mean: RGB mean that is subtracted, ``(3, 1, 1)``.
        std: RGB standard deviation that is divided by, ``(3, 1, 1)``.
        temperature: what logits are divided by before the softmax of a prediction; 1 until it is
            fitted (Guo et al. 2017, "On calibration of modern neural networks").
    """

    classes: list[str]
    image_size: int
    square: Square
    network: nn.Module
    mean: Tensor
    std: Tensor
    temperature: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Classify images.

        Args:
            images: float ``(N, 3, image_size, image_size)`` in [0, 1], RGB.

        Returns:
            Logits ``(N, K)``.
        """
        logits: Tensor = self.network(self.normalize(images))
        return logits

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities, at the calibrated temperature.

        Args:
            images: as :meth:`forward` takes them.

        Returns:
            float32 ``(N, K)``, each row sums to 1.
        """
        logits: Tensor = self(images).float()
        return (logits / self.temperature).softmax(1)

    def normalize(self, images: Tensor) -> Tensor:
        """Turn images in [0, 1], ``(N, 3, H, W)``, into what the network takes."""
        normalized = (images - self.mean) / self.std
        return normalized.contiguous(memory_format=self._memory_format)

    @property
    def _memory_format(self) -> torch.memory_format:
        """Channels innermost, which is quicker; Apple's batch norm computes wrongly with it."""
        mps = self.device.type == "mps"
        return torch.contiguous_format if mps else torch.channels_last

    def lay_out(self) -> None:
        """Put the channels of the weights innermost, on a device where that is quicker."""
        cast(Any, self.network).to(memory_format=self._memory_format)

    @torch.inference_mode()
    def predict(self, images: ImageLike | Iterable[ImageLike]) -> list[Prediction]:
        """Classify images from disk or memory.

        Args:
            images: one image, or a list or any other series of them: paths, or PIL images of any
                mode.

        Returns:
            A prediction for each image, in order.

        Raises:
            FishError: a file holds no image that can be read, or what was given is not an image;
                the message names it.
        """
        series = series_of(images)
        training = self.training
        self.eval()
        predictions = []
        try:
            while some := list(islice(series, _PREDICT_BATCH)):
                decoded = [self.decode(image) for image in some]
                batch = torch.from_numpy(np.stack(decoded)).to(self.device)
                for row in self.probabilities(resize(batch, self.image_size)).cpu():
                    order = row.argsort(descending=True).tolist()
                    ranked = {self.classes[k]: float(row[k]) for k in order}
                    label = self.classes[order[0]]
                    predictions.append(Prediction(label, ranked[label], ranked))
        finally:
            self.train(training)
        return predictions

    def decode(self, image: ImageLike) -> NDArray[np.uint8]:
        """Decode one image as those of the training were.

        Args:
            image: a path, or a PIL image of any mode.

        Returns:
            uint8 ``(S, S, 3)`` RGB with S = ``working_size``; for
            :func:`fishcnn.data.decoding.resize.resize`.

        Raises:
            FishError: the file holds no image that can be read; the message names it.
            ArgumentError: it is neither.
        """
        return decode_image_like(image, self.square)
