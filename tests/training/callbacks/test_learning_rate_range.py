import math
from pathlib import Path

import numpy as np
import pytest
from fitting import small_trainer
from networks import small_classifier

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.learning_rate_range import HIGHEST, LOWEST, LearningRateRange

pytestmark = [
    # Batches are gathered from memory: worker processes would only copy them.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning 2.6 meets a newer torch.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def with_curve(losses: np.ndarray) -> LearningRateRange:
    test = LearningRateRange(steps=len(losses))
    test.rates = np.geomspace(LOWEST, HIGHEST, len(losses)).tolist()
    test.losses = losses.tolist()
    return test


def test_the_suggestion_is_where_the_loss_falls_fastest_and_not_where_it_has_exploded() -> None:
    rates = np.linspace(-6, 0, 100)
    falls = 3 - 2 / (1 + np.exp(-4 * (rates + 3)))  # around 1e-3
    noise = np.random.default_rng(0).normal(scale=0.02, size=100)
    exploded = np.where(rates > -1.5, 10 * (rates + 1.5), 0)
    suggestion = with_curve(falls + noise + exploded).suggestion
    assert suggestion
    assert abs(math.log10(suggestion) + 3) < 0.2


@pytest.mark.parametrize("losses", [[], [math.nan] * 20, list(range(20)), [1.0]])
def test_a_loss_that_never_falls_suggests_nothing(losses: list[float]) -> None:
    assert with_curve(np.array(losses, dtype=float)).suggestion is None


def test_the_rate_rises_evenly_whatever_the_schedule_says(
    datamodule: FishDataModule, tmp_path: Path
) -> None:
    test = LearningRateRange(steps=7)
    classifier = small_classifier(datamodule.classes)
    classifier.hparams["scheduler"] = {"name": "onecycle", "pct_start": 0.2}
    trainer = small_trainer(tmp_path, test, max_epochs=9, limit_val_batches=0, logger=False)
    trainer.fit(classifier, datamodule=datamodule)
    np.testing.assert_allclose(test.rates, np.geomspace(LOWEST, HIGHEST, 7))
    assert len(test.losses) == 7 or test.losses[-1] > 4 * min(test.losses)
