"""When, in a training run, an augmentation acts."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import NamedTuple, Union

from mmseg_robust.errors import InputError

Moment = Union[int, float]


class Iterations(NamedTuple):
    """A window in iterations.

    Attributes:
        begin (int): First iteration inside, from 0.
        end (int, optional): First iteration outside again; None for the end of the run.
    """

    begin: int
    end: int | None

    def contain(self, iteration: int) -> bool:
        """Whether an iteration lies inside."""
        return iteration >= self.begin and (self.end is None or iteration < self.end)


class ActiveWindow:
    """The part ``begin <= iteration < end`` of a training run.

    Args:
        begin (int or float): First iteration that is inside, counted from 0 as MMEngine does; a
            float in [0, 1] is a fraction of the run.
        end (int or float, optional): First iteration that is outside again, in the same two forms.
            Default: None, to the end of the run.

    Raises:
        InputError: If a moment is negative, not a number or a fraction above 1, or the window is
            empty.
    """

    def __init__(self, begin: Moment = 0, end: Moment | None = None) -> None:
        _check_moment("begin", begin)
        if end is not None:
            _check_moment("end", end)
            if isinstance(begin, Integral) == isinstance(end, Integral) and end <= begin:
                raise InputError(f"end ({end}) must come after begin ({begin}).")
        self.begin = begin
        self.end = end

    def resolve(self, max_iters: int | None) -> Iterations:
        """The window in iterations.

        Args:
            max_iters (int, optional): Length of the run, needed where a moment is a fraction.

        Returns:
            Iterations: The same window, counted in iterations.

        Raises:
            InputError: If a moment is a fraction and the length of the run is not known, or the
                window is empty at this length.
        """
        begin = _to_iteration("begin", self.begin, max_iters)
        end = None if self.end is None else _to_iteration("end", self.end, max_iters)
        if end is not None and end <= begin:
            raise InputError(
                f"end ({self.end}, iteration {end}) must come after begin ({self.begin}, iteration "
                f"{begin})."
            )
        return Iterations(begin, end)


def _check_moment(name: str, value: Moment) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, Real)
        or not math.isfinite(value)
        or value < 0
    ):
        raise InputError(
            f"{name} is {value!r}; it must be an iteration (an integer from 0) or a fraction of "
            "the run (a float from 0 to 1)."
        )
    if not isinstance(value, Integral) and value > 1:
        raise InputError(
            f"{name} is {value!r}: a float is a fraction of the run and may not exceed 1; write "
            "an iteration as an integer."
        )


def _to_iteration(name: str, value: Moment, max_iters: int | None) -> int:
    if isinstance(value, Integral):
        return int(value)
    if max_iters is None:
        raise InputError(
            f"{name} is the fraction {value} of the run, but the length of the run is not known: "
            "give an iteration, or train with an MMEngine runner."
        )
    return math.ceil(value * max_iters)
