"""Spatter of ``imagecorruptions`` 1.1.2: water on the lens at severities 1 to 3, mud at 4 and 5."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_robust.corruptions.contours import DISTANCE_UNIT, FAR, canny, chamfer_distance
from mmseg_robust.corruptions.filters import Taps, convolve, correlate, gaussian_filter
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.registry import corruption

SPATTER = (
    (0.65, 0.3, 4.0, 0.69, 0.6),
    (0.65, 0.3, 3.0, 0.68, 0.6),
    (0.65, 0.3, 2.0, 0.68, 0.5),
    (0.65, 0.3, 1.0, 0.65, 1.5),
    (0.67, 0.4, 1.0, 0.65, 1.5),
)
"""Mean and deviation of the noise, sigma of its blur, the threshold, and of water the strength, of
mud the sigma of the second blur, for severities 1 to 5."""
FIRST_MUD = 4
"""First severity with mud."""
WATER = (175, 238, 238)
"""Colour of water, pale turquoise. The reference means BGR and adds it to RGB: red gets the 175."""
MUD = (63, 42, 20)
"""Colour of mud, brown."""
MUD_THRESHOLD = 0.8
"""Least share of mud; there is none below."""
CANNY = (50, 150)
"""Gradients from which a pixel may be, and is, an edge of a drop."""
CANNY_STEPS = 4
"""How far edges are followed from strong ones. In 1.6 million edge pixels of severity 3, 359 were
not strong themselves, and 4 steps found them all; severities 1 and 2 have next to none."""
EMBOSS: tuple[Taps, ...] = (
    (
        (-1, -1, -2.0),
        (-1, 0, -1.0),
        (0, -1, -1.0),
        (0, 0, 1.0),
        (0, 1, 1.0),
        (1, 0, 1.0),
        (1, 1, 2.0),
    ),
)
"""The relief filter, lit from the top left."""

_BLOCK = 128  # pixels that a byte can count


def _draw_drops(images: Tensor, severity: int, fields: RandomFields) -> tuple[Tensor]:
    return (fields.normal(images.shape[-2:], "drops"),)


@corruption(draw=_draw_drops)
def spatter(images: Tensor, severity: int, normal: Tensor) -> Tensor:
    """Drops of water, or stains of mud, where blurred noise exceeds a threshold.

    With the liquid ``s = gaussian(mean + deviation * n)``, 0 below the threshold:

    - Water adds ``strength * m / max(m) * colour`` with m = s times a relief of the drops: Canny
      edges of s as grey levels, distance to them up to 20 pixels, blurred, equalised, embossed,
      blurred. Without any drop the picture stays as it is.
    - Mud is ``x * (1 - m) + m * colour``, m the blurred mask ``s > threshold``, 0 below 0.8.

    All steps on grey levels equal OpenCV's to the bit, but for edges that are joined to a strong
    one over more than ``CANNY_STEPS`` pixels. What differs is the noise's blur, in float32 for
    float64: a value next to the threshold or to a whole grey level may fall to its other side. Of
    the result, 99.99 % is within a grey level.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.
        normal (Tensor): Standard normal n, float32, shape (N, H, W).

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    mean, deviation, sigma, threshold, last = SPATTER[severity - 1]
    liquid = gaussian_filter(normal, sigma).mul_(deviation).add_(mean)
    values = to_float(images)
    if severity < FIRST_MUD:
        amount, colour = _water(liquid, threshold, last), WATER
    else:
        amount, colour = _mud(liquid, threshold, last), MUD
        values.mul_((1 - amount)[:, None])
    for channel, level in enumerate(colour):
        values[:, channel].add_(amount, alpha=level)
    return to_uint8(values)


def _mud(liquid: Tensor, threshold: float, sigma: float) -> Tensor:
    """Share of mud, float32 in 0..1, shape (N, H, W)."""
    mask = (liquid > threshold).to(torch.float32)
    return F.threshold(gaussian_filter(mask, sigma), MUD_THRESHOLD, 0.0, inplace=True)


