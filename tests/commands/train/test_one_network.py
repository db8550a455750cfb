from collections.abc import Callable
from typing import Any

import pytest

from fishcnn.models.networks.cnn import FishCNN


@pytest.mark.filterwarnings("ignore:.*torch.jit")  # TensorBoard traces the network
@pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning")  # it prints them here
def test_a_training_builds_the_weights_of_its_network_once(
    train: Callable[..., Any], tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = FishCNN.__init__

    def count(self: FishCNN, **settings: Any) -> None:
        build(self, **settings)
        if not next(self.parameters()).is_meta:  # without values, when settings are checked
            built.append(settings)

    # Under the same signature, from which the settings of a network are read.
    count.__wrapped__ = build  # type: ignore[attr-defined]
    monkeypatch.setattr(FishCNN, "__init__", count)
    finished = train(*tiny)
    assert finished.status == 0, finished.err
    assert len(built) == 1
