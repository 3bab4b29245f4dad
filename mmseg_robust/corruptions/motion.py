"""The one-sided motion kernel of ``imagecorruptions`` 1.1.2, which motion blur and snow share."""

from __future__ import annotations

import math


def motion_taps(
    radius: int, sigma: float, angle: float, height: int, width: int
) -> list[tuple[int, int, float]]:
    """Places and weights of a blur along one direction, for :func:`filters.correlate`.

    Weight ``i`` of ``2 * radius + 1`` is a half Gaussian ``exp(-i**2 / (2 * sigma**2))``, over the
    sum of all; its place is ``i`` pixels away at ``angle``, rounded to whole pixels (halves down).
    The border that the reference uses is ``nearest``. The first place as far away as the image is
    high or wide ends the kernel: later weights are left out and the blur darkens, as there. Places
    that rounding makes equal are joined.

    Args:
        radius (int): Half the kernel's length in pixels.
        sigma (float): Standard deviation in pixels.
        angle (float): In degrees, 0 to the right, 90 down.
        height (int): Of the image.
        width (int): Of the image.

    Returns:
        list[tuple[int, int, float]]: (rows down, columns to the right, weight), from the pixel
        itself outwards.
    """
    weights = [math.exp(-(step**2) / (2 * sigma**2)) for step in range(2 * radius + 1)]
    total = sum(weights)
    down, right = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    taps: dict[tuple[int, int], float] = {}
    for step, weight in enumerate(weights):
        place = math.ceil(step * down - 0.5), math.ceil(step * right - 0.5)
        if abs(place[0]) >= height or abs(place[1]) >= width:
            break
        taps[place] = taps.get(place, 0.0) + weight / total
    return [(dy, dx, weight) for (dy, dx), weight in taps.items()]
