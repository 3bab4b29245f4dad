"""Gaussian noise, the altered copy of stability training.

Paper: S. Zheng, Y. Song, T. Leung, I. Goodfellow, "Improving the Robustness of Deep Neural Networks
via Stability Training", CVPR 2016, arXiv 1604.04326. Its body could not be read; the form

    x' = x + e,  e ~ N(0, sigma^2) for each channel of each pixel by itself

and sigma 0.04 were read in public re-implementations. The project's own choices: white is 1 on
sigma's scale, the result is cut off at black and white, and sigma may be drawn from a range.
"""

from __future__ import annotations

from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.augmentations.checks import check_range
from mmseg_robust.augmentations.draws import drawn_between, per_image
from mmseg_robust.corruptions.random import RandomFields


@register
class GaussianNoise(BatchAugmentation):
    """``clip(x + sigma * n)`` with standard normal n.

    It resembles the four test corruptions whose noise is independent from pixel to pixel.

    Args:
        sigma (float | tuple[float, float]): Standard deviation as a share of white, 0 or more, or
            the ends of a range that each image draws from. Defaults to 0.04, half of the test
            corruption's at severity 1.

    Raises:
        InputError: If sigma is not as described.
    """

    resembles = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")

    def __init__(self, sigma: float | tuple[float, float] = 0.04) -> None:
        self.sigma = check_range(sigma, "sigma", 0)

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        fields = RandomFields(seeds, "GaussianNoise", images.device)
        sigmas = drawn_between(self.sigma, fields, "sigma")
        noise = fields.normal(images.shape[1:], "noise")
        scale = per_image([255 * sigma for sigma in sigmas], images)
        return noise.mul_(scale).add_(images).clamp_(0, 255)
