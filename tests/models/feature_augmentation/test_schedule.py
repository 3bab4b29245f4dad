"""Windows of a training run."""

import math

import pytest

from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.schedule import ActiveWindow


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, None, (0, None)),
        (16000, None, (16000, None)),
        (0.1, None, (400, None)),
        (0.0, 0.5, (0, 2000)),
        (100, 0.5, (100, 2000)),
        (0.5, 4000, (2000, 4000)),
        (1.0, None, (4000, None)),
        (1, None, (1, None)),
    ],
)
def test_resolves_iterations_and_fractions(begin, end, expected):
    assert ActiveWindow(begin, end).resolve(4000) == expected


def test_an_iteration_needs_no_length_but_a_fraction_does():
    assert ActiveWindow(5).resolve(None) == (5, None)
    with pytest.raises(InputError, match="length of the run is not known"):
        ActiveWindow(0.5).resolve(None)


@pytest.mark.parametrize("value", [-1, -0.1, 1.5, math.nan, math.inf, "10", True, None])
def test_bad_begin(value):
    with pytest.raises(InputError, match="begin is"):
        ActiveWindow(value)


@pytest.mark.parametrize(("begin", "end"), [(10, 10), (10, 5), (0.5, 0.4)])
def test_empty_window(begin, end):
    with pytest.raises(InputError, match="must come after begin"):
        ActiveWindow(begin, end)


def test_window_that_is_empty_at_this_length():
    with pytest.raises(InputError, match="must come after begin"):
        ActiveWindow(3000, 0.5).resolve(4000)
