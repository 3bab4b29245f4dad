"""Which corruption and severity an image gets, and whether it gets one, in training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real

from mmseg_robust.corruptions.checks import check_name, check_severity
from mmseg_robust.corruptions.names import ALL_NAMES, MAX_SEVERITY, NAMES
from mmseg_robust.corruptions.protocols import CLEAN, Cell
from mmseg_robust.corruptions.random import hash_parts, splitmix64
from mmseg_robust.errors import InputError


class CellChoice:
    """Draws cells: each name with the same probability, and so each severity.

    Args:
        corruptions (str | Sequence[str], optional): A name, or several to draw from. Defaults to
            None, the 19 common corruptions.
        severities (int | Sequence[int]): A severity, or several to draw from. Defaults to 1 to 5.
        prob (float): Probability that an image is corrupted, in [0, 1]. Defaults to 1.
        holdout (str | Sequence[str]): Names to leave out, so that a test on them is one on unseen
            corruptions. Defaults to none.

    Raises:
        InputError: If a name or severity is unknown, ``prob`` is out of range, or nothing is left
            to draw from.
    """

    def __init__(
        self,
        corruptions: str | Sequence[str] | None = None,
        severities: int | Sequence[int] = tuple(range(1, MAX_SEVERITY + 1)),
        prob: float = 1.0,
        holdout: str | Sequence[str] = (),
    ) -> None:
        held_out = [check_name(name, ALL_NAMES) for name in _listed(holdout)]
        wanted = NAMES if corruptions is None else _listed(corruptions)
        checked = [check_name(name, ALL_NAMES) for name in wanted]
        self.names = tuple(name for name in checked if name not in held_out)
        listed = severities if isinstance(severities, Sequence) else [severities]
        self.severities = tuple(check_severity(severity) for severity in listed)
        if not self.names:
            raise InputError("No corruption to draw from: give names that 'holdout' does not hold.")
        if not self.severities:
            raise InputError("No severity to draw from: give one or more from 1 to 5.")
        if isinstance(prob, bool) or not isinstance(prob, Real) or not 0 <= prob <= 1:
            raise InputError(f"prob is {prob!r}; it must be a number from 0 to 1.")
        self.prob: float = float(prob)

    @property
    def never_acts(self) -> bool:
        """Whether no image is ever corrupted."""
        return self.prob == 0

    def draw(self, key: int) -> Cell:
        """Draws a cell.

        Args:
            key (int): All that the draw depends on. It may also be the seed of the image's pixels,
                which are drawn from other hashes of it.

        Returns:
            Cell: A corruption and its severity; ``CLEAN`` for an image that stays as it is.
        """
        state = hash_parts(key, "cell")
        acts, name, severity = ((splitmix64(state, index) >> 11) * 2.0**-53 for index in range(3))
        strength = self.severities[int(severity * len(self.severities))]
        if acts >= self.prob or strength == 0:
            return CLEAN
        return Cell(self.names[int(name * len(self.names))], strength)

    def __repr__(self) -> str:
        return (
            f"CellChoice(corruptions={list(self.names)}, severities={list(self.severities)}, "
            f"prob={self.prob})"
        )


def _listed(names: str | Sequence[str]) -> list[str]:
    if isinstance(names, str):
        return [names]
    if not isinstance(names, Iterable):
        raise InputError(f"Corruptions must be a name or a list of names, got {names!r}.")
    return list(names)
