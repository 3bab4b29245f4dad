"""When masks change, and by how much. Time is counted in optimizer updates that took place."""

from __future__ import annotations

import math

from torch import Tensor

from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.schedule import ActiveWindow, Moment


class UpdateSchedule:
    """Mask updates after every ``interval`` optimizer updates, up to ``end``.

    Args:
        interval (int): Delta-T, optimizer updates between two mask updates.
        drop_fraction (float): zeta_0, fraction of a layer's active weights that the first updates
            drop.
        end (int): T_end, the optimizer update after which masks stay as they are.

    Raises:
        InputError: If no mask update fits.
    """

    def __init__(self, interval: int, drop_fraction: float, end: int) -> None:
        if interval > end:
            raise InputError(
                f"interval={interval} is longer than the part of the run in which masks change, "
                f"{end} optimizer updates: shorten it, or use method='static'"
            )
        self.interval = interval
        self.drop_fraction = drop_fraction
        self.end = end
        self.last = end // interval * interval

    def next_after(self, updates: int) -> int | None:
        """The next optimizer update that is followed by a mask update.

        Args:
            updates (int): Optimizer updates that have taken place.

        Returns:
            int or None: None if there is no more.
        """
        due = (updates // self.interval + 1) * self.interval
        return due if due <= self.last else None

    def fraction(self, update: int) -> float:
        """zeta_t = zeta_0 / 2 * (1 + cos(pi t / T_end)), RigL's schedule (paper and code, read)."""
        return self.drop_fraction * self._cosine(update)

    def surplus(self, update: int) -> float:
        """The part of MEST's surplus that is left: the same cosine, and 0 from the last update on.

        MEST's code lowers it by stages; the cosine is the project's own choice.
        """
        return self._cosine(update) if update < self.last else 0.0

    def pruned(self, update: int) -> float:
        """GraNet's cubic progress 1 - (1 - t / T)^3 from the initial to the final sparsity.

        The cube is that of GraNet's code (read). There the pruning ends at 110 of 160 epochs
        (CIFAR) or 30 of 100 (ImageNet); that it ends with the last mask update here is the
        project's own choice.
        """
        return 1 - (1 - min(1.0, update / self.last)) ** 3

    def _cosine(self, update: int) -> float:
        return (1 + math.cos(math.pi * min(1.0, update / self.end))) / 2


def resolve_schedule(
    interval: int, drop_fraction: float, end: Moment, iterations: int, accumulation: int
) -> UpdateSchedule:
    """The schedule of a run.

    Args:
        interval (int): Optimizer updates between two mask updates.
        drop_fraction (float): First fraction that is dropped.
        end (int or float): Optimizer update, or fraction of the run, after which masks stay.
        iterations (int): Length of the run in iterations (micro-batches).
        accumulation (int): Iterations whose gradients one optimizer update takes.

    Returns:
        UpdateSchedule: In optimizer updates.

    Raises:
        InputError: If the end lies after the end of the run, or no mask update fits.
    """
    updates = math.ceil(iterations / accumulation)
    last = ActiveWindow(0, end).resolve(updates).end
    assert last is not None
    if last > updates:
        raise InputError(
            f"end={end} lies after the last of the run's {updates} optimizer updates: give an "
            "earlier one, or a fraction of the run such as 0.75"
        )
    return UpdateSchedule(interval, drop_fraction, last)


class UpdateCounter:
    """Counts the optimizer updates that took place, without waiting for the device.

    A fused optimizer is called under a loss scaler in every case and decides on the device, from
    ``found_inf``, whether it leaves all as it is. Such steps are counted on the device too, and are
    read when the answer may depend on them, which is about once a mask update.

    Args:
        updates (int): Updates that took place before, in the run that is resumed.
    """

    def __init__(self, updates: int = 0) -> None:
        self._at_most = updates
        self._skipped: Tensor | None = None

    def add(self, found_inf: Tensor | None) -> None:
        """Count a call of the optimizer's step.

        Args:
            found_inf (Tensor, optional): Shape (), above 0 if the step left all as it was. None for
                an optimizer that is not called then.
        """
        self._at_most += 1
        if found_inf is not None:
            skipped = found_inf > 0
            self._skipped = skipped.long() if self._skipped is None else self._skipped + skipped

    def reached(self, update: int) -> bool:
        """Whether so many updates took place; at the first call that says so, just now."""
        return self._at_most >= update and self.value() >= update

    def value(self) -> int:
        """Updates that took place. Waits for the device if a step may have been skipped."""
        if self._skipped is not None:
            self._at_most -= int(self._skipped.item())
            self._skipped = None
        return self._at_most
