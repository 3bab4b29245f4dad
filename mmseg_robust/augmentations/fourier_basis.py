"""Waves of the Fourier basis: the augmentation of AFA.

Paper: P. Vaish, S. Wang, N. Strisciuglio, "Fourier-basis Functions to Bridge Augmentation Gap:
Rethinking Frequency Augmentation in Image Classification", CVPR 2024, arXiv 2403.01944. Read in the
official code. For each channel of each image by itself, on an N x N image with white as 1:

    f = k / N, k uniform in 1..N                        frequency in cycles a pixel
    omega = -pi t, t uniform in linspace(0, 1, 448)     direction
    sigma = least + Exp(mean)                           strength
    W(u, v) = sin(2 pi f (u cos omega + v sin omega) - pi / 4)
    x_afa = clamp(x + sigma (N / 32) W / ||W||_2, 0, 1)

with rows u and columns v in linspace(-N / 2, N / 2, N) and the L2 norm over the grid. Hence the
root mean square of what is added is sigma / 32 before the clamp. (A review of the paper shows the
pi / 4 inside the brackets; the code is followed.)

Two things follow for any height H and width W. The grid is symmetric about 0 and W(u, v)^2 +
W(-u, -v)^2 = 1, so the norm is sqrt(H W / 2) whatever the wave, and the amplitude is
sigma sqrt(2) / 32. And the sine of a sum is the sum of two products of a column and a row.

The project's own choices, for rectangular images: the scale sqrt(H W) / 32, which keeps the root
mean square; frequencies k / max(H, W); each axis has its own linspace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.augmentations.checks import check_number
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.transfer import kept_on_device, to_device

DIRECTIONS = 448
"""Directions of a half circle, ends included, as all configs of the official code set it."""
ROOT_MEAN_SQUARE = 1 / 32
"""Of a wave of strength 1; white is 1."""


class Wave(NamedTuple):
    """One channel's wave.

    Args:
        frequency (float): In cycles a pixel, in (0, 1].
        direction (float): omega in radians, in [-pi, 0].
        strength (float): sigma, 0 or more.
    """

    frequency: float
    direction: float
    strength: float


@register
class FourierBasis(BatchAugmentation):
    """Adds a plane wave of random frequency, direction and strength to each channel.

    It resembles the two corruptions of ImageNet-C-bar that are made of sine waves.

    Args:
        mean_strength (float): Mean of the exponential part of sigma, 0 or more. Defaults to 10,
            that of the official command for ImageNet.
        least_strength (float): What is added to it, 0 or more. Defaults to 0, likewise.

    Raises:
        InputError: If a value is out of range.
    """

    resembles = ("single_frequency_greyscale", "cocentric_sine_waves")

    def __init__(self, mean_strength: float = 10.0, least_strength: float = 0.0) -> None:
        self.mean_strength = check_number(mean_strength, "mean_strength", 0)
        self.least_strength = check_number(least_strength, "least_strength", 0)

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        return add_waves(images, self.draw(seeds, *images.shape[2:]))

    def draw(self, seeds: Sequence[int], height: int, width: int) -> list[list[Wave]]:
        """The random part.

        Args:
            seeds (Sequence[int]): One integer an image.
            height (int): Of the images.
            width (int): Of the images.

        Returns:
            list[list[Wave]]: For each image the waves of its three channels.
        """
        fields = RandomFields(seeds, "FourierBasis", torch.device("cpu"))
        drawn = fields.scalars("waves", 9)
        return [
            [self._wave(max(height, width), *own[start : start + 3]) for start in (0, 3, 6)]
            for own in drawn
        ]

    def _wave(self, side: int, frequency: float, direction: float, strength: float) -> Wave:
        """From three uniform numbers in [0, 1)."""
        return Wave(
            (int(frequency * side) + 1) / side,
            -math.pi * int(direction * DIRECTIONS) / (DIRECTIONS - 1),
            self.least_strength - self.mean_strength * math.log1p(-strength),
        )


def add_waves(images: Tensor, waves: Sequence[Sequence[Wave]]) -> Tensor:
    """The pure part.

    Args:
        images (Tensor): float32 in 0..255, shape (N, 3, H, W).
        waves (Sequence[Sequence[Wave]]): For each image the waves of its three channels.

    Returns:
        Tensor: float32 in 0..255, shape (N, 3, H, W).
    """
    numbers = [
        (
            2 * math.pi * wave.frequency * math.cos(wave.direction),
            2 * math.pi * wave.frequency * math.sin(wave.direction),
            255 * wave.strength * ROOT_MEAN_SQUARE * math.sqrt(2),
        )
        for own in waves
        for wave in own
    ]
    table = to_device(numbers, images.device, torch.float64).view(*images.shape[:2], 3, 1)
    height, width = images.shape[2:]
    # Angles in float64: they reach thousands of radians.
    rows = table[:, :, 0] * _places(height, images.device) - math.pi / 4
    columns = table[:, :, 1] * _places(width, images.device)
    amplitude = table[:, :, 2]
    out = torch.addcmul(
        images,
        (rows.sin() * amplitude).to(torch.float32)[..., None],
        columns.cos().to(torch.float32)[..., None, :],
    )
    out.addcmul_(
        (rows.cos() * amplitude).to(torch.float32)[..., None],
        columns.sin().to(torch.float32)[..., None, :],
    )
    return out.clamp_(0, 255)


@lru_cache(maxsize=32)
def _places(size: int, device: torch.device) -> Tensor:
    """``linspace(-size / 2, size / 2, size)``, float64, shape (size,)."""
    # Written out, so that opposite places are opposite numbers to the bit.
    steps = max(size - 1, 1)
    places = [(2 * index - size + 1) / steps * size / 2 for index in range(size)]
    return kept_on_device(places, device, torch.float64)
