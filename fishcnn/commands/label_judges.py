"""Who says what an image shows without having learnt from it: a probe, or runs of folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fishcnn.commands.fold_runs import find_fold_runs, probabilities_of_runs
from fishcnn.commands.label_report import LabelReport
from fishcnn.data.decoding.image_set import ImageSet
from fishcnn.metrics.confident_learning import installed
from fishcnn.models.pretrained import efficientnet_lite
from fishcnn.training.probe.out_of_fold import ProbedImages
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder


@dataclass(frozen=True)
class Judge:
    """Who is asked which labels are wrong.

    Attributes:
        runs: of each fold of a cross-validation; a linear probe is asked where there is none.
    """

    runs: Sequence[RunFolder]

    @property
    def is_probe(self) -> bool:
        """Whether it is a linear probe."""
        return not self.runs

    def report(
        self, images: ImageSet, probed: Callable[[], ProbedImages], *, corrected: bool
    ) -> LabelReport:
        """Let it predict the class of each image without having learnt from it, and compare.

        Args:
            images: at least one.
            probed: computes their features.
            corrected: whether some labels are a person's corrections.

        Raises:
            FishError: the images have changed in the meantime, or the weights cannot be had.
        """
        if self.is_probe:
            name, probabilities = "a linear probe", probed().out_of_fold()
        else:
            name = "the networks of the folds"
            probabilities = probabilities_of_runs(self.runs, images)
        return LabelReport.of(images, probabilities, name, corrected=corrected)


def find_judge(labels: str) -> Judge | None:
    """Find who ``labels=``, as it is typed, means; None where nobody is to be asked.

    Raises:
        FishError: a package is missing, or the value means nothing.
    """
    if labels.lower() in ("false", "null", "none", ""):
        return None
    judge = Judge([] if labels.lower() == "true" else find_fold_runs(labels))
    if not installed() or (judge.is_probe and not efficientnet_lite.installed()):
        needed = "labels,pretrained" if judge.is_probe else "labels"
        raise FishError(
            f"labels={labels}: needs packages that are not installed; type pip install "
            f"'fishcnn[{needed}]'"
        )
    return judge
