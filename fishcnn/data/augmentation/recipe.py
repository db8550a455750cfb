"""What may be done to a training picture."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fishcnn.errors import FishError


@dataclass(frozen=True)
class Recipe:
    """What may be done to a training picture; the ``augment`` group of the configuration.

    Attributes:
        name: the name of the recipe, for reports.
        crop_scale: smallest and largest share of the picture's area that a crop keeps.
        crop_ratio: smallest and largest width/height of a crop, in the original picture's pixels.
        flip: probability of a horizontal flip.
        rotation: largest rotation in degrees, either way.
        shear: largest horizontal shear in degrees, either way.
        perspective: how far a corner may move inward, as a share of half the side (0 to 1).
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x].
        hue: largest turn of the hue as a share of the colour circle (0 to 0.5).
        trivial: one more operation of random kind and strength a picture (TrivialAugment,
            Müller and Hutter 2021).
        blur: probability of a Gaussian blur.
        erasing: probability of erasing a rectangle (Zhong et al. 2017).
        mixup: alpha of mixup's Beta distribution (Zhang et al. 2017); 0 is off.
        cutmix: alpha of CutMix's Beta distribution (Yun et al. 2019); 0 is off. With both on, a
            batch takes one of the two.
    """

    name: str
    crop_scale: tuple[float, float]
    crop_ratio: tuple[float, float]
    flip: float
    rotation: float
    shear: float
    perspective: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    trivial: bool
    blur: float
    erasing: float
    mixup: float
    cutmix: float

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Recipe":
        """Read a recipe from the ``augment`` group.

        Raises:
            FishError: a setting is unknown, missing or out of range.
        """
        known = {field.name for field in fields(cls)}
        if wrong := sorted(set(config) ^ known):
            raise FishError(f"augment: unknown or missing settings: {', '.join(wrong)}")
        recipe = cls(
            **{
                **config,
                "crop_scale": tuple(config["crop_scale"]),
                "crop_ratio": tuple(config["crop_ratio"]),
            }
        )
        low, high = recipe.crop_scale
        if not 0 < low <= high <= 1:
            raise FishError(f"augment.crop_scale={[low, high]}: wanted 0 < low <= high <= 1")
        for name in ("flip", "perspective", "blur", "erasing"):
            if not 0 <= getattr(recipe, name) <= 1:
                raise FishError(f"augment.{name}={getattr(recipe, name)}: wanted 0 to 1")
        if not 0 <= recipe.hue <= 0.5:
            raise FishError(f"augment.hue={recipe.hue}: wanted 0 to 0.5")
        return recipe
