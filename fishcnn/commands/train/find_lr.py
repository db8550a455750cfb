"""Instead of a training: the learning rate to begin one with."""

from omegaconf import DictConfig, open_dict

from fishcnn.commands.build import build_classifier
from fishcnn.commands.command_line import retyped
from fishcnn.commands.figures import save_figure
from fishcnn.commands.terminal import Terminal, print_raw
from fishcnn.commands.train.build_trainer import build_trainer
from fishcnn.data.datamodule import FishDataModule
from fishcnn.plots.range_test import range_test_curve
from fishcnn.training.callbacks.learning_rate_range import LearningRateRange
from fishcnn.training.checkpoint_writer import CheckpointWriter
from fishcnn.utils.files import made_folder
from fishcnn.utils.run_folder import RunFolder

STEPS = 100


def find_learning_rate(config: DictConfig, datamodule: FishDataModule, run: RunFolder) -> None:
    """Run a range test on fresh weights, draw it, and print the command that trains with its rate.

    Args:
        config: of a training.
        datamodule: set up.
        run: in whose figures the curve goes.

    Raises:
        FishError: the figure cannot be written.
    """
    config = config.copy()
    with open_dict(config):
        config.scheduler = {"name": "none"}
        config.logger.name = "none"
        # Only the number of steps ends it.
        config.trainer.update(
            max_epochs=-1,
            max_steps=STEPS,
            check_val_every_n_epoch=None,
            limit_val_batches=0,
        )
    classifier = build_classifier(config, datamodule)
    test = LearningRateRange(steps=STEPS)
    trainer = build_trainer(config, [test], run.path, CheckpointWriter())
    trainer.fit(classifier, datamodule=datamodule)
    if not trainer.is_global_zero:
        return
    figure = made_folder(run.figures) / "learning_rate.png"
    save_figure(range_test_curve(test.rates, test.losses, test.suggestion), figure)
    if test.suggestion is None:
        lines = [
            "The training loss fell at none of the learning rates: check the data and the network."
        ]
    else:
        rate = f"{test.suggestion:.1e}"
        lines = [
            f"The training loss falls fastest at learning rates around {rate}. To train with it:",
            retyped({"find_lr": None, "optimizer.lr": rate}),
        ]
    print_raw(Terminal(), [*lines, f"curve: {figure}"])
