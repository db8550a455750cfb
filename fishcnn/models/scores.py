"""What is measured in every epoch: the one list that curves, reports and the model card read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from fishcnn.metrics.mean_loss import MeanLoss


class MacroF1(MulticlassConfusionMatrix):
    """Mean F1 of the classes that have images; the others have no F1 and do not count."""

    def compute(self) -> Tensor:
        """The mean over all images so far, a scalar in [0, 1]."""
        confusion = super().compute().float()
        f1 = 2 * confusion.diag() / (confusion.sum(0) + confusion.sum(1)).clamp(min=1)
        return f1[confusion.sum(1) > 0].mean()


@dataclass(frozen=True)
class Score:
    """One number an epoch.

    Attributes:
        key: its name without the split, such as ``acc`` of ``val_acc``.
        title: as people read it.
        is_share: whether it is printed in percent.
        build: from the number of classes to the metric, which takes any of the keywords ``loss``
            and ``images`` (mean and size of a batch), ``preds`` and ``target``.
        more_classes_than: of so many classes or fewer, it is 1 whatever the network says.
        in_training: whether training batches, as augmented, are measured as well.
    """

    key: str
    title: str
    is_share: bool
    build: Callable[[int], Metric]
    in_training: bool = False
    more_classes_than: int = 1

    def tells(self, classes: int) -> bool:
        """Whether it says anything of so many classes, and is to be shown."""
        return classes > self.more_classes_than


def _accuracy(top: int) -> Callable[[int], Metric]:
    return lambda classes: MulticlassAccuracy(
        classes, average="micro", top_k=min(top, classes), validate_args=False
    )


SCORES = (
    Score("loss", "loss", False, lambda _: MeanLoss(), in_training=True),
    Score("acc", "accuracy", True, _accuracy(1), in_training=True),
    Score("f1", "macro F1", False, lambda classes: MacroF1(classes, validate_args=False)),
    Score("top3", "top-3 accuracy", True, _accuracy(3), more_classes_than=3),
)
TRAIN_SCORES = tuple(f"train_{score.key}" for score in SCORES if score.in_training)
VAL_SCORES = tuple(f"val_{score.key}" for score in SCORES)
# What early stopping, the best checkpoint and the plateau schedule look at: lower is better.
MONITOR = "val_loss"


def build_scores(split: str, num_classes: int) -> MetricCollection:
    """The metrics of a split, ``train`` or ``val``, under their full names."""
    chosen = [score for score in SCORES if score.in_training or split != "train"]
    metrics: dict[str, Metric | MetricCollection] = {
        score.key: score.build(num_classes) for score in chosen
    }
    # No two share their counts, so comparing all of them in the first batch would find nothing.
    return MetricCollection(metrics, prefix=f"{split}_", compute_groups=False)


def counts_of(scores: MetricCollection, reduce: Callable[..., Any]) -> dict[str, dict[str, Tensor]]:
    """What metrics have counted since the last epoch, in all processes; no weights hold it.

    Args:
        scores: as :func:`build_scores` makes them.
        reduce: sums a tensor over all processes with ``reduce_op="sum"``.
    """
    return {
        name: {
            # A copy, as the sum takes its place.
            key: reduce(cast(Tensor, count).clone(), reduce_op="sum")
            for key, count in metric.metric_state.items()
        }
        for name, metric in scores.items(keep_base=True)
    }


def take_counts(scores: MetricCollection, counts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Let metrics count on from what :func:`counts_of` has found."""
    for name, of_metric in counts.items():
        for key, count in of_metric.items():
            setattr(scores[name], key, count.to(scores[name].device))
