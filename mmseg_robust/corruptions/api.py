"""The engine's front door: any corruption, any severity, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.corruptions import (  # noqa: F401
    blur,
    cbar_caustics,
    cbar_noise,
    cbar_patterns,
    cbar_waves,
    colour,
    defocus,
    elastic,
    fourier_noise,
    glass_blur,
    jpeg,
    noise,
    pixelate,
    spatter,
    weather,
)
from mmseg_robust.corruptions.checks import check_batch, check_seeds, check_severity
from mmseg_robust.corruptions.registry import REGISTRY, Corruption, find_corruption
from mmseg_robust.errors import InputError

CORRUPTIONS: dict[str, Corruption] = REGISTRY
"""Every corruption by name; each is called as ``corruption(images, severity, seeds)``."""


def corrupt(
    images: Tensor,
    name: str | Sequence[str],
    severity: int | Sequence[int],
    seeds: int | Sequence[int],
) -> Tensor:
    """Corrupts a batch of images on their device.

    The pixels of an image depend on the image, its corruption, severity and seed alone: not on the
    batch, the order, the process, the number of GPUs, nor on a global random state, which is
    neither read nor changed. On one device they are equal to the bit. The host does not wait for
    the device.

    Args:
        images (Tensor): RGB, uint8, shape (N, 3, H, W), H and W at least 32, on any device, in any
            memory format.
        name (str | Sequence[str]): One of ``ALL_NAMES``, or noise of one frequency, see
            :mod:`mmseg_robust.corruptions.fourier_noise`; for all images or one an image.
        severity (int | Sequence[int]): 0 (the identity) to 5, for all images or one an image.
        seeds (int | Sequence[int]): One integer an image, on the host, see :func:`image_seed`.

    Returns:
        Tensor: A new tensor, RGB, uint8, shape (N, 3, H, W), on the same device.

    Raises:
        InputError: If an argument is not as described.

    Note:
        Corruptions that move pixels (elastic, glass, zoom, caustic refraction) leave labels to the
        caller, and everybody leaves them as they are.

    Example:
        >>> images = torch.randint(0, 256, (2, 3, 360, 480), dtype=torch.uint8)
        >>> foggy = corrupt(images, "fog", 3, seeds=[1, 2])
        >>> mixed = corrupt(images, ["fog", "jpeg_compression"], [3, 5], seeds=[1, 2])
    """
    check_batch(images)
    seeds = check_seeds(seeds, len(images))
    names = _spread(name, len(images), "name")
    known = [find_corruption(own) for own in names]
    strengths = [check_severity(own) for own in _spread(severity, len(images), "severity")]
    cells = list(zip(names, strengths))
    if len(set(cells)) == 1:
        return known[0](images, strengths[0], seeds)
    out = torch.empty_like(images)
    for cell in dict.fromkeys(cells):
        places = [index for index, other in enumerate(cells) if other == cell]
        part = torch.stack([images[index] for index in places])
        corrupted = known[places[0]](part, cell[1], [seeds[index] for index in places])
        for index, image in zip(places, corrupted):
            out[index] = image
    return out


def _spread(value: str | int | Sequence, count: int, what: str) -> list:
    """One value an image."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{what} must be one value or one an image: {count} images, {len(value)}.")
    return list(value)
