"""What may be done to a training image."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fishcnn.utils.checks import Check, check_arguments, flag, number, several, text
from fishcnn.utils.errors import FishError

# The lowest value is 0 for all.
HIGHEST = {
    "flip": 1.0,
    "rotation": 180.0,
    "shear": 60.0,
    "perspective": 1.0,
    "brightness": 10.0,
    "contrast": 10.0,
    "saturation": 10.0,
    "hue": 0.5,
    "blur": 1.0,
    "erasing": 1.0,
    "mixup": 100.0,
    "cutmix": 100.0,
}


def _pair(highest: float) -> Check:
    parts = several(number(0, above=True), 2)

    def check(pair: object) -> str | None:
        if not isinstance(pair, list) or parts(pair) or pair[0] > pair[1]:
            return "must be [low, high] with 0 < low <= high"
        return None if pair[1] <= highest else f"must be at most {highest}"

    return check


_WANTED = {
    "name": text,
    "crop_scale": _pair(1.0),
    "crop_ratio": _pair(100.0),
    **{name: number(0, highest) for name, highest in HIGHEST.items()},
    "trivial": flag,
}


@dataclass(frozen=True)
class Recipe:
    """What may be done to a training image; the ``augment`` group of the configuration.

    Attributes:
        name: the name of the recipe, for reports.
        crop_scale: smallest and largest share of the image's area that a crop keeps.
        crop_ratio: smallest and largest width/height of a crop, in the original image's pixels.
        flip: probability of a horizontal flip.
        rotation: largest rotation in degrees, either way.
        shear: largest horizontal shear in degrees, either way.
        perspective: how far a corner may move inward, as a share of half the side (0 to 1).
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x].
        hue: largest turn of the hue as a share of the colour circle (0 to 0.5).
        trivial: one more operation of random kind and strength per image (TrivialAugment,
            Müller and Hutter 2021).
        blur: probability of a Gaussian blur.
        erasing: probability of erasing a rectangle (Zhong et al. 2017).
        mixup: alpha of mixup's Beta distribution (Zhang et al. 2017); 0 is off.
        cutmix: alpha of CutMix's Beta distribution (Yun et al. 2019); 0 is off. With both on, a
            batch takes one of the two.
    """

    name: str = "seed"
    crop_scale: tuple[float, float] = (0.6, 1.0)
    crop_ratio: tuple[float, float] = (0.75, 1.3333)
    flip: float = 0.5
    rotation: float = 15.0
    shear: float = 0.0
    perspective: float = 0.0
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1
    trivial: bool = False
    blur: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ArgumentError: a value is out of its range.
        """
        shown = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        check_arguments(shown, _WANTED)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Recipe":
        """Read a recipe from the ``augment`` group, where pairs are lists.

        Raises:
            FishError: a setting is unknown, missing or out of range.
        """
        if wrong := sorted(set(config) ^ {field.name for field in fields(cls)}):
            raise FishError(f"augment: unknown or missing settings: {', '.join(wrong)}")
        pairs = {name: tuple(pair) for name, pair in config.items() if isinstance(pair, list)}
        return cls(**{**config, **pairs})
