"""Gaussian, motion and zoom blur of ``imagecorruptions`` 1.1.2.

Kernels are fixed in pixels, zoom blur is relative to the image. Zoom blur moves pixels; labels are
left alone, as everybody does.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions import kernels
from mmseg_robust.corruptions.filters import correlate, gaussian_filter
from mmseg_robust.corruptions.motion import motion_taps
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

GAUSSIAN_SIGMAS = (1.0, 2.0, 3.0, 4.0, 6.0)
"""Standard deviation in pixels for severities 1 to 5."""
MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
"""(radius, standard deviation of the one-sided Gaussian), in pixels."""
MOTION_ANGLE = 45.0
"""Largest angle to the horizontal in degrees."""
ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
"""(end, step) of the zoom factors, which begin at 1."""


@corruption()
def gaussian_blur(images: Tensor, severity: int) -> Tensor:
    """Convolution with a Gaussian, cut off at four standard deviations; edges are repeated.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    return to_uint8(gaussian_filter(to_float(images), GAUSSIAN_SIGMAS[severity - 1]))


def _angles(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[float]]:
    return ([(2 * u - 1) * MOTION_ANGLE for (u,) in fields.scalars("angle")],)


@corruption(draw=_angles)
def motion_blur(images: Tensor, severity: int, angles: list[float]) -> Tensor:
    """Mean over a path along ``angle``, weighted by one half of a Gaussian; edges are repeated.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        angles (list[float]): Directions in degrees from the horizontal, one an image, within 45.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    radius, sigma = MOTION[severity - 1]
    size = images.shape[-2:]
    taps = [motion_taps(radius, sigma, angle, *size) for angle in angles]
    return to_uint8(correlate(images, taps, "nearest"))


@corruption()
def zoom_blur(images: Tensor, severity: int) -> Tensor:
    """Mean of the image and of its zooms, the image itself being one of them.

    A zoom by ``z`` enlarges the central ``ceil(H / z)`` rows and ``ceil(W / z)`` columns bilinearly
    to ``round(z * ceil(H / z))`` and so on, corners upon corners. What exceeds the image is cut off
    at the bottom and right, as the reference does (ImageNet-C cuts evenly), so the zooms are off
    centre by up to a pixel.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    factors = zoom_factors(severity)
    if kernels.usable(images.device):
        return kernels.zoom_blur(images, [zoom_geometry(f, *images.shape[-2:]) for f in factors])
    # Each plane as an image of one channel: of three, torch interpolates in another order, with
    # other roundings, where it has one thread.
    values = to_float(images).flatten(0, 1)[:, None]
    total = values.clone()
    height, width = values.shape[-2:]
    for factor in factors:
        top, left, rows, columns, size = zoom_geometry(factor, height, width)
        crop = values[..., top : top + rows, left : left + columns]
        zoomed = F.interpolate(crop, size=size, mode="bilinear", align_corners=True)
        total += zoomed[..., :height, :width]
    return to_uint8(total.div_(len(factors) + 1)).view(images.shape)


@lru_cache(maxsize=8)
def zoom_factors(severity: int) -> tuple[float, ...]:
    """Zoom factors of a severity, from 1 on.

    Args:
        severity (int): 1 to 5.

    Returns:
        tuple[float, ...]: Factors, each larger than the one before.
    """
    end, step = ZOOM[severity - 1]
    return tuple(np.arange(1, end, step).tolist())


def zoom_geometry(
    factor: float, height: int, width: int
) -> tuple[int, int, int, int, tuple[int, int]]:
    """What of an image is enlarged to what size.

    Args:
        factor (float): Zoom factor, at least 1.
        height (int): Rows of the image.
        width (int): Columns of the image.

    Returns:
        tuple[int, int, int, int, tuple[int, int]]: First row and column of the centre, its rows and
        columns, and the (height, width) of the zoom.
    """
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    size = round(rows * factor), round(columns * factor)
    return (height - rows) // 2, (width - columns) // 2, rows, columns, size
