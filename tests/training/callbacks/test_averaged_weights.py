from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from fitting import small_trainer
from networks import small_classifier
from torch import Tensor

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.averaged_weights import AveragedWeights

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def test_the_average_begins_with_short_memory_and_ends_with_the_decay() -> None:
    averaged = AveragedWeights(decay=0.99)
    share_of_latest = [1 - averaged.decay_after(steps) for steps in (0, 1, 10, 100, 10_000)]
    assert share_of_latest == pytest.approx([1, 9 / 11, 9 / 20, 9 / 110, 0.01])


class Latest(pl.Callback):
    """Notes the latest weights after every step, and what the fit ends with."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        self.seen.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def test_a_fit_ends_with_the_average_of_the_weights_of_its_steps(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    latest, averaged = Latest(), AveragedWeights(decay=0.3)
    classifier = small_classifier(datamodule.classes)
    small_trainer(tmp_path, latest, averaged).fit(classifier, datamodule=datamodule)
    assert len(latest.seen) == 6
    for name, value in classifier.state_dict().items():
        expected = latest.seen[0][name].double()
        for steps, later in enumerate(latest.seen[1:], 1):
            decay = averaged.decay_after(steps)
            expected = decay * expected + (1 - decay) * later[name].double()
        if value.is_floating_point():
            assert torch.allclose(value.double(), expected, rtol=1e-5, atol=1e-7), name
