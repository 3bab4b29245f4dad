"""Gaussian blur of a strength that each image draws for itself.

Blur is one of the three kinds that the combined augmentations of arXiv 2012.01386 are made of;
neither its formula nor its range could be read, both are the project's own choice.
"""

from __future__ import annotations

from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.augmentations.checks import check_range
from mmseg_robust.augmentations.draws import drawn_between
from mmseg_robust.corruptions.filters import correlate, gaussian_taps
from mmseg_robust.corruptions.random import RandomFields

LEAST_SIGMA, MOST_SIGMA = 0.1, 32.0
"""Below the least nothing happens; the most bounds the kernel at 257 pixels."""


@register
class GaussianBlur(BatchAugmentation):
    """Convolution with a Gaussian, cut off at four standard deviations; edges are repeated.

    It resembles the test corruptions that blur the same in all directions.

    Args:
        sigma (float | tuple[float, float]): Standard deviation in pixels, 0.1 to 32, or the ends of
            a range that each image draws from. Defaults to 0.5 to 3.

    Raises:
        InputError: If sigma is not as described.
    """

    resembles = ("gaussian_blur", "defocus_blur", "glass_blur")

    def __init__(self, sigma: float | tuple[float, float] = (0.5, 3.0)) -> None:
        self.sigma = check_range(sigma, "sigma", LEAST_SIGMA, MOST_SIGMA)

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        fields = RandomFields(seeds, "GaussianBlur", images.device)
        weights = [gaussian_taps(sigma) for sigma in drawn_between(self.sigma, fields, "sigma")]
        # The taps of an image along one axis: a kernel of its own for each image, in one call.
        placed = [[(place - len(own) // 2, w) for place, w in enumerate(own)] for own in weights]
        down = [[(offset, 0, weight) for offset, weight in own] for own in placed]
        across = [[(0, offset, weight) for offset, weight in own] for own in placed]
        blurred = correlate(correlate(images, down, "nearest"), across, "nearest")
        return blurred.clamp_(0, 255)
