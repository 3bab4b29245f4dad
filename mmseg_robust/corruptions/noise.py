"""The four noises of ``imagecorruptions`` 1.1.2; each channel of each pixel draws by itself."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption
from mmseg_robust.corruptions.transfer import kept_on_device

GAUSSIAN_SCALES = (0.08, 0.12, 0.18, 0.26, 0.38)
"""Standard deviation for severities 1 to 5; white is 1."""
SPECKLE_SCALES = (0.15, 0.2, 0.35, 0.45, 0.6)
"""Standard deviation as a share of the value."""
PHOTONS = (60, 25, 12, 5, 3)
"""Mean count that stands for white."""
IMPULSE_AMOUNTS = (0.03, 0.06, 0.09, 0.17, 0.27)
"""Share of values that become black or white."""


def _normal(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor]:
    return (fields.normal(images.shape[1:], "noise"),)


def _impulses(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor, Tensor]:
    bits = fields.bits(images.shape[1:], "noise")
    # 31 bits for whether, one for which.
    threshold = round(IMPULSE_AMOUNTS[severity - 1] * 2**31)
    return (bits >> 33).bitwise_and_(2**31 - 1) < threshold, (bits & 1).to(torch.bool)


def _counts(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor]:
    """Poisson numbers by inversion.

    The mean takes 256 values, so thresholds of all of them lie in one sorted table: grey level
    ``v`` in the upper eight bits, the distribution function in the lower 24. One search gives the
    count.
    """
    table, starts = _poisson_table(PHOTONS[severity - 1], images.device)
    uniform = fields.bits(images.shape[1:], "noise").bitwise_right_shift_(40).bitwise_and_(0xFFFFFF)
    level = images.to(torch.int32)
    query = ((level - 128) << 24) + uniform.to(torch.int32)
    place = torch.searchsorted(table, query, right=True, out_int32=True)
    return (place - starts[level],)


@lru_cache(maxsize=16)
def _poisson_table(photons: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Thresholds of all grey levels in one sorted row, and where each level's begin."""
    rows, starts, size = [], [], 0
    for level in range(256):
        mean = photons * level / 255
        thresholds, term, total, count = [], math.exp(-mean), 0.0, 0
        while True:
            total += term
            # Numbers at or above the last threshold would be rarer than one in 2**24.
            threshold = round(total * 2**24)
            if threshold >= 2**24:
                break
            thresholds.append(((level - 128) << 24) + threshold)
            count += 1
            term *= mean / count
        rows += thresholds
        starts.append(size)
        size += len(thresholds)
    return kept_on_device(rows, device, torch.int32), kept_on_device(starts, device, torch.int32)


@corruption(draw=_normal)
def gaussian_noise(images: Tensor, severity: int, normal: Tensor) -> Tensor:
    """``x + scale * n``.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        normal (Tensor): Standard normal n, float, shape (N, 3, H, W).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    scale = 255 * GAUSSIAN_SCALES[severity - 1]
    return to_uint8(to_float(images).add_(normal, alpha=scale))


@corruption(draw=_counts)
def shot_noise(images: Tensor, severity: int, counts: Tensor) -> Tensor:
    """``Poisson(x * photons) / photons``.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        counts (Tensor): Poisson numbers of mean x * photons with white as 1, shape (N, 3, H, W).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    return to_uint8(counts.to(torch.float32).mul_(255 / PHOTONS[severity - 1]))


@corruption(draw=_impulses)
def impulse_noise(images: Tensor, severity: int, hit: Tensor, salt: Tensor) -> Tensor:
    """Black or white in place of the value where ``hit``.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5; acts through ``hit``.
        hit (Tensor): Whether a value is replaced, bool, shape (N, 3, H, W).
        salt (Tensor): Whether by white, bool, shape (N, 3, H, W).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    return torch.where(hit, salt.to(torch.uint8).mul_(255), images)


@corruption(draw=_normal)
def speckle_noise(images: Tensor, severity: int, normal: Tensor) -> Tensor:
    """``x + x * scale * n``.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        normal (Tensor): Standard normal n, float, shape (N, 3, H, W).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    values = to_float(images)
    return to_uint8(values.addcmul_(values, normal, value=SPECKLE_SCALES[severity - 1]))
