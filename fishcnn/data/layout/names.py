"""What the name of a folder says: a split, a mask, a detail that is no class; or nothing of it."""

import re
import unicodedata
from functools import cache
from itertools import pairwise
from typing import NamedTuple

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
}
_MASKS = """
gt mask masks groundtruth label labels annotation annotations seg segmentation segmentations
segmented trimap trimaps
"""
MASK_WORDS = frozenset(_MASKS.split())
# Beside a split or around the images of a class these say nothing.
_EMPTY = """
set sets data dataset images image img imgs pictures pics photos photo files folder split samples
the raw original originals cropped crops resized fish fishes
"""
_FILLERS = frozenset(_EMPTY.split())
# What images of one class are sorted by, or how they were gathered.
_SORTED_BY = """
left right top bottom side front back up down dorsal ventral lateral head old day night morning
evening spring summer autumn fall winter cam camera view frame frames video videos seq sequence
series session batch part fold site station pond tank lake river reef location place region dive
transect trip group run dir archive source augmented aug edited new extra extras other others misc
more deeper good bad blurry clear unsorted week weeks month months year years january february march
april may june july august september october november december jan feb mar apr jun jul aug sep sept
oct nov dec jpg jpeg png tif tiff gray grey rgb color colour underwater indoor outdoor wild
"""
# Likewise, but they may well be the classes themselves.
_STATES = """
male female adult adults juvenile juveniles larva larvae egg eggs young healthy sick diseased
infected fresh alive dead dry wet background backgrounds white black
"""
_DETAILS = _FILLERS | frozenset(_SORTED_BY.split()) | frozenset(_STATES.split())
# Folders of cameras, by the Design rule for Camera File systems: 100CANON.
_OF_CAMERA = re.compile(r"[1-9]\d\d[A-Z0-9_]{5}")
_DATE = re.compile(r"(19|20)\d\d([01]\d([0-3]\d)?)?")
# 2017 in train2017, and A in trainA and TrainA, are words of their own.
_WORD = re.compile(r"\d+|[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|[A-Z]")


class SplitName(NamedTuple):
    """A folder's name as that of a split."""

    split: str  # "train", "val" or "test"
    rest: tuple[str, ...]  # what else it says, such as ("koi",) for Koi_train


@cache
def words(name: str) -> tuple[str, ...]:
    """The words and numbers of a name, lower case: ("train", "2017") for train2017."""
    return tuple(word.lower() for word in _WORD.findall(unicodedata.normalize("NFC", name)))


def alike(name: str) -> str:
    """What names have in common that look the same but for upper and lower case."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def split_name(name: str) -> SplitName | None:
    """Read a name as that of a split; None where it has not exactly one word for one.

    "train2017", "Training Set", "fish_train" and "trainset" are all SplitName("train", ()).
    """
    found = [word for part in words(name) for word in _taken_apart(part)]
    splits = [SPLIT_WORDS[word] for word in found if word in SPLIT_WORDS]
    if len(splits) != 1:
        return None
    rest = [word for word in found if word not in SPLIT_WORDS and not word.isdigit()]
    return SplitName(splits[0], without_fillers(tuple(rest)))


def _taken_apart(word: str) -> tuple[str, ...]:
    """Cut "trainset" and "imagestest" in two."""
    for split in SPLIT_WORDS:
        for filler in _FILLERS:
            if word in (split + filler, filler + split):
                return split, filler
    return (word,)


def without_fillers(found: tuple[str, ...]) -> tuple[str, ...]:
    """Words without those that say nothing."""
    return tuple(word for word in found if word not in _FILLERS)


def is_filler(name: str) -> bool:
    """Whether a folder's name says no more than that there are images, such as "images"."""
    found = words(name)
    return bool(found) and all(word in _FILLERS for word in found)


def is_detail(name: str) -> bool:
    """Whether a folder is hardly one class among others: "2023-05-01", "camera 2", "left"."""
    found = words(name)
    if not any(word in _DETAILS or _DATE.fullmatch(word) for word in found):
        return False
    return all(word in _DETAILS or word.isdigit() or len(word) == 1 for word in found)


def is_part(name: str) -> bool:
    """Whether a folder is named as a part of a data set that may hold all classes: "fold1"."""
    of_states = any(word in _STATES.split() for word in words(name))
    return split_name(name) is not None or (is_detail(name) and not of_states)


def is_numbered(name: str) -> bool:
    """Whether a name numbers folders and says no more: "01", "fish_01", "100CANON"."""
    found = words(name)
    if _OF_CAMERA.fullmatch(name):
        return True
    numbers = [word for word in found if word.isdigit()]
    if any(_DATE.fullmatch(number) for number in numbers):
        return False
    return bool(numbers) and all(word.isdigit() or word in _FILLERS for word in found)


@cache
def of_mask(name: str) -> tuple[str, ...] | None:
    """Whose masks a name speaks of: ("koi",) for "Koi GT", () for "masks"; None for no masks."""
    found = words(name)
    for ground, truth in pairwise(found):
        if (ground, truth) == ("ground", "truth"):
            return tuple(word for word in found if word not in ("ground", "truth"))
    if found and found[-1] in MASK_WORDS:
        return found[:-1]
    if found and found[0] in MASK_WORDS:
        return found[1:]
    return None
