"""A grid of single frequencies as a protocol: the cells of a Fourier heat map.

Paper and noise: :mod:`mmseg_robust.corruptions.fourier_noise`. A real wave and its mirror, at the
opposite frequency, are one: half the grid is tested, the other half is its mirror image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from mmseg_robust.corruptions.fourier_noise import (
    FAMILY,
    NYQUIST,
    Frequency,
    check_strength,
    noise_name,
)
from mmseg_robust.corruptions.protocols import AFTER_CROP, GENERATED, NATIVE, Cell, Protocol
from mmseg_robust.errors import InputError

SIZE = 15
STRENGTH = 0.07
VERSION = 1
"""Raised whenever the noise or the cells of a grid change."""

_NAME = re.compile(
    rf"{FAMILY}-(\d+)x(\d+)(?:-to(\d*\.?\d+))?(?:-rms(\d*\.?\d+))?(-cropped)?", re.ASCII
)


@dataclass(frozen=True)
class FourierGrid:
    """Frequencies in equal steps from ``-greatest`` to ``greatest``, down and across.

    The whole spectrum of 32 x 32 images is ``FourierGrid(33, 0.5, 0.125)``, the lowest 63 x 63
    frequencies of 224 x 224 images, which the paper shows (read in the code of others),
    ``FourierGrid(63, 31 / 224)``.

    Args:
        size (int): Frequencies a side, n: odd, so that 0 is one of them, and at least 3. The
            project's own default is 15: 113 cells, the cost of a few common protocols.
        greatest (float): Greatest frequency in cycles a pixel, above 0 to 0.5. Six digits count.
            Defaults to 0.5, the whole spectrum.
        strength (float): Root mean square of the noise in a channel, white is 1, from 1 / 255 to 1.
            Six digits count. Defaults to 0.07, the paper's 15.7 on ImageNet at 224 x 224. (Its 4 on
            CIFAR is 0.125: strong for photographs, whose neighbouring pixels differ less.)
        acts (str): Where the noise acts, as ``Protocol.acts``. Defaults to ``'native'``.

    Raises:
        InputError: If a value is out of range.
    """

    size: int = SIZE
    greatest: float = NYQUIST
    strength: float = STRENGTH
    acts: str = NATIVE

    def __post_init__(self) -> None:
        whole = isinstance(self.size, Integral) and not isinstance(self.size, bool)
        if not whole or self.size < 3 or self.size % 2 == 0:
            raise InputError(
                "The size of the grid of frequencies must be an odd number from 3, so that 0 lies "
                f"in its centre, got {self.size!r}."
            )
        if not 0.001 <= self.greatest <= NYQUIST:
            raise InputError(
                "The greatest frequency must be above 0 (at least 0.001) and at most "
                f"{NYQUIST} cycles a pixel, got {self.greatest!r}."
            )
        check_strength(self.strength)
        for field in ("greatest", "strength"):  # as the name states them
            object.__setattr__(self, field, float(f"{getattr(self, field):.6g}"))

    @classmethod
    def from_name(cls, name: str) -> FourierGrid:
        """The grid of a protocol's name.

        Args:
            name (str): See :attr:`name`; ``-to``, ``-rms`` and ``-cropped`` may be left out.

        Raises:
            InputError: If it is of another form.
        """
        found = _NAME.fullmatch(name)
        if found is None or found[1] != found[2]:
            raise InputError(
                f"Unknown protocol {name!r}: grids of frequencies are called like "
                f"{cls().name!r}, or 'fourier-9x9' for these values, and end in '-cropped' where "
                "they act after resize and crop."
            )
        return cls(
            int(found[1]),
            float(found[3] or NYQUIST),
            float(found[4] or STRENGTH),
            AFTER_CROP if found[5] else NATIVE,
        )

    @property
    def name(self) -> str:
        """Name of the protocol, which states all that decides it."""
        end = "-cropped" if self.acts == AFTER_CROP else ""
        shape = f"{self.size}x{self.size}"
        return f"{FAMILY}-{shape}-to{self.greatest:.6g}-rms{self.strength:.6g}{end}"

    @property
    def frequencies(self) -> tuple[float, ...]:
        """The n frequencies of a side in cycles a pixel, ascending, 0 in the middle."""
        half = self.size // 2
        exact = (self.greatest * step / half for step in range(-half, half + 1))
        return tuple(float(f"{value:.6g}") for value in exact)

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Row and column in the grid of each cell: the middle row from 0 on, the rows below it."""
        half = self.size // 2
        middle = [(half, column) for column in range(half, self.size)]
        below = [(row, column) for row in range(half + 1, self.size) for column in range(self.size)]
        return (*middle, *below)

    def protocol(self) -> Protocol:
        """The protocol: ``(n**2 + 1) / 2`` cells, in the order of :attr:`places`."""
        values = self.frequencies
        names = tuple(
            noise_name(Frequency(values[row], values[column]), self.strength)
            for row, column in self.places
        )
        return Protocol(
            name=self.name,
            version=VERSION,
            cells=tuple(Cell(name, 1) for name in names),
            groups={FAMILY: names},
            source="Noise of one frequency at a time, for a Fourier heat map: Yin et al. (NeurIPS "
            "2019, arXiv 1906.08988). The step of the grid and the strength are the project's own.",
            acts=self.acts,
        )

    def mirrored(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """The whole grid from its half.

        Args:
            values (Sequence[float] | np.ndarray): A value a cell, in the order of :attr:`places`.

        Returns:
            np.ndarray: float64, shape (n, n): frequencies down by frequencies across, both
            ascending, 0 in the centre.
        """
        grid = np.empty((self.size, self.size))
        for (row, column), value in zip(self.places, values):
            grid[row, column] = grid[-1 - row, -1 - column] = value
        return grid


def _protocol(name: str) -> Protocol:
    return FourierGrid.from_name(name).protocol()


GENERATED[FAMILY] = _protocol
