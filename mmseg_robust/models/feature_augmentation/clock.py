"""Reads the training iteration for components of a model, which hold no runner."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from mmengine.dist import get_rank
from mmengine.logging import MessageHub

from mmseg_robust.models.feature_augmentation.schedule import ActiveWindow, Moment


@dataclass(frozen=True)
class Tick:
    """What one training pass needs to know.

    Attributes:
        iteration (int): Number of the training iteration, from 0.
        rank (int): Rank of this process.
        active (bool): Whether the iteration lies in the window.
    """

    iteration: int
    rank: int
    active: bool


class TrainingClock:
    """Tells the iteration and whether it lies in a window.

    Under an MMEngine runner the iteration comes from the message hub, so it is right after a
    resume. In a plain training loop it is the number of training passes made so far.

    Args:
        begin (int or float): First iteration, or fraction of the run.
        end (int or float, optional): First iteration outside again. Default: None.

    Raises:
        InputError: If a moment is invalid.
    """

    def __init__(self, begin: Moment, end: Moment | None = None) -> None:
        self.window = ActiveWindow(begin, end)
        self._resolved: tuple[int, int | None] | None = None
        self._passes = 0

    def read(self) -> Tick:
        """The state of the coming pass. Call once a training pass.

        Raises:
            InputError: If the window is given as a fraction and the run's length is not known.
        """
        hub = MessageHub.get_current_instance()
        in_run = hub.get_info("loop_stage") is not None
        iteration = hub.get_info("iter") if in_run else self._passes
        self._passes += 1
        if self._resolved is None:
            max_iters = hub.get_info("max_iters") if in_run else None
            self._resolved = self.window.resolve(max_iters)
            warn_if_never(self._resolved[0], max_iters)
        begin, end = self._resolved
        return Tick(iteration, get_rank(), iteration >= begin and (end is None or iteration < end))


def warn_if_never(begin: int, max_iters: int | None) -> None:
    """Warn when CWFA begins after the last iteration of the run.

    Args:
        begin (int): First iteration in which it acts.
        max_iters (int, optional): Length of the run, None if not known.
    """
    if max_iters is not None and begin >= max_iters:
        warnings.warn(
            f"CWFA will never act: it begins at iteration {begin}, but the run ends after "
            f"{max_iters}. Give a smaller begin, or a fraction such as 0.1.",
            stacklevel=3,
        )
