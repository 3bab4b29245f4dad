"""Linear filters with the borders of SciPy and OpenCV, exact in float32 on every device.

Sums of shifted planes: on a processor faster than torch's convolution of one channel, and unlike
cuDNN's never in TF32, which rounds to 10 bits. On CUDA a fused kernel does the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from mmseg_robust.corruptions import kernels
from mmseg_robust.corruptions.transfer import kept_on_device

BORDERS = ("nearest", "reflect", "mirror")
"""How a plane goes on outside, in SciPy's words: ``nearest`` repeats the edge (a a | a b c),
``reflect`` mirrors at the edge's outer side (b a | a b c), ``mirror`` at the edge pixel's centre
(c b | a b c; OpenCV's reflect101)."""


def border_index(start: int, stop: int, size: int, border: str, device: torch.device) -> Tensor:
    """Places inside a row that stand for places outside.

    Args:
        start (int): First place, may be negative.
        stop (int): One past the last place, may exceed ``size``.
        size (int): Length of the row.
        border (str): One of ``BORDERS``.
        device (torch.device): Of the result.

    Returns:
        Tensor: int64 in [0, size), shape (stop - start,).
    """
    index = torch.arange(start, stop, device=device)
    if border == "nearest":
        return index.clamp_(0, size - 1)
    if border == "reflect":
        index = index.remainder_(2 * size)
        return torch.minimum(index, 2 * size - 1 - index)
    period = max(2 * size - 2, 1)
    index = index.remainder_(period)
    return torch.minimum(index, period - index)


def convolve(planes: Tensor, taps: Sequence[float], axis: int, border: str) -> Tensor:
    """Correlates each row or column of a plane with one odd set of taps.

    Args:
        planes (Tensor): float32, shape (..., H, W).
        taps (Sequence[float]): An odd number of weights, the middle one at the pixel itself.
        axis (int): -1 along rows, -2 along columns.
        border (str): One of ``BORDERS``.

    Returns:
        Tensor: A new tensor, float32, shape (..., H, W).
    """
    if kernels.usable(planes.device):
        return kernels.convolve(planes, _weights(tuple(taps), planes.device), axis, border)
    radius, size = len(taps) // 2, planes.shape[axis]
    padded = _pad(planes, -radius, radius, axis, border)
    out = padded.narrow(axis, 0, size) * taps[0]
    for offset, weight in enumerate(taps[1:], start=1):
        out.add_(padded.narrow(axis, offset, size), alpha=weight)
    return out


def gaussian_filter(
    planes: Tensor,
    sigma: float | tuple[float, float],
    border: str = "nearest",
    truncate: float = 4.0,
) -> Tensor:
    """Gaussian blur as SciPy's ``gaussian_filter`` (and scikit-image's ``gaussian``) does it.

    Args:
        planes (Tensor): float32, shape (..., H, W).
        sigma (float | tuple[float, float]): Standard deviation in pixels, one or (rows, columns).
        border (str): One of ``BORDERS``. Defaults to ``'nearest'``.
        truncate (float): Radius of the kernel in standard deviations. Defaults to 4.

    Returns:
        Tensor: A new tensor, float32, shape (..., H, W).
    """
    down, across = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    planes = convolve(planes, gaussian_taps(down, truncate), -2, border)
    return convolve(planes, gaussian_taps(across, truncate), -1, border)


@lru_cache(maxsize=64)
def gaussian_taps(sigma: float, truncate: float = 4.0) -> tuple[float, ...]:
    """Weights of a sampled Gaussian that sum to 1.

    Args:
        sigma (float): Standard deviation in pixels.
        truncate (float): Radius in standard deviations, rounded to pixels. Defaults to 4.

    Returns:
        tuple[float, ...]: 2 * radius + 1 weights.
    """
    radius = int(truncate * sigma + 0.5)
    weights = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(-radius, radius + 1)]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


@lru_cache(maxsize=256)
def _weights(taps: tuple[float, ...], device: torch.device) -> Tensor:
    return kept_on_device(taps, device, torch.float32)


Taps = Sequence[tuple[int, int, float]]
"""Places and weights of a small kernel: (rows down, columns to the right, weight)."""


def correlate(images: Tensor, taps: Sequence[Taps], border: str) -> Tensor:
    """Correlates each image with a small kernel of its own.

    ``out[n, c, y, x] = sum over (dy, dx, w) in taps[n] of w * images[n, c, y + dy, x + dx]``, added
    in the order of the taps.

    Args:
        images (Tensor): uint8 or float32, shape (N, C, H, W).
        taps (Sequence[Taps]): Kernels, one an image, or one for all.
        border (str): One of ``BORDERS``, by row and by column.

    Returns:
        Tensor: A new tensor, float32, shape (N, C, H, W).
    """
    if kernels.usable(images.device):
        return kernels.correlate(images, taps, border)
    out = torch.zeros(images.shape, dtype=torch.float32, device=images.device)
    for index, image in enumerate(images):
        own = taps[index % len(taps)]
        rows, columns = [dy for dy, _, _ in own], [dx for _, dx, _ in own]
        top, left = min(rows), min(columns)
        padded = _pad(image.to(torch.float32), top, max(rows), -2, border)
        padded = _pad(padded, left, max(columns), -1, border)
        for dy, dx, weight in own:
            part = padded.narrow(-2, dy - top, image.shape[-2])
            out[index].add_(part.narrow(-1, dx - left, image.shape[-1]), alpha=weight)
    return out


def _pad(planes: Tensor, before: int, after: int, axis: int, border: str) -> Tensor:
    """Places ``before`` (<= 0) to ``size - 1 + after`` (>= 0) along an axis."""
    size = planes.shape[axis]
    index = border_index(min(before, 0), size + max(after, 0), size, border, planes.device)
    first, lead = max(before, 0), max(-before, 0)
    # The inside is copied: to gather along a row is an order slower on a processor.
    parts = (
        planes.index_select(axis, index[:lead]),
        planes.narrow(axis, first, size - first),
        planes.index_select(axis, index[lead + size :]),
    )
    return torch.cat(parts, axis)
