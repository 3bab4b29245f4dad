"""Prepares CWFA for each training pass of a model's component, which holds no runner."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from mmengine.dist import get_rank
from mmengine.logging import MMLogger, print_log

from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.cwfa import CWFA, NOT_MEASURED
from mmseg_robust.models.feature_augmentation.schedule import ActiveWindow, Iterations, Moment
from mmseg_robust.models.training_iteration import training_iteration, training_length
from mmseg_robust.not_compiled import not_compiled


class TrainingPasses:
    """Advances CWFA before each training pass and logs the norms after the first.

    Under an MMEngine runner the iteration comes from the message hub, so it is right after a
    resume. In a plain training loop it is the number of training passes made so far.

    Args:
        cwfa (CWFA): What to advance.
        names (sequence of str): Names of the stages, for the log.
        begin (int or float): First iteration, or fraction of the run, in which CWFA acts.
        end (int or float, optional): First iteration, or fraction, in which it no longer does.

    Raises:
        InputError: If a moment is invalid.
    """

    def __init__(
        self, cwfa: CWFA, names: Sequence[str], begin: Moment, end: Moment | None = None
    ) -> None:
        self.cwfa = cwfa
        self.names = names
        self.window = ActiveWindow(begin, end)
        self._active: Iterations | None = None
        self._count = 0

    # Outside compiled graphs, because it reads the iteration from Python.
    @not_compiled
    def prepare(self, device: torch.device) -> None:
        """Set what the coming pass draws from. Call once a training pass.

        Args:
            device (torch.device): Device of the features.

        Raises:
            InputError: If the window is given as a fraction and the run's length is not known, or
                the first pass has not reached a stage.
        """
        if self._count == 1:
            log_norms(self.cwfa, self.names, "current")
        in_run = training_iteration()
        iteration = self._count if in_run is None else in_run
        if self._active is None:
            self._active = resolve(self.window, training_length())
        active = self._active.contain(iteration)
        self.cwfa.advance(iteration, get_rank(), active, device, measure=self._count == 0)
        self._count += 1


def resolve(window: ActiveWindow, max_iters: int | None) -> Iterations:
    """The iterations in which CWFA acts, with a warning in the log if there are none.

    Args:
        window (ActiveWindow): When it acts.
        max_iters (int, optional): Length of the run, None if not known.

    Returns:
        Iterations: The window in iterations.

    Raises:
        InputError: If a moment is a fraction and the length is not known.
    """
    active = window.resolve(max_iters)
    if max_iters is not None and active.begin >= max_iters:
        print_log(
            f"CWFA will never act: it begins at iteration {active.begin}, but the run ends after "
            f"{max_iters}. Give a smaller begin, or a fraction such as 0.1.",
            logger="current",
            level=logging.WARNING,
        )
    return active


def log_norms(cwfa: CWFA, names: Sequence[str], logger: MMLogger | str | None) -> None:
    """Log each stage's mean norm of the global average feature beside its epsilon.

    The ratio tells whether epsilon is in scale: at 9 and LayerNorm's outputs (norm of a token about
    the square root of the channels) the paper's shift is of the order of the feature itself.

    Args:
        cwfa (CWFA): After one pass that measured.
        names (sequence of str): Names of the stages.
        logger (MMLogger, str or None): Where to log, as ``mmengine.logging.print_log`` takes it.

    Raises:
        InputError: If the pass has not reached a stage.
    """
    lines = ["CWFA: mean norm of the global average feature (first batch) beside epsilon"]
    for name, norm, epsilon in zip(names, cwfa.mean_norms, cwfa.epsilon):
        if norm == NOT_MEASURED:
            raise InputError(
                f"CWFA: the module {name!r} was not called in the forward pass, so its output "
                "cannot be augmented. Name a module that is called, not a list of modules."
            )
        ratio = f"{epsilon / norm:.2f} times the norm" if norm > 0 else "the norm is not above 0"
        lines.append(f"  {name}: norm {norm:.3g}, epsilon {epsilon:g} ({ratio})")
    print_log("\n".join(lines), logger=logger)
