"""A fixed part of a split: about as many images of each class, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mmseg_robust.analysis.split_data import LabelledImage, Split
from mmseg_robust.errors import InputError

LEAST_PIXELS = 64
"""Of a class, for an image to count as one of it; the project's own choice."""


@dataclass(frozen=True)
class ChosenImages:
    """Images, and which of them are of each class.

    Args:
        images (list[LabelledImage]): The images.
        of_class (list[list[int]]): For each class the places of its images. A segmentor's image
            may be of several; it then counts for all that still need one.
    """

    images: list[LabelledImage]
    of_class: list[list[int]]

    @property
    def counts(self) -> list[int]:
        """Images of each class."""
        return [len(places) for places in self.of_class]


def choose_images(
    split: Split, per_class: int, seed: int, tick: Callable[[int, int], None]
) -> ChosenImages:
    """Takes images in a random order until each class has enough, or none are left.

    Args:
        split (Split): Where to choose from.
        per_class (int): How many images of each class, at least 1. An image of a segmentor is of a
            class of which it shows 64 pixels.
        seed (int): Seed of the order.
        tick (Callable): Called with how many more of how many images were looked at.

    Returns:
        ChosenImages: The images; classes that are too rare have fewer.

    Raises:
        InputError: If the number is below 1, or an image has no label.
    """
    if per_class < 1:
        raise InputError(
            f"The number of images of each class is {per_class}; it must be 1 or more."
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(split), generator=generator).tolist()
    images: list[LabelledImage] = []
    of_class: list[list[int]] = [[] for _ in split.classes]
    for looked, index in enumerate(order):
        lacking = {label for label, own in enumerate(of_class) if len(own) < per_class}
        if not lacking:
            tick(len(order) - looked, len(order))
            break
        image = _read_if_needed(split, index, lacking)
        if image is not None:
            for label in lacking.intersection(_classes(image, split)):
                of_class[label].append(len(images))
            images.append(image)
        tick(1, len(order))
    return ChosenImages(images, of_class)


def _read_if_needed(split: Split, index: int, lacking: set[int]) -> LabelledImage | None:
    """An image, or None if it is of no class that lacks some."""
    if split.task == "classification" and split.label(index) not in lacking:
        return None
    image = split[index]
    return None if lacking.isdisjoint(_classes(image, split)) else image


def _classes(image: LabelledImage, split: Split) -> set[int]:
    """What an image is of."""
    count = len(split.classes)
    found = torch.bincount(image.labels.flatten(), minlength=count)[:count]
    least = 1 if split.task == "classification" else LEAST_PIXELS
    return set((found >= least).nonzero()[:, 0].tolist())
