"""Counts the passes of an image where the predictions are, without making the host wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions import Cell
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.calibration import BINS
from mmseg_robust.evaluation.image_counts import ImageCounts
from mmseg_robust.evaluation.pending import Counter, Pending


class PassCounter(Counter):
    """Counts the passes of one image.

    Args:
        name (str): Name of the image.
        passes (tuple[Cell, ...]): Passes of the protocol, the clean one first, those of a
            corruption in a row with rising severity.
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.
    """

    def __init__(
        self, name: str, passes: tuple[Cell, ...], num_classes: int, ignore_index: int
    ) -> None:
        self.name = name
        self.passes = passes
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self._tables: dict[int, Tensor] = {}
        self._nan: dict[int, Tensor] = {}
        self._flips: dict[int, Tensor] = {}
        self._confidence: dict[int, Tensor] = {}
        # Predictions that a later pass is compared with: the clean one and the last.
        self._clean: Tensor | None = None
        self._last: tuple[Cell, Tensor] | None = None

    def add(self, index: int, sample: Mapping[str, Any]) -> None:
        """Counts one pass; passes come in their order.

        Args:
            index (int): Index of the pass.
            sample (Mapping[str, Any]): A segmentor's output, as ``SegDataSample.to_dict()``
                gives it.

        Raises:
            InputError: If the sample has no label, or one of another size than the prediction.
        """
        prediction, label = prediction_and_label(sample)
        self._tables[index] = count_table(prediction, label, self.num_classes, self.ignore_index)
        self._flips[index] = self._count_flips(self.passes[index], prediction)
        if "seg_logits" in sample:
            logits = sample["seg_logits"]["data"]
            self._nan[index] = logits.amax().isnan()  # a maximum passes NaN on
            self._confidence[index] = count_confidence(
                logits, prediction, label, self.num_classes, self.ignore_index
            )
        else:
            self._nan[index] = torch.zeros((), dtype=torch.bool, device=prediction.device)
            self._confidence[index] = torch.zeros(
                2, BINS, dtype=torch.int64, device=prediction.device
            )

    def _count_flips(self, cell: Cell, prediction: Tensor) -> Tensor:
        if self._clean is None or cell.severity == 0:
            self._clean = prediction
            return torch.zeros(2, dtype=torch.int64, device=prediction.device)
        weaker = self._clean
        if self._last is not None and self._last[0].corruption == cell.corruption:
            weaker = self._last[1]
        self._last = (cell, prediction)
        flipped = (weaker != prediction).sum()
        return torch.stack([flipped, torch.full_like(flipped, prediction.numel())])

    def finish(self) -> Pending[ImageCounts]:
        """Sends the counts to the host.

        Returns:
            Pending[ImageCounts]: Of all passes.
        """
        order = range(len(self.passes))
        groups = (self._tables, self._nan, self._flips, self._confidence)
        stacked = [torch.stack([group[index] for index in order]) for group in groups]
        return Pending(stacked, self._made)

    def _made(
        self, tables: np.ndarray, nan: np.ndarray, flips: np.ndarray, confidence: np.ndarray
    ) -> ImageCounts:
        places = np.nonzero(tables)
        confusion = np.stack([*places, tables[places]], axis=1).astype(np.int32)
        return ImageCounts(self.name, confusion, nan, flips, confidence)


def with_own_logits(sample: Mapping[str, Any], data_batch: Any) -> dict[str, Any]:
    """A sample, without logits where they are not those of its prediction.

    Under test-time augmentation MMSegmentation puts the merged prediction into the sample of the
    last augmentation, beside that one's logits.

    Args:
        sample (Mapping[str, Any]): A segmentor's output as ``SegDataSample.to_dict()`` gives it.
        data_batch (Any): The batch that it comes from.

    Returns:
        dict[str, Any]: The sample.
    """
    batch = data_batch.get("data_samples") if isinstance(data_batch, dict) else None
    if batch and isinstance(batch[0], (list, tuple)):
        return {key: value for key, value in sample.items() if key != "seg_logits"}
    return dict(sample)


def prediction_and_label(sample: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """The two maps of a tested image.

    Args:
        sample (Mapping[str, Any]): A segmentor's output as ``SegDataSample.to_dict()`` gives it.

    Returns:
        tuple[Tensor, Tensor]: Class and label of each pixel, int64, shape (H * W,), on the
        prediction's device.

    Raises:
        InputError: If the sample has no label, or one of another size than the prediction.
    """
    if "gt_sem_seg" not in sample:
        raise InputError(
            f"No label came with {sample['img_path']!r}: the test pipeline needs LoadAnnotations, "
            "and the dataset a folder of labels."
        )
    prediction = sample["pred_sem_seg"]["data"].squeeze()
    label = sample["gt_sem_seg"]["data"].squeeze()
    if prediction.shape != label.shape:
        raise InputError(
            f"The prediction for {sample['img_path']!r} has {tuple(prediction.shape)} pixels, its "
            f"label {tuple(label.shape)}. Labels must have the image's own size: put "
            "LoadAnnotations after Resize in the test pipeline."
        )
    prediction = prediction.reshape(-1).long()
    return prediction, label.reshape(-1).to(prediction)


def count_table(prediction: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Confusion table without ignored pixels.

    Args:
        prediction (Tensor): Class of each pixel, int64, shape (P,).
        label (Tensor): Label of each pixel, int64, shape (P,).
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.

    Returns:
        Tensor: int64, shape (C + 1, C + 1), label by prediction; what lies outside the classes is
        counted in the last row or column.
    """
    size = num_classes + 1
    row = _inside(label, num_classes)
    column = _inside(prediction, num_classes)
    # Ignored pixels go to a bin of their own behind the table: no indexing by mask, whose size the
    # host would have to wait for.
    bins = torch.where(label == ignore_index, size * size, row * size + column)
    return _histogram(bins, size * size + 1)[:-1].view(size, size)


