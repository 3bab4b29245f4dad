"""Checks of what augmentations are called and built with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from mmseg_robust.errors import InputError


def check_images(images: Tensor) -> None:
    """Refuses what is not a batch of RGB images in float32.

    Args:
        images (Tensor): Should be float32, shape (N, 3, H, W), none of H and W zero.

    Raises:
        InputError: If it is not.
    """
    expected = "Images to augment must be a float32 tensor of shape (N, 3, H, W), RGB, 0 to 255"
    if not isinstance(images, Tensor):
        raise InputError(f"{expected}; got {type(images).__name__}.")
    found = f"{images.dtype} {tuple(images.shape)}"
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise InputError(f"{expected}; got {found}.")
    if images.dtype != torch.float32:
        raise InputError(f"{expected}; got {found}. Call .float(), before normalising.")


def check_present(present: Tensor | None, images: Tensor) -> Tensor:
    """Refuses what does not say which classes images show.

    Args:
        present (Tensor | None): Should be bool, shape (N, K), on the images' device.
        images (Tensor): Shape (N, 3, H, W).

    Returns:
        Tensor: ``present``.

    Raises:
        InputError: If it is not as described.
    """
    expected = f"This augmentation reads labels: 'present' must be bool, ({len(images)}, classes)"
    if not isinstance(present, Tensor):
        raise InputError(f"{expected}; got {type(present).__name__}. classes_in(labels) makes it.")
    if present.dtype != torch.bool or present.ndim != 2 or len(present) != len(images):
        raise InputError(f"{expected}; got {present.dtype} {tuple(present.shape)}.")
    if present.device != images.device:
        raise InputError(f"{expected}, on {images.device}; it is on {present.device}.")
    return present


def check_range(
    value: float | Sequence[float], name: str, lowest: float, highest: float = math.inf
) -> tuple[float, float]:
    """A number, or two to draw between.

    Args:
        value (float | Sequence[float]): The number, or the smallest and the largest.
        name (str): What it is, for the message.
        lowest (float): Least that is allowed.
        highest (float): Most that is allowed. Defaults to no limit.

    Returns:
        tuple[float, float]: The smallest and the largest, equal for a number.

    Raises:
        InputError: If it is neither, out of range, or the two are the wrong way round.
    """
    pair = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = all(isinstance(end, Real) and not isinstance(end, bool) for end in pair)
    if numbers and len(pair) in (1, 2) and lowest <= pair[0] <= pair[-1] <= highest:
        low, high = float(pair[0]), float(pair[-1])
        if math.isfinite(low) and math.isfinite(high):
            return low, high
    limit = f"of {lowest:g} or more" if highest == math.inf else f"from {lowest:g} to {highest:g}"
    raise InputError(
        f"{name} is {value!r}; it must be a number {limit}, or two to draw between, the smaller "
        "first."
    )


def check_number(value: float, name: str, lowest: float, highest: float = math.inf) -> float:
    """A number within limits.

    Args:
        value (float): The number.
        name (str): What it is, for the message.
        lowest (float): Least that is allowed.
        highest (float): Most that is allowed. Defaults to no limit.

    Returns:
        float: The same number.

    Raises:
        InputError: If it is no finite number or out of range.
    """
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or not lowest <= value <= highest:
        end = f"of {lowest:g} or more" if highest == math.inf else f"from {lowest:g} to {highest:g}"
        raise InputError(f"{name} is {value!r}; it must be a number {end}.")
    return float(value)
