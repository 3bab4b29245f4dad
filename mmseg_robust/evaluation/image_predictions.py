"""What an image leaves behind that a classifier was tested on, and all images together.

For each pass the predicted class and its probability, beside the label: top-1 error, calibration
and flips come from these. Of the clean pass all probabilities are kept while the run lasts, from
which MMPretrain's own metrics are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mmseg_robust.corruptions import Protocol
from mmseg_robust.evaluation.bootstrap import resampled_means
from mmseg_robust.evaluation.calibration import calibration_error_of_images, flip_rate
from mmseg_robust.evaluation.measures import TOP1_ERROR, Measure
from mmseg_robust.evaluation.results import (
    Arrays,
    ImageResult,
    ResultSums,
    RunResult,
    check_shapes,
)


@dataclass(frozen=True)
class ImagePredictions(ImageResult):
    """Predictions for one image in all passes of a protocol (K, the clean one first), C classes.

    Args:
        name (str): Name of the image.
        label (np.ndarray): Its class, int32, shape ().
        predictions (np.ndarray): Predicted class by pass, int32, shape (K,).
        confidence (np.ndarray): Probability of that class, float32, shape (K,); NaN where a pass's
            logits hold NaN.
        clean_scores (np.ndarray): Probabilities of all classes in the clean pass, float32, shape
            (C,).
    """

    name: str
    label: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray
    clean_scores: np.ndarray

    @classmethod
    def from_arrays(cls, name: str, arrays: Arrays, num_passes: int) -> ImagePredictions | None:
        """See the base class."""
        image = cls(
            name=name,
            label=arrays["label"],
            predictions=arrays["predictions"],
            confidence=arrays["confidence"],
            clean_scores=arrays["clean_scores"],
        )
        shapes = image.label.shape, image.predictions.shape, image.confidence.shape
        whole = shapes == ((), (num_passes,), (num_passes,)) and image.clean_scores.ndim == 1
        return image if whole else None


@dataclass(frozen=True)
class RunPredictions(RunResult):
    """Predictions of a run: N images, K passes.

    Args:
        names (tuple[str, ...]): Names of the images.
        label (np.ndarray): Class of each image, int32, shape (N,).
        predictions (np.ndarray): Predicted class, int32, shape (N, K).
        confidence (np.ndarray): Probability of that class, float32, shape (N, K); NaN where the
            logits hold NaN.
    """

    measure: ClassVar[Measure] = TOP1_ERROR

    names: tuple[str, ...]
    label: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray

    @cached_property
    def right(self) -> np.ndarray:
        """Whether a prediction is right, bool, shape (N, K).

        Without a probability it is wrong, as in MMPretrain's ``Accuracy`` with its usual threshold.
        """
        return (self.predictions == self.label[:, None]) & ~np.isnan(self.confidence)

    @property
    def num_passes(self) -> int:
        """See the base class."""
        return self.predictions.shape[1]

    @classmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Arrays) -> RunPredictions:
        """See the base class."""
        shape = (len(names), arrays["predictions"].shape[-1])
        expected = {
            "label": (np.integer, shape[:1]),
            "predictions": (np.integer, shape),
            "confidence": (np.floating, shape),
        }
        check_shapes(arrays, expected)
        return cls(names, **{name: arrays[name] for name in expected})

    def figures(self, protocol: Protocol, index: int) -> dict[str, Any]:
        """See the base class."""
        confidence, right = self.confidence[:, index], self.right[:, index]
        weaker = protocol.weaker_pass(index)
        changed = (self.predictions[:, index] != self.predictions[:, weaker]).astype(np.int64)
        compared = np.full_like(changed, index != weaker)
        return {
            "top1_error": float(TOP1_ERROR.stated(100 * right.mean())),
            "nan_images": int(np.isnan(confidence).sum()),
            "ECE": calibration_error_of_images(np.nan_to_num(confidence), right),
            "flip_rate": flip_rate(np.stack([changed, compared], axis=1)),
        }

    def scores(self) -> np.ndarray:
        """Top-1 accuracy of each pass, percent, float64, shape (K,)."""
        return 100 * self.right.mean(0)

    def resampled_scores(self) -> np.ndarray:
        """See the base class."""
        return resampled_means(100.0 * self.right)

    def image_scores(self) -> np.ndarray:
        """Confidence where the prediction is right, its negative where it is wrong, in percent."""
        confidence = 100 * np.nan_to_num(self.confidence.astype(np.float64))
        return np.where(self.right, confidence, -confidence)

    def labels(self) -> np.ndarray:
        """Class of each image, int32, shape (N,)."""
        return self.label

    def in_order(self, order: Sequence[int]) -> RunPredictions:
        """See the base class."""
        names = tuple(self.names[index] for index in order)
        arrays = {name: array[order] for name, array in self.arrays().items()}
        return replace(self, names=names, **arrays)


class PredictionSums(ResultSums):
    """Puts the predictions for images together as they come.

    Args:
        num_images (int): Images of the run, N.
        num_passes (int): Passes of the protocol, K.
        num_classes (int): Number of classes, C.
    """

    joined = ("label", "predictions", "confidence", "clean_scores")

    def __init__(self, num_images: int, num_passes: int, num_classes: int) -> None:
        self.label = np.zeros(num_images, np.int32)
        self.predictions = np.zeros((num_images, num_passes), np.int32)
        self.confidence = np.zeros((num_images, num_passes), np.float32)
        self.clean_scores = np.zeros((num_images, num_classes), np.float32)

    def add(self, place: int, image: ImagePredictions) -> None:
        """Adds one image.

        Args:
            place (int): Its place in the dataset.
            image (ImagePredictions): The predictions for it.
        """
        for name in self.joined:
            getattr(self, name)[place] = getattr(image, name)

    def finish(self, names: Sequence[str]) -> RunPredictions:
        """All predictions.

        Args:
            names (Sequence[str]): Names of the images.

        Returns:
            RunPredictions: They share memory with this.
        """
        return RunPredictions(tuple(names), self.label, self.predictions, self.confidence)
