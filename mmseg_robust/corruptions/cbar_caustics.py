"""Caustic refraction of ImageNet-C-bar: an image seen through rippled water. See :mod:`.cbar`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions.cbar import (
    ORIGINAL_SIDE,
    between,
    per_image,
    places,
    side,
    strength,
)
from mmseg_robust.corruptions.filters import gaussian_filter
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

TIMES = (0.5, 2.0)
"""Range of the ripples' phase."""
SIZES = (0.75, 1.25)
"""Range of the ripples' period, as a share of the side."""
REFRACTION = 4.0
"""Refractive index."""
STRAIGHT = 0.999
"""Cosine of the angle below which a ray goes straight on."""
RIPPLES, SHIFT, SHARPNESS = 5, 250, 0.005
"""Steps of the ripples, where they start in radians, and how narrow their lines are."""


class Water(NamedTuple):
    """Phase, and period of the ripples in pixels."""

    time: float
    size: float


def _waters(images: Tensor, severity: int, fields: RandomFields) -> tuple[list[Water]]:
    waters = [
        Water(between(*TIMES, time), between(*SIZES, size) * side(images))
        for time, size in fields.scalars("water", 2)
    ]
    return (waters,)


@corruption(draw=_waters)
def caustic_refraction(images: Tensor, severity: int, waters: list[Water]) -> Tensor:
    """The image refracted by ripples of height c, and lit and shaded by their slopes.

    With slopes ``a = c(y + h, x) - c(y - h, x)`` and ``b = c(y, x + h) - c(y, x - h)``, c being 0
    outside the image, the surface has the normal (a, b, 1), at an angle t to the ray. A pixel shows
    ``v(y + D u_y, x + D u_x) + 255 * A * (a - b)`` clipped, v being bilinear and 0 outside, u the
    direction of (a, b), ``D = L * sin(t - asin(sin(t) / 4))``, or 0 if ``cos t >= 0.999``. At the
    original's size h is one pixel; ``L = 0.05 * level * S`` and ``A = 0.2 * level``. The original
    rounds displacements to a thousandth of a pixel, which shows nowhere.

    c is the ripples below, blurred by a Gaussian of one pixel's deviation. With
    ``p = 2 pi frac(place / size) - 250`` along each axis, q = p and s = 0 at first, steps n = 1 to
    5 do, with ``w = time * (1 - 3.5 / n)``,

    ``q_y, q_x = p_y + cos(w - q_y) + sin(w + q_x), p_x + sin(w - q_x) + cos(w + q_y)``,
    ``s += 1 / hypot(0.005 p_y / sin(q_y + w), 0.005 p_x / cos(q_x + w))``,

    and the ripples are ``min(|1.17 - ((1 + s) / 5)^1.4|^8, 1)``. The time is uniform in [0.5, 2),
    the size in [0.75, 1.25) * S. Pixels move; labels are left to the caller.

    Sizes: all lengths scale with S, also the two that the original states in pixels, the blur
    (S / 224 pixels) and h (that, rounded to whole pixels, at least one, and slopes scaled by what
    the rounding changed): slopes, refraction and light then look as in the original.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        waters (list[Water]): One an image.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    unit = side(images) / ORIGINAL_SIDE
    ripples = gaussian_filter(_ripples(images, waters), unit, "reflect")
    down, across = _slopes(ripples, unit)
    shade = down - across
    _refract(down, across, strength("caustic_refraction", severity, 0.5 * side(images)))
    values = _sample(to_float(images), down, across)
    light = 255 * strength("caustic_refraction", severity, 2)
    return to_uint8(values.add_(shade[:, None], alpha=light))


def _ripples(images: Tensor, waters: list[Water]) -> Tensor:
    """Ripples before the blur, float32, (N, H, W)."""
    rows, columns = places(images)
    numbers = [
        [water.size, *(water.time * (1 - 3.5 / step) for step in range(1, RIPPLES + 1))]
        for water in waters
    ]
    size, *times = per_image(numbers, images.device)
    # Whole turns less: near 0 float32 is finer.
    turns = round(SHIFT / (2 * math.pi)) * 2 * math.pi
    start_y, start_x = _angle(rows / size), _angle(columns / size)
    p_y, p_x = start_y.float(), start_x.float()
    y, x = (start_y + turns).float(), (start_x + turns).float()
    base_y, base_x = y, x
    total = images.new_ones((), dtype=torch.float32)
    for time in times:
        t = time.float()
        next_y = (t - y).cos_() + (t + x).sin_()
        x = (t - x).sin_() + (t + y).cos_()
        y = next_y.add_(base_y)
        x.add_(base_x)
        sine, cosine = (y + t).sin_(), (x + t).cos_()
        scale = torch.hypot(cosine * p_y, sine * p_x)
        total = sine.mul_(cosine).abs_().div_(scale).mul_(1 / SHARPNESS).add_(total)
    height = total.div_(5).pow_(1.4).neg_().add_(1.17)
    return height.square_().square_().square_().clamp_(max=1)


def _angle(periods: Tensor) -> Tensor:
    return (periods - periods.floor()) * (2 * math.pi) - SHIFT


def _slopes(ripples: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """Differences down and across over twice the step, float32, (N, H, W) each."""
    step = max(round(unit), 1)
    height, width = ripples.shape[-2:]
    padded = F.pad(ripples, (step, step, step, step))
    down = padded[:, 2 * step :, step : step + width] - padded[:, :height, step : step + width]
    across = padded[:, step : step + height, 2 * step :] - padded[:, step : step + height, :width]
    return down.mul_(unit / step), across.mul_(unit / step)


def _refract(down: Tensor, across: Tensor, reach: float) -> None:
    """Turns slopes into displacements in pixels, in place.

    ``D u`` is the slopes times ``L * cos(t) * (cos o - cos(t) / 4)`` with
    ``sin o = sin(t) / 4``, because their length is tan(t).
    """
    cosine = (down * down).addcmul_(across, across).add_(1).rsqrt_()
    refracted = (cosine * cosine).sub_(1).div_(REFRACTION**2).add_(1).sqrt_()
    factor = refracted.sub_(cosine, alpha=1 / REFRACTION).mul_(cosine).mul_(reach)
    factor.masked_fill_(cosine >= STRAIGHT, 0)
    down.mul_(factor)
    across.mul_(factor)


def _sample(values: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Bilinear samples at displaced places, 0 outside, as ``values``; overwrites the others."""
    height, width = values.shape[-2:]
    rows = torch.arange(height, device=values.device)[:, None]
    columns = torch.arange(width, device=values.device)
    # grid_sample's units: -1 and 1 are the outer edges of the first and last pixel
    down.add_(rows).mul_(2 / height).add_(1 / height - 1)
    across.add_(columns).mul_(2 / width).add_(1 / width - 1)
    grid = torch.stack((across, down), dim=-1)
    return F.grid_sample(values, grid, "bilinear", "zeros", align_corners=False)
