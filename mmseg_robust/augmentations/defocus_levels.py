"""Defocus blur of any strength, on the scale of a focal stack.

A *level* is a number from 0, the most blurred, to 16, sharp: the planes z0 to z16 of the stacks
that arXiv 2307.15461 trains on. Those come from a microscope. For photographs, of which there is
the sharp plane alone, the project's own choice is

    level l = convolution with a disk of radius (1 - l / 16) * 10 pixels

so that the level half way between two others has the mean of their radii. 10 is the radius of the
engine's strongest defocus. The engine has five severities; here the disk's edge grows by parts of a
pixel, so that the blur follows the level without steps. The weights add up to 1, while the engine's
kernels of severity 4 and 5 brighten by up to 1.3 %, which is kept there for comparability.
"""

from __future__ import annotations

import math
from functools import lru_cache

from torch import Tensor

from mmseg_robust.corruptions.defocus import DEFOCUS
from mmseg_robust.corruptions.filters import Taps, correlate
from mmseg_robust.errors import InputError

BLURRED, SHARP = 0.0, 16.0
"""The two ends of the scale."""
MOST_RADIUS = DEFOCUS[-1][0]
"""Radius of the disk of level 0, in pixels."""


def radius_of(level: float) -> float:
    """Radius of the disk that a level stands for.

    Args:
        level (float): 0 to 16.

    Returns:
        float: 10 to 0 pixels.
    """
    return (1 - level / SHARP) * MOST_RADIUS


def level_of(radius: float) -> float:
    """The level of a disk; undoes :func:`radius_of`.

    Args:
        radius (float): 0 to 10 pixels.

    Returns:
        float: 16 to 0.
    """
    return (1 - radius / MOST_RADIUS) * SHARP


@lru_cache(maxsize=64)
def disk(radius: float) -> Taps:
    """A disk whose edge falls from 1 to 0 within a pixel; the weights add up to 1.

    Args:
        radius (float): In pixels; up to 0.5 it is the identity.

    Returns:
        Taps: Weights above 0.
    """
    reach = range(-math.ceil(radius), math.ceil(radius) + 1)
    weights = {(y, x): min(1.0, radius + 0.5 - math.hypot(y, x)) for y in reach for x in reach}
    inside = {place: max(weight, 0.0) for place, weight in weights.items()} | {(0, 0): 1.0}
    total = sum(inside.values())
    return tuple((y, x, weight / total) for (y, x), weight in inside.items() if weight > 0)


def defocus(images: Tensor, level: float) -> Tensor:
    """Blurs sharp images to a level; they are mirrored at their edge pixels.

    Args:
        images (Tensor): uint8 or float32 of any range, shape (N, C, H, W), H and W above 10.
        level (float): 0 to 16, the identity.

    Returns:
        Tensor: A new tensor, float32 in the same range, shape (N, C, H, W).

    Raises:
        InputError: If the images are too small.
    """
    if min(images.shape[-2:]) <= MOST_RADIUS:
        height, width = images.shape[-2:]
        raise InputError(
            f"Images of {height}x{width} pixels are too small for a defocus of {MOST_RADIUS} "
            f"pixels: they must have more than {MOST_RADIUS} pixels a side."
        )
    return correlate(images, [disk(radius_of(level))], "mirror")


def defocus_further(images: Tensor, level: float) -> Tensor:
    """Blurs images of a known level on to level 0, about.

    Two disks in a row are no disk. The second moments of their kernels add up, so a disk of radius
    ``sqrt(10^2 - r^2)`` over one of radius ``r`` spreads light as far as one of 10.

    Args:
        images (Tensor): As for :func:`defocus`, blurred to ``level``.
        level (float): 0, where nothing is left to do, to 16.

    Returns:
        Tensor: As for :func:`defocus`.

    Raises:
        InputError: If the images are too small.
    """
    rest = math.sqrt(MOST_RADIUS**2 - radius_of(level) ** 2)
    return defocus(images, level_of(rest))
