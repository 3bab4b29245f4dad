"""Photometric augmentations: brightness, contrast, saturation and hue.

Photometric changes are one of the three kinds that the combined augmentations of arXiv 2012.01386
are made of; neither their formulas nor their ranges could be read. All here is the project's own
choice, in the form that is common in image libraries.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.augmentations.checks import check_range
from mmseg_robust.augmentations.draws import drawn_between, per_image
from mmseg_robust.corruptions.random import RandomFields

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


@register
class Brightness(BatchAugmentation):
    """``clip(x + shift)``, the same shift on all channels and pixels.

    Args:
        shift (float | tuple[float, float]): As a share of white, -1 to 1, or the ends of a range
            that each image draws from. Defaults to -0.3 to 0.3.

    Raises:
        InputError: If shift is not as described.
    """

    resembles = ("brightness",)

    def __init__(self, shift: float | tuple[float, float] = (-0.3, 0.3)) -> None:
        self.shift = check_range(shift, "shift", -1, 1)

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        fields = RandomFields(seeds, "Brightness", images.device)
        shifts = drawn_between(self.shift, fields, "shift")
        return (images + per_image([255 * shift for shift in shifts], images)).clamp_(0, 255)


@register
class Contrast(BatchAugmentation):
    """``clip(m + factor * (x - m))`` with the mean luminance m of the image.

    Args:
        factor (float | tuple[float, float]): 0 (grey) or more, 1 changes nothing, or the ends of a
            range that each image draws from. Defaults to 0.4 to 1.6.

    Raises:
        InputError: If factor is not as described.
    """

    resembles = ("contrast",)

    def __init__(self, factor: float | tuple[float, float] = (0.4, 1.6)) -> None:
        self.factor = check_range(factor, "factor", 0)

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        fields = RandomFields(seeds, "Contrast", images.device)
        factor = per_image(drawn_between(self.factor, fields, "factor"), images)
        # float64 adds grey levels exactly: no dependence on the order of the sum.
        mean = _grey(images.mean(dim=(2, 3), keepdim=True, dtype=torch.float64))
        offset = mean.mul_(1 - factor).to(torch.float32)
        return (images * factor).add_(offset).clamp_(0, 255)


@register
class Saturation(BatchAugmentation):
    """``clip(g + factor * (x - g))`` with the luminance g of each pixel.

    Args:
        factor (float | tuple[float, float]): 0 (no colour) or more, 1 changes nothing, or the ends
            of a range that each image draws from. Defaults to 0 to 2.

    Raises:
        InputError: If factor is not as described.
    """

    resembles = ("saturate",)

    def __init__(self, factor: float | tuple[float, float] = (0.0, 2.0)) -> None:
        self.factor = check_range(factor, "factor", 0)

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        fields = RandomFields(seeds, "Saturation", images.device)
        factor = per_image(drawn_between(self.factor, fields, "factor"), images)
        return torch.lerp(_grey(images), images, factor).clamp_(0, 255)


@register
class Hue(BatchAugmentation):
    """Colours turned about the grey axis, ``clip(R x)``.

    R is the rotation of RGB space about (1, 1, 1): it keeps the mean of the three channels and the
    distance to grey, and needs no other colour space. No test corruption does the like.

    Args:
        degrees (float | tuple[float, float]): Angle, -180 to 180, or the ends of a range that each
            image draws from; 120 makes green of red. Defaults to -36 to 36.

    Raises:
        InputError: If degrees is not as described.
    """

    def __init__(self, degrees: float | tuple[float, float] = (-36.0, 36.0)) -> None:
        self.degrees = check_range(degrees, "degrees", -180, 180)

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        fields = RandomFields(seeds, "Hue", images.device)
        angles = drawn_between(self.degrees, fields, "degrees")
        own, before, after = zip(*(_turned(math.radians(angle)) for angle in angles))
        # Row c of the rotation weighs channel c, the one before it and the one after it.
        out = images * per_image(own, images)
        out.addcmul_(images.roll(1, dims=1), per_image(before, images))
        out.addcmul_(images.roll(-1, dims=1), per_image(after, images))
        return out.clamp_(0, 255)


def _turned(angle: float) -> tuple[float, float, float]:
    """Weights of a channel itself, of the one before it and of the one after it."""
    even, odd = (1 - math.cos(angle)) / 3, math.sin(angle) / math.sqrt(3)
    return 1 - 2 * even, even + odd, even - odd


def _grey(values: Tensor) -> Tensor:
    """Luminance, shape (N, 1, H, W), of colours, shape (N, 3, H, W)."""
    red, green, blue = LUMINANCE
    grey = values[:, :1] * red
    return grey.add_(values[:, 1:2], alpha=green).add_(values[:, 2:], alpha=blue)
