"""How to split what is not split already."""

from dataclasses import dataclass

from fishcnn.data.splitting.groups import groups_by_name
from fishcnn.utils.checks import check_arguments, flag, number, optional, text, whole
from fishcnn.utils.errors import ArgumentError

_WANTED = {
    "val_fraction": number(0.001, 0.999),
    "test_fraction": number(0, 0.999),
    "folds": optional(whole(2)),
    "fold": whole(0),
    "split_seed": whole(0),
    "inner_split": flag,
    "group_duplicates": flag,
    "group_regex": optional(text),
}


@dataclass(frozen=True)
class SplitSettings:
    """How to split what is not split already.

    Attributes:
        val_fraction: Share of the images for validation, between 0 and 1; without effect with
            ``folds``.
        test_fraction: Share that neither training nor validation sees, from 0 for none to below 1.
        folds: Number of folds for cross-validation, at least 2, or None.
        fold: Which of them is validated on, from 0; 0 without folds.
        split_seed: Of the draw, at least 0; independent of the seed of the training.
        inner_split: Whether the validation split is held back like a test split, and images of the
            training split are validated on instead.
        group_duplicates: Whether near-duplicates are looked for and kept together.
        group_regex: What the names of images that belong together have in common, or None.
    """

    val_fraction: float = 0.2
    test_fraction: float = 0.0
    folds: int | None = None
    fold: int = 0
    split_seed: int = 0
    inner_split: bool = False
    group_duplicates: bool = True
    group_regex: str | None = None

    @property
    def held_out(self) -> float:
        """Share of the images that are validated on."""
        return 1 / self.folds if self.folds else self.val_fraction

    def check(self) -> None:
        """Check what can be checked before the images are known.

        Raises:
            ArgumentError: One of them is out of its range.
        """
        check_arguments(vars(self), _WANTED)
        if self.folds is None:
            if self.fold != 0:
                raise ArgumentError("fold", self.fold, "needs folds as well, such as folds=5")
            if self.val_fraction + self.test_fraction >= 1:
                problem = f"leaves nothing to train on, as test_fraction={self.test_fraction}"
                raise ArgumentError("val_fraction", self.val_fraction, problem)
        elif self.fold >= self.folds:
            problem = f"must be from 0 to {self.folds - 1}, as folds={self.folds}"
            raise ArgumentError("fold", self.fold, problem)
        if self.group_regex is not None:
            groups_by_name([], self.group_regex)
