"""The diamond-square height map of ``imagecorruptions`` 1.1.2, a batch at a time.

One level turns a periodic map of ``n x n`` heights into one of ``2n x 2n``: first the centre of
each square of four heights becomes their mean plus noise, then the middle of each square's side
becomes the mean of the four nearest (two corners, two centres) plus noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.corruptions.random import RandomFields

FIRST_AMPLITUDE = 100.0**2
"""Size of the first level's noise. The reference draws from -100 to 100 and multiplies by 100
again; each level divides the factor, and with it the bounds, by the decay."""


def map_side(height: int, width: int) -> int:
    """Side of the map that covers an image: the next power of two.

    Args:
        height (int): Of the image, at least 3.
        width (int): Of the image, at least 3.

    Returns:
        int: A power of two, at least the larger of both.
    """
    return 1 << (max(height, width) - 1).bit_length()


def draw_levels(side: int, fields: RandomFields, name: str) -> tuple[Tensor, ...]:
    """Random numbers for a map.

    Args:
        side (int): Of the map, a power of two.
        fields (RandomFields): Source of random numbers.
        name (str): Of the field.

    Returns:
        tuple[Tensor, ...]: For the level that starts with n x n heights, n = 1, 2, 4, ...,
        side / 2, uniform numbers in [-1, 1], float32, shape (N, 3, n, n).
    """
    # Two numbers from each 64 bits: making the bits is what takes time on a processor. Level n
    # begins at n**2, so that it is aligned; number 0 is left over.
    bits = fields.bits((side * side // 2,), name).view(torch.int32)
    noise = bits.to(torch.float32).mul_(2.0**-31)
    return tuple(
        noise[:, n * n : 4 * n * n].view(-1, 3, n, n)
        for n in (1 << level for level in range(side.bit_length() - 1))
    )


def plasma_fractal(levels: Sequence[Tensor], decay: float, height: int, width: int) -> Tensor:
    """The top left part of a diamond-square map.

    Args:
        levels (Sequence[Tensor]): Noise in [-1, 1], see :func:`draw_levels`: of centres, of the
            middles of horizontal sides, of the middles of vertical sides.
        decay (float): What each level divides the noise's bounds and factor by.
        height (int): Of the part.
        width (int): Of the part.

    Returns:
        Tensor: float32, shape (N, height, width), scaled so that the lowest and the highest place
        of the whole map are 0 and 1.
    """
    heights = torch.zeros_like(levels[0][:, 0])
    amplitude = FIRST_AMPLITUDE
    for noise in levels:
        # Heights are kept times 4**level: exact in binary, and it saves the divisions by four.
        amplitude *= 4
        heights = _refine(heights, noise, amplitude)
        amplitude /= decay**2
    low, high = torch.aminmax(heights.flatten(1), dim=1)
    low, span = low[:, None, None], (high - low)[:, None, None]
    return (heights[:, :height, :width] - low).div_(span)


def _refine(corners: Tensor, noise: Tensor, amplitude: float) -> Tensor:
    """One level: heights (N, n, n) to four times the heights (N, 2n, 2n)."""
    count, n, _ = corners.shape
    fine = corners.new_empty(count, n, 2, n, 2)
    # Sums over the sides of each square: to the right, and down.
    across = corners + corners.roll(-1, 2)
    down = corners + corners.roll(-1, 1)
    centres = torch.add(down, down.roll(-1, 2)).add_(noise[:, 0], alpha=amplitude)
    across.add_(noise[:, 1], alpha=amplitude)
    down.add_(noise[:, 2], alpha=amplitude)
    torch.mul(corners, 4, out=fine[:, :, 0, :, 0])
    torch.add(across, centres + centres.roll(1, 1), alpha=0.25, out=fine[:, :, 0, :, 1])
    torch.add(down, centres + centres.roll(1, 2), alpha=0.25, out=fine[:, :, 1, :, 0])
    fine[:, :, 1, :, 1] = centres
    return fine.view(count, 2 * n, 2 * n)
