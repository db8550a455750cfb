"""Which of the judged images the network has learnt from: scores on these prove nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fishcnn.commands.images_of_run import known_digests, training_rows
from fishcnn.commands.labelled_images import LabelledImages
from fishcnn.data.datamodule import FishDataModule
from fishcnn.data.duplicates.finder import known_duplicates
from fishcnn.data.duplicates.near_known import near_known
from fishcnn.data.splitting.split_digests import Digests, SplitDigests, among
from fishcnn.utils.run_folder import RunFolder

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SeenImages:
    """What is known of N judged images.

    Attributes:
        identical: bool ``(N,)``, the same bytes as an image that the network was trained on.
        near: bool ``(N,)``, near-duplicates of such an image, other bytes.
        chosen: bool ``(N,)``, the same bytes as an image on which the best epoch was chosen.
        not_checked: what could not be looked for, and why; None if everything could.
    """

    identical: Bools
    near: Bools
    chosen: Bools
    not_checked: str | None

    @property
    def unseen(self) -> Bools:
        """Which images the network has not learnt from, bool ``(N,)``."""
        return ~(self.identical | self.near)

    def only(self, which: Bools) -> "SeenImages":
        """What is known of some of them, bool ``(N,)``."""
        known = (self.identical[which], self.near[which], self.chosen[which])
        return SeenImages(*known, self.not_checked)


def seen_images(
    images: LabelledImages, run: RunFolder | None, data: FishDataModule | str
) -> SeenImages:
    """Compare judged images with those that a run was trained on.

    Args:
        images: the judged ones.
        run: None for a checkpoint that lies outside its run.
        data: the images of the run; or why they are not at hand.
    """
    nothing = np.zeros(len(images), np.bool_)
    if run is None:
        problem = "It is not known whether the network was trained on some of these images: "
        return SeenImages(nothing, nothing, nothing, f"{problem}{data}")
    known, rows = known_digests(run), None
    if not isinstance(data, str):
        rows = training_rows(data, run)
        if known is None:
            known = SplitDigests.of(data.images, data.split)
    if known is None:
        problem = "It could not be checked whether the network was trained on some of these: "
        return SeenImages(nothing, nothing, nothing, f"{problem}{data}")
    digests: Digests = images.facts["digest"][:, : known.train.shape[1]]
    identical = among(digests, known.trained)
    chosen = among(digests, known.val) & ~identical
    if isinstance(data, str) or rows is None:
        problem = f"Near-duplicates of the training images could not be looked for: {data}"
        return SeenImages(identical, nothing, chosen, problem)
    near = _near(images, data, rows, ~identical)
    return SeenImages(identical, near, chosen & ~near, None)


def _near(
    images: LabelledImages, data: FishDataModule, rows: NDArray[np.int64], others: Bools
) -> Bools:
    """Which of some images are near-duplicates of those in the rows of the data of a run."""
    if images.pixels is data.images.pixels:
        found = data.splitting.duplicates or known_duplicates(data.whole_images())
        return np.isin(found.groups[images.rows], found.groups[rows]) & others
    near = np.zeros(len(images), np.bool_)
    asked, facts = np.flatnonzero(others), images.facts[others]
    aspect = (facts["size"][:, 0] / facts["size"][:, 1]).astype(np.float32)
    near[asked] = near_known(
        data.whole_images().pixels,
        rows,
        images.take_whole(asked),
        (images.fingerprints[images.rows[asked]], data.images.fingerprints[rows]),
        (aspect, data.images.aspect[rows]),
    )
    return near
