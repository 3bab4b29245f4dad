"""A corruption as an object: a random part, a pure part, and both together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

import torch
from torch import Tensor

from mmseg_robust.corruptions.checks import check_batch, check_name, check_seeds, check_severity
from mmseg_robust.corruptions.random import RandomFields

Draw = Callable[[Tensor, int, RandomFields], tuple[Any, ...]]
"""(images, severity, random fields) -> what the pure part takes besides images and severity."""

REGISTRY: dict[str, Corruption] = {}
"""Every corruption of the engine by name, but for those of families."""

FAMILIES: dict[str, Callable[[str], Corruption]] = {}
"""What makes the corruptions that are too many to list, by the word before the bracket in their
names: ``fourier[0.125,-0.25]@0.07``. Protocols have them, training does not draw them."""


class Corruption:
    """One corruption of images, called as ``corruption(images, severity, seeds)``.

    The pure part is a function of images, severity and random numbers, so that a test can feed it
    those of a reference. It runs without autocast and without gradients.

    Args:
        name (str): Name in the registry.
        draw (Draw): The random part. It gives a tuple of what ``apply`` takes after images and
            severity.
        apply (Callable): The pure part, ``apply(images, severity, *drawn) -> Tensor``; images
            uint8 (N, 3, H, W) contiguous RGB, severity 1 to 5.
    """

    def __init__(self, name: str, draw: Draw, apply: Callable[..., Tensor]) -> None:
        self.name = name
        self.draw = draw
        self.apply = apply
        update_wrapper(self, apply)
        del self.__dict__["__wrapped__"]  # it would show the arguments of the pure part

    def __call__(self, images: Tensor, severity: int, seeds: int | Sequence[int]) -> Tensor:
        """Corrupts a batch.

        Args:
            images (Tensor): RGB, uint8, shape (N, 3, H, W), H and W at least 32.
            severity (int): 0 (the identity) to 5.
            seeds (int | Sequence[int]): One integer an image, on the host.

        Returns:
            Tensor: A new tensor, RGB, uint8, shape (N, 3, H, W), on the same device, in the memory
            format of ``images`` if that is dense.

        Raises:
            InputError: If an argument is not as described.
        """
        check_batch(images)
        seeds = check_seeds(seeds, len(images))
        severity = check_severity(severity)
        if severity == 0 or len(images) == 0:
            return images.clone()
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            plain = images.contiguous()
            fields = RandomFields(seeds, self.name, images.device)
            corrupted = self.apply(plain, severity, *self.draw(plain, severity, fields))
        return torch.empty_like(images).copy_(corrupted)

    def __reduce__(self) -> str:
        return self.name  # pickled as what its module holds under its name, like a function

    def __repr__(self) -> str:
        return f"Corruption({self.name!r})"


def find_corruption(name: str) -> Corruption:
    """Looks up a corruption, or makes it where it is of a family.

    Args:
        name (str): One of ``ALL_NAMES``, or a name in a family.

    Returns:
        Corruption: The corruption.

    Raises:
        InputError: If the name is unknown. The message suggests the nearest known one.
    """
    family, bracket, _ = str(name).partition("[")
    if bracket and family in FAMILIES:
        return FAMILIES[family](name)
    return REGISTRY[check_name(name)]


def nothing(images: Tensor, severity: int, fields: RandomFields) -> tuple[()]:
    """The random part of a corruption that draws no random numbers."""
    return ()


def corruption(draw: Draw = nothing) -> Callable[[Callable[..., Tensor]], Corruption]:
    """Decorator that makes a corruption of a pure part and registers it under its name.

    Args:
        draw (Draw): The random part. Defaults to none.

    Returns:
        Callable: The decorator.

    Example:
        >>> def draw_noise(images, severity, fields):
        ...     return (fields.normal(images.shape[1:], "noise"),)
        >>> @corruption(draw=draw_noise)
        ... def gaussian_noise(images, severity, normal): ...
    """

    def register(apply: Callable[..., Tensor]) -> Corruption:
        made = Corruption(apply.__name__, draw, apply)
        REGISTRY[made.name] = made
        return made

    return register
