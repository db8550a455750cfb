"""The early end of a trial that other trials of a search do better than."""

from collections.abc import Callable

import pytorch_lightning as pl

from fishcnn.models.scores import MONITOR
from fishcnn.training.callbacks.history import History

# Takes an epoch, from 1, and its validation loss; says whether the fit is to end.
Report = Callable[[int, float], bool]


class Pruning(pl.Callback):
    """Report every validation loss to a search, and end the fit where that asks for it.

    The fit ends as by early stopping: its checkpoints and its numbers are whole. A fit that goes on
    after a kill reports the epochs before that as well. The last epoch is reported, but there is
    nothing left to end.

    Args:
        history: a callback before this one, whose epochs are reported.
        report: of the search.
    """

    def __init__(self, history: History, report: Report) -> None:
        self.history = history
        self.report = report
        self._reported = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report what is new."""
        new, self._reported = self.history.epochs[self._reported :], len(self.history.epochs)
        ends = False
        for epoch in (epoch for epoch in new if MONITOR in epoch):
            ends = self.report(int(epoch["epoch"]), epoch[MONITOR])
        if ends and trainer.current_epoch + 1 != trainer.max_epochs:
            trainer.should_stop = True
