"""What the ten corruptions of ImageNet-C-bar share: levels, random parameters, units of length.

Definitions and levels are those of facebookresearch/augmentation-corruption (``imagenet_c_bar``;
Mintun, Kirillov and Xie, NeurIPS 2021, arXiv 2102.11273), which knows 224x224 images alone. There
the engine's formulas are the original's. For other sizes the project chooses:

* Lengths that the original ties to its image size are tied to the side S = sqrt(H * W), which is
  224 there. The pattern then covers the same share of an image of any size and shape.
* What the original states in pixels or cycles a pixel stays so, unless a docstring says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.corruptions.transfer import to_device

ORIGINAL_SIDE = 224
"""Height and width in pixels of the images that the levels were chosen for."""

LEVELS: dict[str, tuple[float, ...]] = {
    "blue_noise_sample": (0.8, 1.6, 2.4, 4.0, 5.6),
    "brownish_noise": (1.0, 2.0, 3.0, 4.0, 5.0),
    "caustic_refraction": (2.35, 3.2, 4.9, 6.6, 9.15),
    "checkerboard_cutout": (2.0, 3.0, 4.0, 5.0, 6.0),
    "cocentric_sine_waves": (3.0, 5.0, 8.0, 9.0, 10.0),
    "inverse_sparkles": (1.0, 2.0, 4.0, 9.0, 10.0),
    "perlin_noise": (4.6, 5.2, 5.8, 7.6, 8.8),
    "plasma_noise": (4.75, 7.0, 8.5, 9.25, 10.0),
    "single_frequency_greyscale": (1.0, 1.5, 2.0, 4.5, 5.0),
    "sparkles": (1.0, 2.0, 3.0, 5.0, 6.0),
}
"""The original's own severity (0 to 10) for severities 1 to 5, from its ``imagenet_c_bar.csv``."""


def strength(name: str, severity: int, most: float) -> float:
    """What the original's severity makes of a parameter that is ``most`` at 10 and 0 at 0.

    Args:
        name (str): Name of the corruption.
        severity (int): 1 to 5.
        most (float): Value at the original's severity 10.

    Returns:
        float: In [0, most].
    """
    return LEVELS[name][severity - 1] * most / 10


def side(images: Tensor) -> float:
    """Length in pixels that stands for the original's image size.

    Args:
        images (Tensor): Shape (N, 3, H, W).

    Returns:
        float: sqrt(H * W).
    """
    return math.sqrt(images.shape[-2] * images.shape[-1])


def between(low: float, high: float, unit: float) -> float:
    """The number that a uniform number in [0, 1) stands for in [low, high).

    Args:
        low (float): First value.
        high (float): End of the range.
        unit (float): In [0, 1).

    Returns:
        float: In [low, high).
    """
    return low + (high - low) * unit


def per_image(values: Sequence[Sequence[float]], device: torch.device) -> tuple[Tensor, ...]:
    """Host numbers in a form that planes of the batch broadcast with.

    Args:
        values (Sequence[Sequence[float]]): N rows of K numbers, one row an image.
        device (torch.device): Where they are needed.

    Returns:
        tuple[Tensor, ...]: K tensors, float64, shape (N, 1, 1).
    """
    table = to_device(values, device, torch.float64)
    return tuple(column[:, None, None] for column in table.unbind(1))


def places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column numbers, in double precision, in which they are exact after scaling too.

    Args:
        images (Tensor): Shape (N, 3, H, W).

    Returns:
        tuple[Tensor, Tensor]: Rows, shape (H, 1), and columns, shape (1, W); float64.
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, dtype=torch.float64, device=images.device)
    columns = torch.arange(width, dtype=torch.float64, device=images.device)
    return rows[:, None], columns[None, :]
