"""What the diagnosis is given, and what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curves:
    """What a fit recorded. The sequences by epoch have one value an epoch, first epoch first.

    Attributes:
        train_loss: mean training loss in nats.
        val_loss: validation loss in nats; NaN, as ``val_acc``, where validation did not run.
        train_acc: training accuracy in 0..1, on the pictures as augmented.
        val_acc: validation accuracy in 0..1.
        learning_rate: the optimizer's step size.
        step_loss: training loss at each logged step, any length.
        val_recall: recall in 0..1 of every class at the last validation; NaN without pictures.
        val_count: number of validation pictures of every class.

    Raises:
        ValueError: the sequences by epoch differ in length, the two mappings differ in their
            classes, or there are fewer than two classes.
    """

    train_loss: Sequence[float]
    val_loss: Sequence[float]
    train_acc: Sequence[float]
    val_acc: Sequence[float]
    learning_rate: Sequence[float]
    step_loss: Sequence[float]
    val_recall: Mapping[str, float]
    val_count: Mapping[str, int]

    def __post_init__(self) -> None:
        by_epoch = (self.train_loss, self.val_loss, self.train_acc, self.val_acc)
        lengths = [len(values) for values in (*by_epoch, self.learning_rate)]
        if len(set(lengths)) > 1:
            raise ValueError(f"the curves by epoch have different lengths: {lengths}")
        if self.val_recall.keys() != self.val_count.keys() or len(self.val_recall) < 2:
            raise ValueError("val_recall and val_count need the same classes, two or more")


@dataclass(frozen=True)
class Settings:
    """What was in force in the fit, as far as it matters for the advice.

    Attributes:
        model: name of the network.
        blocks: ``model.blocks``, or None for a network without blocks.
        head: ``model.head``, or None likewise.
        dropout: ``model.dropout`` in 0..1, or None likewise.
        augment: name of the augmentation.
        mixing: whether mixup or cutmix is on.
        lr: ``optimizer.lr``.
        weight_decay: ``optimizer.weight_decay``.
        label_smoothing: in 0..1.
        max_epochs: ``trainer.max_epochs``.
        early_stopping: whether early stopping is on.
        optimizer: ``optimizer.name``: ``adam``, ``adamw`` or ``sgd``.
    """

    model: str
    blocks: int | None
    head: str | None
    dropout: float | None
    augment: str
    mixing: bool
    lr: float
    weight_decay: float
    label_smoothing: float
    max_epochs: int
    early_stopping: bool
    optimizer: str


@dataclass(frozen=True)
class Verdict:
    """One finding.

    Attributes:
        name: ``learning rate too high``, ``unstable``, ``overfitting``, ``underfitting``,
            ``plateau``, ``class ignored``, ``too short`` or ``fine``.
        why: plain words with the numbers, to be read after ``name:``. Epochs count from 1.
        suggestions: overrides as typed on the command line, the first one to be tried first.
    """

    name: str
    why: str
    suggestions: tuple[str, ...] = ()
