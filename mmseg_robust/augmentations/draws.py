"""Parameters that each image draws for itself, on the host, and their way to the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.transfer import to_device


def drawn_between(ends: tuple[float, float], fields: RandomFields, field: str) -> list[float]:
    """One uniform number an image.

    Args:
        ends (tuple[float, float]): The smallest and the largest.
        fields (RandomFields): The images' random numbers.
        field (str): Name of the field, different for each use.

    Returns:
        list[float]: N numbers in [smallest, largest).
    """
    low, high = ends
    return [low + (high - low) * share for (share,) in fields.scalars(field)]


def per_image(values: Sequence[float], images: Tensor) -> Tensor:
    """One number an image in a form that multiplies images.

    Args:
        values (Sequence[float]): N numbers, on the host.
        images (Tensor): Shape (N, 3, H, W).

    Returns:
        Tensor: float32, shape (N, 1, 1, 1), on the images' device.
    """
    return to_device(values, images.device, torch.float32).view(-1, 1, 1, 1)
