"""Which labels are probably wrong, by what a classifier says that has not learnt from them.

Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset labels",
through the package cleanlab.
"""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from fishcnn.utils.errors import FishError

# By so much the likely class is more probable than the given one where a label is doubted first.
# Of 400 rendered images with 20 labels swapped at random, 17 to 21 were (14 to 19 of them
# swapped); with 32 swapped, 21 to 26 (21 to 26). Of 712 photographs of which, by eye, some 8% have
# a wrong label, 48 were, while confident learning, by a probe that agreed with 59% of the labels,
# counted 194: it takes the mistakes of whoever judges for those of the labels.
ODDS = 20
_TINY = 1e-12


@dataclass(frozen=True)
class LabelIssues:
    """What is thought of n labels.

    Attributes:
        order: int64 ``(m,)``, the labels that could be judged, the most probably wrong first.
        suspect: bool ``(n,)``, the first of them, as many as confident learning counts as wrong.
        clear: how many of the suspects have a likely class that is ODDS times as probable as the
            given one.
        likely: int64 ``(n,)``, the most probable class; the given one where nobody judged.
        confidence: float64 ``(n,)``, its probability; NaN where nobody judged.
        given: float64 ``(n,)``, the probability of the given class; NaN likewise.
    """

    order: NDArray[np.int64]
    suspect: NDArray[np.bool_]
    clear: int
    likely: NDArray[np.int64]
    confidence: NDArray[np.float64]
    given: NDArray[np.float64]


def installed() -> bool:
    """Whether there is the package that this needs."""
    return find_spec("cleanlab") is not None


def find_label_issues(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelIssues:
    """Find labels that are probably wrong.

    A class has a threshold, the mean probability of it among the images that are labelled so. An
    image counts for the most probable class among those whose threshold it reaches, which gives the
    confident joint of given and true classes. Calibrated to the numbers of labels, it says how many
    are wrong. The first are those whose given class is the least probable: of labels that were
    swapped at random, these were wrong more often than those that the joint itself picks.

    Args:
        labels: int64 ``(n,)``, 0 <= label < K.
        probabilities: float64 ``(n, K)``, out of fold; NaN where an image could not be judged.

    Raises:
        FishError: cleanlab is not installed.
    """
    if not installed():
        raise FishError("wrong labels are found by cleanlab: pip install 'fishcnn[labels]'")
    from cleanlab.filter import find_label_issues as suspects_of

    count, judged = len(labels), np.flatnonzero(~np.isnan(probabilities).any(1))
    suspect, likely = np.zeros(count, np.bool_), labels.copy()
    confidence, given = np.full(count, np.nan), np.full(count, np.nan)
    order = np.empty(0, np.int64)
    if len(judged):
        seen, said = labels[judged], probabilities[judged]
        likely[judged], confidence[judged] = said.argmax(1), said.max(1)
        given[judged] = said[np.arange(len(judged)), seen]
        order = judged[np.lexsort((given[judged], likely[judged] == seen))].astype(np.int64)
        # The package wants classes without a gap; those that nobody could judge are in no fold.
        found, dense = np.unique(seen, return_inverse=True)
        among = said[:, found] + _TINY
        among /= among.sum(1, keepdims=True)
        if len(found) > 1:
            # A process for each core would take longer to start than the work takes.
            wrong = int(suspects_of(dense, among, n_jobs=1).sum())
            suspect[order[: min(wrong, int((likely != labels).sum()))]] = True
    clear = int((confidence[suspect] >= ODDS * given[suspect]).sum())
    return LabelIssues(order, suspect, clear, likely, confidence, given)