def count_confidence(
    logits: Tensor, prediction: Tensor, label: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Labelled pixels by the probability of the predicted class.

    Args:
        logits (Tensor): Of the image, shape (C, H, W), or probabilities (1, H, W) for a single
            foreground class.
        prediction (Tensor): Class of each pixel, int64, shape (H * W,).
        label (Tensor): Label of each pixel, int64, shape (H * W,).
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.

    Returns:
        Tensor: int64, shape (2, BINS): wrong and right pixels by bin of confidence. Pixels without
        a label among the classes do not count; confidence that is NaN counts as 0.
    """
    logits = logits.float()
    if logits.shape[0] == 1:
        # MMSegmentation has applied the sigmoid; its threshold need not be a half.
        share = logits.reshape(-1)
        confidence = torch.where(prediction == 1, share, 1 - share)
    else:
        # The predicted class has the largest logit: one over the sum of all, relative to it.
        largest = logits.flatten(1).gather(0, prediction.clamp(0, len(logits) - 1)[None])
        confidence = (logits.flatten(1) - largest).exp_().sum(0).reciprocal_()
    fine = (confidence.reshape(-1).nan_to_num_(0.0) * BINS).long().clamp_(0, BINS - 1)
    key = (prediction == label) * BINS + fine
    counted = (label != ignore_index) & (label >= 0) & (label < num_classes)
    return _histogram(torch.where(counted, key, 2 * BINS), 2 * BINS + 1)[:-1].view(2, BINS)


def _inside(values: Tensor, num_classes: int) -> Tensor:
    return torch.where((values >= 0) & (values < num_classes), values, num_classes)


def _histogram(bins: Tensor, size: int) -> Tensor:
    """How often each number from 0 to ``size - 1`` occurs, int64."""
    if not bins.is_cuda:
        return torch.bincount(bins, minlength=size)
    # bincount would wait for the largest number. Bins are a number wide with the number in the
    # middle, far from where rounding could move it; counts below 2**24 are exact in float32.
    return torch.histc(bins.float() + 0.5, size, 0, size).long()
