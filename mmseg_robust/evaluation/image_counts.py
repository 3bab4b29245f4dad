"""What an image leaves behind that a segmentor was tested on, and the sum over all images.

Whole numbers, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mmseg_robust.corruptions import Protocol
from mmseg_robust.evaluation.areas import (
    INTERSECT,
    LABEL,
    PREDICTION,
    cell_scores,
    iou_by_class,
    mean_of_present,
)
from mmseg_robust.evaluation.bootstrap import resampled_scores
from mmseg_robust.evaluation.calibration import BINS, expected_calibration_error, flip_rate
from mmseg_robust.evaluation.measures import MIOU, Measure
from mmseg_robust.evaluation.results import (
    Arrays,
    ImageResult,
    ResultSums,
    RunResult,
    check_shapes,
)


@dataclass(frozen=True)
class ImageCounts(ImageResult):
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
            :mod:`mmseg_robust.evaluation.calibration`.
    """

    name: str
    confusion: np.ndarray
    nan: np.ndarray
    flips: np.ndarray
    confidence: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """See the base class."""
        return {**super().arrays(), "confidence": self.confidence.astype(np.int32)}

    @classmethod
    def from_arrays(cls, name: str, arrays: Arrays, num_passes: int) -> ImageCounts | None:
        """See the base class."""
        counts = cls(
            name=name,
            confusion=arrays["confusion"],
            nan=arrays["nan"],
            flips=arrays["flips"],
            confidence=arrays["confidence"].astype(np.int64),
        )
        shapes = counts.nan.shape, counts.flips.shape, counts.confidence.shape
        whole = shapes == ((num_passes,), (num_passes, 2), (num_passes, 2, BINS))
        return counts if whole and counts.confusion.shape[1:] == (4,) else None


@dataclass(frozen=True)
class RunCounts(RunResult):
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

    measure: ClassVar[Measure] = MIOU

    names: tuple[str, ...]
    areas: np.ndarray
    confusion: np.ndarray
    nan_images: np.ndarray
    flips: np.ndarray
    confidence: np.ndarray

    @cached_property
    def total_areas(self) -> np.ndarray:
        """Sum of the areas over images, int64, shape (K, 3, C)."""
        return self.areas.sum(0, dtype=np.int64)

    @property
    def num_passes(self) -> int:
        """See the base class."""
        return self.areas.shape[1]

    @classmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Arrays) -> RunCounts:
        """See the base class."""
        classes, passes = arrays["areas"].shape[-1], arrays["nan_images"].size
        shapes = {
            "areas": (len(names), passes, 3, classes),
            "confusion": (passes, classes + 1, classes + 1),
            "nan_images": (passes,),
            "flips": (len(names), passes, 2),
            "confidence": (passes, 2, BINS),
        }
        check_shapes(arrays, {name: (np.integer, shape) for name, shape in shapes.items()})
        return cls(names, **{name: arrays[name] for name in shapes})

    def figures(self, protocol: Protocol, index: int) -> dict[str, Any]:
        """See the base class."""
        areas = self.total_areas[index]
        scores = cell_scores(areas)
        union = areas[PREDICTION] + areas[LABEL] - areas[INTERSECT]
        return {
            "mIoU": scores.mIoU,
            "aAcc": scores.aAcc,
            "mAcc": scores.mAcc,
            "IoU": list(scores.iou),
            "areas": {
                "intersect": areas[INTERSECT].tolist(),
                "union": union.tolist(),
                "prediction": areas[PREDICTION].tolist(),
                "label": areas[LABEL].tolist(),
            },
            "nan_images": int(self.nan_images[index]),
            "ECE": expected_calibration_error(self.confidence[index]),
            "flip_rate": flip_rate(self.flips[:, index]),
        }

    def scores(self) -> np.ndarray:
        """See the base class."""
        return mean_of_present(iou_by_class(self.total_areas))

    def resampled_scores(self) -> np.ndarray:
        """See the base class."""
        return resampled_scores(self.areas)

    def image_scores(self) -> np.ndarray:
        """mIoU of each image over the classes that it has or the model saw."""
        # Image by image: float64 of all would be several times the counts.
        return np.stack([mean_of_present(iou_by_class(image)) for image in self.areas])

    def labels(self) -> np.ndarray:
        """Labelled pixels by class, sorted, because the order of the classes decides nothing."""
        return np.sort(self.areas[:, 0, LABEL], axis=-1)

    def in_order(self, order: Sequence[int]) -> RunCounts:
        """See the base class."""
        names = tuple(self.names[index] for index in order)
        return replace(self, names=names, areas=self.areas[order], flips=self.flips[order])


class CountSums(ResultSums):
    """Adds up the counts of images as they come.

    Args:
        num_images (int): Images of the run, N.
        num_passes (int): Passes of the protocol, K.
        num_classes (int): Number of classes, C.
    """

    joined = ("areas", "confusion", "nan_images", "flips", "confidence")

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
        # Few cells are above zero, each of them there once: nothing is made as large as the table.
        cell, label, prediction, pixels = image.confusion.T
        self.confusion[cell, label, prediction] += pixels
        areas = np.zeros((*self.areas.shape[1:3], self.num_classes + 1), np.int32)
        right = label == prediction
        np.add.at(areas, (cell[right], INTERSECT, label[right]), pixels[right])
        np.add.at(areas, (cell, PREDICTION, prediction), pixels)
        np.add.at(areas, (cell, LABEL, label), pixels)
        self.areas[place] = areas[..., : self.num_classes]
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
