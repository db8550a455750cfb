"""Errors that are told to people."""

from fishcnn.utils.errors import FishError, causes


def test_errors_that_lead_in_a_circle_are_each_met_once() -> None:
    first, second = ValueError("first"), FishError("second")
    first.__context__, second.__cause__ = second, first
    assert causes(second) == [second, first]
