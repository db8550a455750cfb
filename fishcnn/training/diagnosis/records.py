"""What the diagnosis is given, and what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curves:
    """What a fit recorded. The sequences by epoch have one value an epoch, first epoch first.

    Attributes:
        train_loss: mean training loss in nats.
        val_loss: validation loss in nats; NaN, as ``val_acc``, where validation did not run.
        train_acc: training accuracy in 0..1, on the images as augmented.
        val_acc: validation accuracy in 0..1.
        val_f1: validation macro F1 in 0..1.
        learning_rate: the optimizer's step size.
        step_loss: training loss at each logged step, any length.
        val_recall: recall in 0..1 of every class at the last validation; NaN without images.
        val_count: number of validation images of every class.
        train_images: number of training images.
        kept_epoch: that of the checkpoint which is kept, from 1; None where none is.
    """

    train_loss: Sequence[float]
    val_loss: Sequence[float]
    train_acc: Sequence[float]
    val_acc: Sequence[float]
    val_f1: Sequence[float]
    learning_rate: Sequence[float]
    step_loss: Sequence[float]
    val_recall: Mapping[str, float]
    val_count: Mapping[str, int]
    train_images: int
    kept_epoch: int | None


@dataclass(frozen=True)
class Settings:
    """What was in force in the fit, as far as it matters for the advice.

    Attributes:
        model: name of the network.
        blocks, head, dropout: settings of the network; None where it has no such setting.
        augment: name of the augmentation.
        mixing: whether mixup or cutmix is on.
        pretrained: whether the network began with the weights of others.
        rendered: whether the images were drawn by a program.
        optimizer: its name, ``adam``, ``adamw`` or ``sgd``, with ``lr`` and ``weight_decay``.
        label_smoothing: in 0..1.
        max_epochs: for how many the fit was planned.
        early_stopping: whether it was on.
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
    pretrained: bool
    rendered: bool
    optimizer: str


@dataclass(frozen=True)
class Verdict:
    """One finding.

    Attributes:
        name: ``learning rate too high``, ``unstable``, ``overfitting``, ``underfitting``,
            ``plateau``, ``class ignored``, ``few images``, ``too short``, ``checkpoint``, ``probe``
            or ``fine``.
        why: plain words with the numbers, to be read after ``name:``. Epochs count from 1.
        suggestions: overrides as typed on the command line, the first one to be tried first.
    """

    name: str
    why: str
    suggestions: tuple[str, ...] = ()
