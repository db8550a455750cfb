import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import fishcnn
from fishcnn.utils.text import for_shells, interval_95, percent


@pytest.mark.parametrize(
    ("share", "digits", "written"),
    [
        (0.8625, 1, "86.3%"),
        (np.float32(0.8625), 1, "86.3%"),
        (0.8635, 1, "86.4%"),
        (1 - 0.8625, 1, "13.8%"),
        (0.125, 0, "13%"),
        (0.135, 0, "14%"),
        (0.0, 1, "0.0%"),
        (-1e-9, 1, "0.0%"),
        (1.0, 1, "100.0%"),
        (None, 1, "-"),
        (float("nan"), 0, "-"),
    ],
)
def test_a_half_goes_up_wherever_a_share_comes_from(
    share: float | None, digits: int, written: str
) -> None:
    assert percent(share, digits) == written


def test_shares_of_few_images_are_written_alike_in_float32_and_float64() -> None:
    for total in range(1, 400):
        shares = np.arange(total + 1) / total
        for share in shares:
            for digits in (0, 1):
                assert percent(share, digits) == percent(float(np.float32(share)), digits)


def test_an_interval_is_rounded_like_the_share_in_it() -> None:
    assert interval_95((0.5125, 0.8625)) == "95% interval 51.3% to 86.3%"


def test_nothing_rounds_percentages_by_itself() -> None:
    package = Path(fishcnn.__file__).parent
    found = [
        (file.name, line)
        for file in package.rglob("*")
        if file.suffix in (".py", ".html", ".md")
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r":\.\d%|100 \* \w+.*:\.\df", line)
    ]
    assert found == [], "write shares by fishcnn.utils.text.percent"


@pytest.mark.parametrize(
    ("word", "typed"),
    [
        ("data.root=photos", "data.root=photos"),
        ("data.root=my photos", '"data.root=my photos"'),
        ("data.root=Anna's photos", '"data.root=Anna\'s photos"'),
        ("data.root=$HOME", "'data.root=$HOME'"),
        ('data.root=a"b', "'data.root=a\"b'"),
        ("", "''"),
    ],
)
def test_a_word_is_quoted_as_every_shell_reads_it_where_that_is_possible(
    word: str, typed: str
) -> None:
    assert for_shells([word]) == typed
    assert shlex.split(typed) == [word]
