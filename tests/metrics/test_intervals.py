import pytest

from fishcnn.metrics.intervals import wilson_interval


@pytest.mark.parametrize(
    ("hits", "total", "expected"),
    [
        # Newcombe 1998, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (29, 29, (0.8830, 1.0)),
    ],
)
def test_intervals_are_the_published_ones(
    hits: int, total: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(hits, total) == pytest.approx(expected, abs=5e-5)
