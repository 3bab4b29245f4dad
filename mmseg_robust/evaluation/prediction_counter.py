"""Takes up a classifier's outputs where they are, without making the host wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions import Cell
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.image_predictions import ImagePredictions
from mmseg_robust.evaluation.pending import Counter, Pending


class PredictionCounter(Counter):
    """Takes up the passes of one image.

    Args:
        name (str): Name of the image.
        passes (tuple[Cell, ...]): Passes of the protocol, the clean one first.
        num_classes (int): Number of classes, C.
    """

    def __init__(self, name: str, passes: tuple[Cell, ...], num_classes: int) -> None:
        self.name = name
        self.passes = passes
        self.num_classes = num_classes
        self._path = name
        self._label: Tensor | None = None
        self._scores: dict[int, Tensor] = {}

    def add(self, index: int, sample: Mapping[str, Any]) -> None:
        """Takes up one pass.

        Args:
            index (int): Index of the pass.
            sample (Mapping[str, Any]): The output, as ``to_dict()`` of MMPretrain's ``DataSample``
                gives it: ``gt_label``, int64, shape (1,); ``pred_score``, the probabilities, shape
                (C,). Test-time augmentation leaves the ``pred_label`` of one augmentation: it is
                not used.

        Raises:
            InputError: If the sample has no label or several, no probabilities, or not C of them.
        """
        self._path = sample.get("img_path", self.name)
        self._label = self._checked_label(sample)
        self._scores[index] = self._checked_scores(sample)

    def _checked_label(self, sample: Mapping[str, Any]) -> Tensor:
        label = sample.get("gt_label")
        if label is None:
            raise InputError(
                f"No label came with {self._path!r}: the test dataset needs labels "
                "(with_label=True, a folder for each class, or an ann_file with them)."
            )
        if label.numel() != 1:
            raise InputError(
                f"{self._path!r} has {label.numel()} labels: RobustnessTestLoop measures the top-1 "
                "error, which needs one label an image. Test it with the stock TestLoop."
            )
        return label.reshape(())

    def _checked_scores(self, sample: Mapping[str, Any]) -> Tensor:
        scores = sample.get("pred_score")
        if scores is None or scores.shape != (self.num_classes,):
            found = "none" if scores is None else f"shape {tuple(scores.shape)}"
            raise InputError(
                f"The model gave no probability for each of the {self.num_classes} classes of the "
                f"dataset as pred_score for {self._path!r}, but {found}: the head's num_classes "
                "must be that of the dataset's metainfo."
            )
        return scores

    def finish(self) -> Pending[ImagePredictions]:
        """Sends the predictions of all passes to the host.

        Returns:
            Pending[ImagePredictions]: What it gives is checked then: the label may be no class.
        """
        assert self._label is not None, "no pass was added"
        scores = torch.stack([self._scores[index] for index in range(len(self.passes))]).float()
        # As the stock heads predict. A maximum passes NaN on: its place is the first NaN.
        confidence, predictions = scores.max(1)
        parts = [self._label.to(predictions), predictions, confidence, scores[0]]
        return Pending(parts, self._made)

    def _made(
        self,
        label: np.ndarray,
        predictions: np.ndarray,
        confidence: np.ndarray,
        clean_scores: np.ndarray,
    ) -> ImagePredictions:
        if not 0 <= label < self.num_classes:
            raise InputError(
                f"The label of {self._path!r} is {int(label)}: allowed are 0 to "
                f"{self.num_classes - 1}, the classes of the dataset. Correct its annotations."
            )
        return ImagePredictions(
            name=self.name,
            label=label.astype(np.int32),
            predictions=predictions.astype(np.int32),
            confidence=confidence,
            clean_scores=clean_scores,
        )
