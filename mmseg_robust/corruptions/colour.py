"""Brightness, contrast and saturation of ``imagecorruptions`` 1.1.2.

In HSV a channel is ``V * (1 - S * k)`` with ``k`` in 0..1 fixed by the hue, so a change of V or S
at the same hue needs no conversion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.registry import corruption

BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""What is added to V, for severities 1 to 5; white is 1."""
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
"""Factor of the distance to the mean."""
SATURATION = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))
"""(factor, offset) of S."""


@corruption()
def brightness(images: Tensor, severity: int) -> Tensor:
    """``V -> min(V + b, 1)``: each channel times the new V over the old; black turns grey.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    value = images.amax(dim=1, keepdim=True).to(torch.float32)
    brighter = (value + 255 * BRIGHTNESS[severity - 1]).clamp_(max=255)
    ratio = brighter / value.clamp(min=1)
    black = (value == 0).to(torch.float32).mul_(brighter)
    return to_uint8(to_float(images).mul_(ratio).add_(black))


@corruption()
def contrast(images: Tensor, severity: int) -> Tensor:
    """``m + c * (x - m)`` with the mean m of each channel over the image.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    factor = CONTRAST[severity - 1]
    # An exact sum: a float32 mean of millions of values depends on the order of summation.
    mean = images.sum(dim=(2, 3), keepdim=True, dtype=torch.int64).to(torch.float64)
    mean = mean.div_(images.shape[2] * images.shape[3]).mul_(1 - factor).to(torch.float32)
    return to_uint8(to_float(images).mul_(factor).add_(mean))


@corruption()
def saturate(images: Tensor, severity: int) -> Tensor:
    """``S -> clip(a * S + b, 0, 1)``.

    A grey pixel has no hue; the reference's conversion gives it that of red, so where b is above 0
    (severities 4 and 5) grey turns reddish.

    Args:
        images (Tensor): uint8, shape (N, 3, H, W).
        severity (int): 1 to 5.

    Returns:
        Tensor: uint8, shape (N, 3, H, W).
    """
    factor, offset = SATURATION[severity - 1]
    values = to_float(images)
    high, low = values.amax(dim=1, keepdim=True), values.amin(dim=1, keepdim=True)
    spread = high - low
    saturation = (spread / high.clamp(min=1)).mul_(factor).add_(offset).clamp_(0, 1)
    # k = (V - x) / spread of a channel, 0, 1, 1 for a grey pixel
    weight = (high - values).div_(spread.clamp(min=1))
    weight[:, 1:] += (spread == 0).to(torch.float32)
    return to_uint8(weight.mul_(saturation).neg_().add_(1).mul_(high))
