"""What a tested image leaves behind, and the sum over all images: whole numbers, nothing else.

Every figure of a report is made from these, so that none needs the model again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_robust.evaluation.areas import INTERSECT, LABEL, PREDICTION

BINS = 240
"""Bins of confidence in [0, 1]; a multiple of the 10, 15 or 20 that calibration is stated with."""

WRONG, RIGHT = 0, 1
"""Rows of a confidence histogram."""


@dataclass(frozen=True)
class ImageCounts:
    """Counts of one image in all passes of a protocol (K, the clean one first), C classes.

    Args:
        name (str): Name of the image, for lists of the worst.
        confusion (np.ndarray): Cells above zero of the confusion matrices without ignored pixels,
            int32, shape (M, 4): pass, label, prediction, pixels. Label or prediction C stands for
            what belongs to no class.
        nan (np.ndarray): Whether a pass's logits hold a NaN, bool, shape (K,).
        flips (np.ndarray): Pixels (ignored ones too) whose prediction differs from that of the next
            weaker severity of the same corruption (the clean one for the weakest), and pixels
            compared, int64, shape (K, 2); zeros for the clean pass.
        confidence (np.ndarray): Labelled pixels by confidence, int64, shape (K, 2, BINS), see
            ``WRONG`` and ``RIGHT``.
    """

    name: str
    confusion: np.ndarray
    nan: np.ndarray
    flips: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class RunCounts:
    """Counts of a run: N images, K passes, C classes.

    Args:
        names (tuple[str, ...]): Names of the images.
        areas (np.ndarray): int32, shape (N, K, 3, C): intersection, prediction, label, as
            :mod:`mmseg_robust.evaluation.areas` has them.
        confusion (np.ndarray): Sum over images, int64, shape (K, C + 1, C + 1): label by
            prediction; the last row and column belong to no class.
        nan_images (np.ndarray): Images with NaN logits, int64, shape (K,).
        flips (np.ndarray): int64, shape (N, K, 2), see :class:`ImageCounts`.
        confidence (np.ndarray): Sum over images, int64, shape (K, 2, BINS).
    """

    names: tuple[str, ...]
    areas: np.ndarray
    confusion: np.ndarray
    nan_images: np.ndarray
    flips: np.ndarray
    confidence: np.ndarray

    @property
    def total_areas(self) -> np.ndarray:
        """Sum of the areas over images, int64, shape (K, 3, C)."""
        return self.areas.sum(0, dtype=np.int64)


class CountSums:
    """Adds up the counts of images as they come.

    Args:
        num_images (int): Images of the run, N.
        num_passes (int): Passes of the protocol, K.
        num_classes (int): Number of classes, C.
    """

    def __init__(self, num_images: int, num_passes: int, num_classes: int) -> None:
        size = num_classes + 1
        self.num_classes = num_classes
        self.areas = np.zeros((num_images, num_passes, 3, num_classes), np.int32)
        self.confusion = np.zeros((num_passes, size, size), np.int64)
        self.nan_images = np.zeros(num_passes, np.int64)
        self.flips = np.zeros((num_images, num_passes, 2), np.int64)
        self.confidence = np.zeros((num_passes, 2, BINS), np.int64)

    def add(self, place: int, image: ImageCounts) -> None:
        """Adds one image.

        Args:
            place (int): Its place in the dataset.
            image (ImageCounts): Its counts.
        """
        table = np.zeros_like(self.confusion)
        cell, label, prediction, pixels = image.confusion.T
        table[cell, label, prediction] = pixels
        self.confusion += table
        diagonal = np.diagonal(table, axis1=1, axis2=2)
        self.areas[place, :, INTERSECT] = diagonal[:, : self.num_classes]
        self.areas[place, :, PREDICTION] = table.sum(1)[:, : self.num_classes]
        self.areas[place, :, LABEL] = table.sum(2)[:, : self.num_classes]
        self.nan_images += image.nan
        self.flips[place] = image.flips
        self.confidence += image.confidence

    def finish(self, names: Sequence[str]) -> RunCounts:
        """The sums.

        Args:
            names (Sequence[str]): Names of the images.

        Returns:
            RunCounts: They share memory with this.
        """
        return RunCounts(
            names=tuple(names),
            areas=self.areas,
            confusion=self.confusion,
            nan_images=self.nan_images,
            flips=self.flips,
            confidence=self.confidence,
        )


def join_images(images: Sequence[ImageCounts], num_passes: int, num_classes: int) -> RunCounts:
    """Sums the counts of images.

    Args:
        images (Sequence[ImageCounts]): One or more images, in the order of the dataset.
        num_passes (int): Passes of the protocol, K.
        num_classes (int): Number of classes, C.

    Returns:
        RunCounts: The sums.
    """
    sums = CountSums(len(images), num_passes, num_classes)
    for place, image in enumerate(images):
        sums.add(place, image)
    return sums.finish([image.name for image in images])
