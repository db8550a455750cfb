import math

import numpy as np
import pytest

from fishcnn.utils.checks import Check, check_arguments, choice, flag, number, optional, whole
from fishcnn.utils.errors import ArgumentError


@pytest.mark.parametrize(
    ("check", "right", "wrong", "problem"),
    [
        (whole(1, 16), [1, 16, np.int64(3)], [0, 17, 2.0, True, "3", None], "a whole number"),
        (whole(0), [0, 10**9], [-1, 0.5, math.nan], "a whole number, 0 or more"),
        (number(0, 1), [0, 1, 0.5, np.float32(1)], [-0.1, 1.1, math.nan, False], "from 0 to 1"),
        (number(0, 1, above=True), [0.001, 1], [0, 1.001], "a number above 0 up to 1"),
        (number(0, above=True), [1e-9, 1e6], [0, -1, "1", math.inf], "must be a number above 0"),
        (choice("val", "test"), ["val"], ["Val", None, ["val"]], "choose one of val, test"),
        (choice(1, None), [1, None], [True, 1.0], "choose one of 1, null"),
        (flag, [True, False], [1, 0, "true", None], "must be true or false"),
        (optional(whole(1)), [None, 1], [0], "1 or more"),
    ],
)
def test_a_value_is_right_or_its_problem_is_said(
    check: Check, right: list[object], wrong: list[object], problem: str
) -> None:
    assert [check(value) for value in right] == [None] * len(right)
    for value in wrong:
        assert problem in str(check(value)), value


def test_the_argument_that_is_wrong_is_named() -> None:
    wanted = {"fold": whole(0, 4), "seed": whole(0)}
    check_arguments({"fold": 4, "seed": 0, "other": "x"}, wanted)
    with pytest.raises(ArgumentError, match=r"^fold=5: must be a whole number from 0 to 4$"):
        check_arguments({"fold": 5, "seed": -1}, wanted)
