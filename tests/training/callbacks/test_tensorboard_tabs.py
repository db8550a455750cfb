from pathlib import Path
from typing import Any

import pytest
from fitting import small_trainer
from networks import small_classifier
from torch.utils.tensorboard.writer import FileWriter

from fishcnn.data.datamodule import FishDataModule
from fishcnn.training.callbacks.tensorboard_tabs import TensorBoardTabs


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")  # Lightning 2.6 meets a newer torch
def test_the_graph_is_written_once_and_no_first_step_waits_for_it(
    fish: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datamodule = FishDataModule(fish / "pictures", image_size=16, batch_size=9)
    datamodule.setup()
    trainer = small_trainer(tmp_path, TensorBoardTabs(hyperparameters={}, data_report=""))
    steps = []
    add_graph = FileWriter.add_graph

    def count(writer: FileWriter, *arguments: Any, **settings: Any) -> None:
        steps.append(trainer.global_step)
        add_graph(writer, *arguments, **settings)

    monkeypatch.setattr(FileWriter, "add_graph", count)
    trainer.fit(small_classifier(datamodule.classes), datamodule=datamodule)
    assert steps == [trainer.num_training_batches]
