"""Pixelation, equal to Pillow's ``resize`` with BOX down and NEAREST up to the bit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions.registry import corruption
from mmseg_robust.corruptions.transfer import to_device

FACTORS = (0.6, 0.5, 0.4, 0.3, 0.25)
"""Size of the small image as a share of the large one for severities 1 to 5."""

_BITS = 22
"""Fraction bits of Pillow's 8-bit resampling: 32, less 8 for a sample and 2 for its sums."""


@corruption()
def pixelate(images: Tensor, severity: int) -> Tensor:
    """Means of boxes, each painted over its place, as in ``imagecorruptions`` 1.1.2 with Pillow.

    The means are taken in two passes with rounding to 8 bits after each. A box holds the pixels
    whose centres lie in it, so neighbouring boxes may differ by a pixel in size.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).

    Note:
        Pillow takes columns first, and from release 13 on rows first if their number falls by more
        than twice that of the columns, as it does where H > 2 W. So does this; an older Pillow
        differs there by one grey level in some pixels.
    """
    height, width = images.shape[-2:]
    rows, columns = (int(size * FACTORS[severity - 1]) for size in (height, width))
    if height - rows > 2 * (width - columns):
        small = _shrink(_shrink(images, rows, -2), columns, -1)
    else:
        small = _shrink(_shrink(images, columns, -1), rows, -2)
    device = images.device
    wide = _pick(small, to_device(_nearest(columns, width), device, torch.int64), -1)
    return _pick(wide, to_device(_nearest(rows, height), device, torch.int64), -2)


def _shrink(planes: Tensor, size: int, axis: int) -> Tensor:
    """Means of boxes along an axis.

    Args:
        planes (Tensor): uint8, shape (N, C, H, W).
        size (int): New size along the axis.
        axis (int): -1 or -2.

    Returns:
        Tensor: uint8, of the new size.
    """
    indices, weights = _boxes(planes.shape[axis], size)
    indices = to_device(indices, planes.device, torch.int64)
    weights = to_device(weights, planes.device, torch.int32)
    if axis == -2:
        weights = weights[..., None]
    total = _pick(planes, indices[0], axis).to(torch.int32).mul_(weights[0])
    for index, weight in zip(indices[1:], weights[1:]):
        total.addcmul_(_pick(planes, index, axis).to(torch.int32), weight)
    return total.add_(1 << (_BITS - 1)).bitwise_right_shift_(_BITS).to(torch.uint8)


def _pick(planes: Tensor, index: Tensor, axis: int) -> Tensor:
    """Rows (axis -2) or columns (axis -1) by number."""
    if axis == -2:
        return planes.index_select(-2, index)
    # On a processor faster than index_select, which is made for whole rows.
    return planes.gather(-1, index.expand(*planes.shape[:-1], -1))


@lru_cache(maxsize=256)
def _boxes(size: int, small: int) -> tuple[Tensor, Tensor]:
    """Pillow's BOX filter (``precompute_coeffs`` and ``normalize_coeffs_8bpc`` in its Resample.c).

    Args:
        size (int): Pixels along the axis.
        small (int): Boxes along the axis, fewer.

    Returns:
        tuple[Tensor, Tensor]: Pixels of each box, int64, and their weights with 22 fraction bits,
        int32, shape (largest number of pixels, small); 0 where a box has fewer.
    """
    scale = size / small
    centres = (np.arange(small) + 0.5) * scale
    first = np.maximum((centres - scale / 2 + 0.5).astype(np.int64), 0)
    end = np.minimum((centres + scale / 2 + 0.5).astype(np.int64), size)
    pixels = first + np.arange((end - first).max())[:, None]
    # The filter is 1 for offsets above -1/2 up to and with 1/2, and 0 elsewhere.
    offsets = (pixels - centres + 0.5) * (1 / scale)
    inside = (pixels < end) & (offsets > -0.5) & (offsets <= 0.5)
    weights = (inside / inside.sum(0) * (1 << _BITS) + 0.5).astype(np.int32)
    used = inside.any(1)
    indices = np.minimum(pixels, size - 1)[used]
    return torch.from_numpy(indices), torch.from_numpy(weights[used])


@lru_cache(maxsize=256)
def _nearest(small: int, size: int) -> Tensor:
    """Pillow's NEAREST filter (``ImagingScaleAffine`` in its Geometry.c).

    Pillow adds the step to the coordinate from pixel to pixel, rounding errors included.

    Args:
        small (int): Sources along the axis.
        size (int): Places along the axis.

    Returns:
        Tensor: The source of each place, int64, shape (size,).
    """
    steps = np.full(size, small / size)
    steps[0] /= 2
    return torch.from_numpy(np.add.accumulate(steps).astype(np.int64))
