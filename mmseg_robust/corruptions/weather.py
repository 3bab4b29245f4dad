"""Snow, frost and fog of ``imagecorruptions`` 1.1.2."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions.filters import correlate
from mmseg_robust.corruptions.frost import TEXTURES, scaled_size, scaled_texture
from mmseg_robust.corruptions.motion import motion_taps
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.plasma import draw_levels, map_side, plasma_fractal
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

SNOW = (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
"""Mean and deviation of the flakes' noise, its magnification, the threshold, radius and sigma of
the motion, and the picture's own share, for severities 1 to 5."""
FROST = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))
"""Weights of picture and texture."""
FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))
"""Fog's strength where white is 1, and what each level of its height map divides the noise by."""
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in OpenCV's grey."""


def _draw_flakes(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor, list[float]]:
    zoom = SNOW[severity - 1][2]
    size = [math.ceil(side / zoom) for side in images.shape[-2:]]
    angles = [-135 + 90 * u for (u,) in fields.scalars("angle")]
    return fields.normal(size, "flakes"), angles


def _draw_crops(
    images: Tensor, severity: int, fields: RandomFields
) -> tuple[list[tuple[int, int, int]]]:
    height, width = images.shape[-2:]
    crops = []
    for which, down, right in fields.scalars("crop", 3):
        index = int(which * len(TEXTURES))
        rows, columns = scaled_size(index, height, width)
        crops.append((index, int(down * (rows - height)), int(right * (columns - width))))
    return (crops,)


def _draw_heights(images: Tensor, severity: int, fields: RandomFields) -> tuple[tuple[Tensor, ...]]:
    return (draw_levels(map_side(*images.shape[-2:]), fields, "heights"),)


@corruption(draw=_draw_flakes)
def snow(images: Tensor, severity: int, normal: Tensor, angles: Sequence[float]) -> Tensor:
    """Motion-blurred flakes, and the same turned by 180 degrees, over a paler picture.

    ``s = mean + deviation * n``, magnified bilinearly, 0 below the threshold, at most 1, blurred by
    :func:`motion_taps`, rounded to grey levels; ``x = max(x, share * x + (1 - share) *
    (1.5 * grey + 0.5))``, and ``x + s + rot180(s)``.

    The reference draws noise for the whole image and uses its centre; here that is all there is.
    Its magnified layer may exceed the image by some pixels: they are there while it is blurred, and
    are then cut off at the bottom and at the right, as there.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        normal (Tensor): Standard normal n, float32, shape (N, ceil(H / zoom), ceil(W / zoom)).
        angles (Sequence[float]): Direction of the motion in degrees, -135 to -45, one an image.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    mean, deviation, zoom, threshold, radius, sigma, share = SNOW[severity - 1]
    height, width = images.shape[-2:]
    rows, columns = (round(side * zoom) for side in normal.shape[-2:])
    flakes = _magnified(normal * deviation + mean, columns, -1)
    flakes = F.threshold(_magnified(flakes, rows, -2), threshold, 0.0).clamp_(max=1)
    taps = [motion_taps(int(radius), sigma, angle, rows, columns) for angle in angles]
    layer = correlate(flakes[:, None], taps, "nearest")[..., :height, :width].mul(255).round_()

    values = to_float(images)
    white = values[:, :1] * (1.5 * GREY[0])
    for channel in (1, 2):
        white.add_(values[:, channel : channel + 1], alpha=1.5 * GREY[channel])
    paler = torch.lerp(values, white.add_(127.5), 1 - share)
    torch.maximum(values, paler, out=values)
    return to_uint8(values.add_(layer + layer.flip(-2, -1)))


def _magnified(planes: Tensor, size: int, axis: int) -> Tensor:
    """Bilinear interpolation to ``size``, ends upon ends, as SciPy's ``zoom`` of order 1.

    torch's own computes places in float32: a value near the threshold may land on its other side,
    and that is a flake more or less.
    """
    last = planes.shape[axis] - 1
    place = torch.arange(size, dtype=torch.float64, device=planes.device).mul_(last / (size - 1))
    before = place.to(torch.int64).clamp_(max=last - 1)
    share = place.sub_(before).to(torch.float32)
    after = planes.index_select(axis, before + 1)
    return planes.index_select(axis, before).lerp_(after, share if axis == -1 else share[:, None])


@corruption(draw=_draw_crops)
def frost(images: Tensor, severity: int, crops: Sequence[tuple[int, int, int]]) -> Tensor:
    """``a * x + b * texture``, a random part of one of five photographs of frost.

    The textures are scaled to cover the image, so that frost is coarser on larger images.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        crops (Sequence[tuple[int, int, int]]): Texture, first row and first column of the part in
            the scaled texture, one an image.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).

    Raises:
        InputError: If a texture, a file of the package ``imagecorruptions``, is missing.
    """
    picture, texture = FROST[severity - 1]
    height, width = images.shape[-2:]
    parts = []
    for index, top, left in crops:
        scaled = scaled_texture(index, height, width, images.device)
        parts.append(scaled[:, top : top + height, left : left + width])
    return to_uint8(to_float(images).mul_(picture).add_(torch.stack(parts), alpha=texture))


@corruption(draw=_draw_heights)
def fog(images: Tensor, severity: int, levels: Sequence[Tensor]) -> Tensor:
    """``(x + strength * h) * top / (top + strength)`` with a fractal h in [0, 1].

    ``top`` is the image's largest value, h the top left part of a diamond-square map whose side is
    the next power of two (:mod:`plasma`), so that fog is coarser on larger images.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        levels (Sequence[Tensor]): Noise of the map's levels, uniform in [-1, 1], float32, shapes
            (N, 3, n, n) with n = 1, 2, 4, ... half the map's side.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    strength, decay = FOG[severity - 1]
    strength *= 255
    heights = plasma_fractal(levels, decay, *images.shape[-2:])[:, None]
    top = images.flatten(1).amax(1).to(torch.float32)[:, None, None, None]
    share = top / (top + strength)
    return to_uint8(to_float(images).mul_(share).add_(heights.mul_(share * strength)))
