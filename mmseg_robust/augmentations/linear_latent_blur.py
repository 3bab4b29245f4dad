"""Defocus blur by an auto-encoder whose latent space is straight along blur levels.

Paper: arXiv 2307.15461, see :mod:`mmseg_robust.augmentations.linear_latent_space`. Its authors name
data augmentation as a use. They take both ends of the line from a focal stack; a training image has
no blurred twin, so the project's own choice is to make the most blurred end by the engine's filter
(:mod:`mmseg_robust.augmentations.defocus_levels`) and to draw the level uniformly.

Where the auto-encoder was trained on blur that the engine made, it can at best give what the engine
gives at once: what it adds is its own error. It has something of its own to say only where it was
trained on real focal stacks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.augmentations.checks import check_range
from mmseg_robust.augmentations.defocus_levels import BLURRED, MOST_RADIUS, SHARP, defocus
from mmseg_robust.augmentations.draws import drawn_between
from mmseg_robust.augmentations.linear_latent_space import load_network
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.transfer import to_device
from mmseg_robust.errors import InputError


@register
class LinearLatentBlur(BatchAugmentation):
    """Blurs each image to a level of its own: D((1 - a) E x_0 + a E x), a = level / 16.

    x is the image and x_0 the same blurred by a disk of 10 pixels. Level 16 is x once through the
    auto-encoder, which is not x. The network is frozen and no part of the model that is trained:
    its tensors are in no ``state_dict``. Images go through it one by one, because a convolution
    rounds otherwise in a batch of another size and an image would depend on the others.

    Args:
        checkpoint (str): Of a ``LinearLatentAutoEncoder`` for RGB.
        level (float | tuple[float, float]): 0, most blurred, to 16, or the ends of a range that
            each image draws from. Defaults to 0 to 16.

    Raises:
        InputError: If the level is out of range, or the checkpoint is missing, of another model or
            of one for grey images; when called, also if images are not larger than 10 pixels.
    """

    resembles = ("gaussian_blur", "defocus_blur", "glass_blur")
    least_size = (MOST_RADIUS + 1, MOST_RADIUS + 1)

    def __init__(
        self, checkpoint: str, level: float | tuple[float, float] = (BLURRED, SHARP)
    ) -> None:
        self.level = check_range(level, "level", BLURRED, SHARP)
        self.network = load_network(checkpoint)
        if self.network.in_channels != 3:
            raise InputError(
                f"The auto-encoder of {checkpoint!r} takes grey images, views are RGB: train one "
                "with in_channels=3."
            )

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        fields = RandomFields(seeds, "LinearLatentBlur", images.device)
        levels = drawn_between(self.level, fields, "level")
        shares = to_device([level / SHARP for level in levels], images.device, torch.float32)
        network = self.network.to(images.device)
        clear, blurred = images / 255, defocus(images, BLURRED).clamp_(0, 255) / 255
        ones = zip(blurred.split(1), clear.split(1), shares.split(1))
        return torch.cat([network.on_line(*own) for own in ones]).mul_(255)