def _water(liquid: Tensor, threshold: float, strength: float) -> Tensor:
    """Share of water's colour, float32 from 0 to ``strength``, shape (N, H, W)."""
    grey = F.threshold(liquid, threshold, 0.0).mul_(255).clamp_(max=255).floor_()
    water = relief(chamfer_distance(canny(grey, *CANNY, CANNY_STEPS))).mul_(grey)
    largest = water.flatten(1).amax(1)[:, None, None]
    return water.mul_(torch.where(largest > 0, strength / largest, 0.0))


def relief(distance: Tensor) -> Tensor:
    """The drops' shading: mean of 3 x 3, truncated; equalised; embossed; mean of 3 x 3, rounded.

    Args:
        distance (Tensor): To the drops' edges, as :func:`chamfer_distance` gives it, int16, shape
            (N, H, W).

    Returns:
        Tensor: Whole numbers in 0..255, float32, shape (N, H, W).
    """
    # A ninth of the sum in pixels. Half a unit keeps whole numbers from the lower side.
    total = _sum_of_nine(distance.to(torch.float32)).add_(0.5)
    levels = total.mul_(1 / (9 * DISTANCE_UNIT)).to(torch.uint8)
    embossed = correlate(equalised(levels)[:, None], EMBOSS, "mirror")[:, 0].clamp_(0, 255)
    return _sum_of_nine(embossed).mul_(1 / 9).round_()


def _sum_of_nine(planes: Tensor) -> Tensor:
    return convolve(convolve(planes, (1, 1, 1), -2, "mirror"), (1, 1, 1), -1, "mirror")


def equalised(levels: Tensor) -> Tensor:
    """Histogram equalisation as ``cv2.equalizeHist``.

    Level v becomes the share of pixels at or below it, among all that are not at the lowest level,
    times 255; a plane of a single level stays as it is.

    Args:
        levels (Tensor): In 0..20, uint8, shape (N, H, W).

    Returns:
        Tensor: Whole numbers in 0..255, float32, shape (N, H, W).
    """
    at_most = counts_at_most(levels)
    lowest = torch.where(at_most > 0, at_most, at_most[:, -1:]).amin(1, keepdim=True)
    rest = (at_most[:, -1:] - lowest).to(torch.float32)
    table = ((at_most - lowest).clamp_(min=0) * (255 / rest)).round_()
    table = torch.where(rest > 0, table, torch.arange(FAR + 1, device=levels.device))
    return table.gather(1, levels.flatten(1).to(torch.int64)).view(levels.shape)


def counts_at_most(levels: Tensor) -> Tensor:
    """How many pixels of each plane are at or below each level.

    Args:
        levels (Tensor): In 0..20, uint8, shape (N, H, W).

    Returns:
        Tensor: int64, shape (N, 21).
    """
    if levels.device.type != "cpu":
        return compared_counts(levels)
    counts = [torch.bincount(plane.flatten(), minlength=FAR + 1) for plane in levels]
    return torch.stack(counts).cumsum(1)


def compared_counts(levels: Tensor) -> Tensor:
    """:func:`counts_at_most` where ``bincount`` would make the host wait for the device.

    Args:
        levels (Tensor): In 0..20, uint8, shape (N, H, W).

    Returns:
        Tensor: int64, shape (N, 21).
    """
    # A sum of booleans makes int64 of each first, eight times their memory; bytes that hold a
    # block's sum do not.
    values = torch.arange(FAR + 1, dtype=torch.uint8, device=levels.device)
    pixels = levels.flatten(1)
    blocks = F.pad(pixels, (0, -pixels.shape[1] % _BLOCK), value=255).view(len(levels), -1, _BLOCK)
    below = (blocks[:, None] <= values[:, None, None]).view(torch.uint8)
    return below.sum(3, dtype=torch.uint8).sum(2)
