from pathlib import Path

import pytest
import torch

from fishcnn.training.callbacks.checkpoint import BestCheckpoint


@pytest.mark.parametrize(("loss", "is_best"), [(0.4, True), (0.6, False)])
def test_a_continued_run_remembers_the_best_epoch_of_its_first_part(
    tmp_path: Path, loss: float, is_best: bool
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "best.ckpt").write_text("the best so far")
    earlier = BestCheckpoint(first, monitor="val_loss", resumed=None)
    earlier.best_model_path = str(first / "best.ckpt")
    earlier.best_model_score = earlier.kth_value = torch.tensor(0.5)
    earlier.best_k_models = {earlier.best_model_path: torch.tensor(0.5)}
    earlier.kth_best_model_path = earlier.best_model_path

    continued = BestCheckpoint(second, monitor="val_loss", resumed=first / "last.ckpt")
    continued.load_state_dict(earlier.state_dict())
    assert (second / "best.ckpt").read_text() == "the best so far"
    assert continued.best_model_path == str(second / "best.ckpt")

    class Trainer:
        class strategy:
            @staticmethod
            def reduce_boolean_decision(decision: bool) -> bool:
                return decision

    assert bool(continued.check_monitor_top_k(Trainer(), torch.tensor(loss))) is is_best  # type: ignore[arg-type]
