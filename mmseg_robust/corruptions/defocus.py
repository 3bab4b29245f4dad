"""Defocus blur of ``imagecorruptions`` 1.1.2, fixed in pixels."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions import kernels
from mmseg_robust.corruptions.filters import (
    Taps,
    border_index,
    convolve,
    correlate,
    gaussian_taps,
)
from mmseg_robust.corruptions.pixels import to_uint8
from mmseg_robust.corruptions.registry import corruption

DEFOCUS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
"""(radius of the disk, standard deviation of its soft edge) in pixels, for severities 1 to 5."""


@corruption()
def defocus_blur(images: Tensor, severity: int) -> Tensor:
    """Convolution with a disk of soft edge; the image is mirrored at its edge pixels.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    radius, soft = DEFOCUS[severity - 1]
    if kernels.usable(images.device):
        return to_uint8(correlate(images, [disk_taps(radius, soft)], "mirror"))
    return to_uint8(_by_running_sums(images, radius, soft))


def _by_running_sums(images: Tensor, radius: int, soft: float) -> Tensor:
    """The disk row by row as differences of running sums, then its soft edge; float32.

    A hundred slices instead of the 417 of the largest kernel. The sums are exact integers.
    """
    reach = _reach(radius)
    height, width = images.shape[-2:]
    tall, wide = height + 2 * reach, width + 2 * reach
    margin = radius + reach
    rows = border_index(-margin, height + margin, height, "mirror", images.device)
    columns = border_index(-margin - 1, width + margin, width, "mirror", images.device)
    padded = images.index_select(-2, rows).index_select(-1, columns).to(torch.int32)
    running = padded.cumsum(-1, dtype=torch.int32)
    total = torch.zeros(*images.shape[:2], tall, wide, dtype=torch.int32, device=images.device)
    area = 0
    for dy in range(-radius, radius + 1):
        half = math.isqrt(radius**2 - dy**2)
        row = running.narrow(-2, radius + dy, tall)
        total += row.narrow(-1, radius + 1 + half, wide)
        total -= row.narrow(-1, radius - half, wide)
        area += 2 * half + 1
    taps = gaussian_taps(soft, truncate=reach / soft)
    blurred = total.to(torch.float32).div_(area)
    for axis in (-2, -1):
        blurred = convolve(blurred, taps, axis, "nearest")
    blurred = blurred[..., reach:-reach, reach:-reach]
    rest = _mirrored_part(radius, soft)
    return blurred + correlate(images, [rest], "mirror") if rest else blurred.contiguous()


def _reach(radius: int) -> int:
    """Radius of the taps that soften the disk."""
    return 1 if radius <= 8 else 2


def _soft_disk(
    disk: np.ndarray, soft: float, reach: int, outside: Literal["constant", "reflect"]
) -> np.ndarray:
    """A disk blurred along both axes, with the grid continued as ``numpy.pad`` names it."""
    taps = gaussian_taps(soft, truncate=reach / soft)
    for axis in (0, 1):
        margin = [(reach, reach) if axis == other else (0, 0) for other in (0, 1)]
        padded = np.pad(disk, margin, mode=outside)
        places = range(disk.shape[axis])
        parts = [
            weight * padded.take([place + offset for place in places], axis)
            for offset, weight in enumerate(taps)
        ]
        disk = np.sum(parts, axis=0)
    return disk


def _disk(radius: int, half: int) -> np.ndarray:
    """A hard disk that sums to 1 in a grid of ``2 * half + 1`` pixels a side."""
    place = np.arange(-half, half + 1)
    disk = (place[:, None] ** 2 + place[None] ** 2 <= radius**2).astype(np.float64)
    return disk / disk.sum()


def _taps(weights: np.ndarray) -> Taps:
    half = weights.shape[0] // 2
    rows, columns = np.nonzero(abs(weights) > 1e-9)
    return [
        (int(row) - half, int(column) - half, float(weights[row, column]))
        for row, column in zip(rows, columns)
    ]


@lru_cache(maxsize=8)
def disk_taps(radius: int, soft: float) -> Taps:
    """The kernel of defocus blur.

    A disk in a grid of 17x17 pixels, or one that just holds it if its radius exceeds 8, blurred
    with 3x3 taps (5x5 above radius 8). The grid is mirrored at its edge as OpenCV does by default,
    so the weight of a disk that touches the edge (radius 8 and 10) grows by up to 1.3 %: the
    reference's picture is that much brighter, and so is ours.

    Args:
        radius (int): In pixels.
        soft (float): Standard deviation of the blur in pixels.

    Returns:
        Taps: Weights above 1e-9.
    """
    return _taps(_soft_disk(_disk(radius, max(8, radius)), soft, _reach(radius), "reflect"))


@lru_cache(maxsize=8)
def _mirrored_part(radius: int, soft: float) -> Taps:
    """The kernel less a disk that is softened without a grid's edge."""
    reach = _reach(radius)
    half = max(8, radius)
    free = _soft_disk(_disk(radius, half + reach), soft, reach, "constant")
    kernel = np.pad(_soft_disk(_disk(radius, half), soft, reach, "reflect"), reach)
    return _taps(kernel - free)
