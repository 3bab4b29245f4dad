"""What is counted of one pass over an image, in plain torch or, on CUDA, by one Triton kernel.

All numbers of a pass lie in one row of integers, so that those of an image need one tensor and one
copy to the host.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions.kernels import usable
from mmseg_robust.evaluation.calibration import BINS

LOG2_E = 1.4426950408889634
"""exp(x) is 2**(x * LOG2_E): a power of two is what GPUs compute in one instruction."""

Rows = TypeVar("Rows", Tensor, np.ndarray)


class PassMaps(NamedTuple):
    """The maps of one pass over an image with P pixels, integers of any type, shape (P,).

    Args:
        prediction (Tensor): Class of each pixel.
        label (Tensor): Label of each pixel.
        weaker (Tensor): Prediction that flips are counted against; the prediction itself for none.
    """

    prediction: Tensor
    label: Tensor
    weaker: Tensor


class PassCounts(NamedTuple, Generic[Rows]):
    """Counts of passes, views of their rows; C classes.

    Args:
        table (Tensor | np.ndarray): Pixels by label and prediction, without ignored ones, shape
            (..., C + 1, C + 1). What lies outside the classes is in the last row or column.
        confidence (Tensor | np.ndarray): Wrong and right pixels by bin of confidence, shape
            (..., 2, BINS). Pixels without a label among the classes do not count.
        flips (Tensor | np.ndarray): Pixels whose prediction differs from the weaker one, shape
            (...).
        nan (Tensor | np.ndarray): Above zero where a logit is NaN, shape (...).
    """

    table: Rows
    confidence: Rows
    flips: Rows
    nan: Rows


def row_size(num_classes: int) -> int:
    """Length of a pass's row.

    Args:
        num_classes (int): Number of classes, C.

    Returns:
        int: Room for all counts, up to a multiple of 16 bytes: Triton compiles a kernel once more
        for pointers of another alignment.
    """
    used = (num_classes + 1) ** 2 + 2 * BINS + 2
    return -(-used // 4) * 4


def counts_of(rows: Rows, num_classes: int) -> PassCounts[Rows]:
    """The parts of rows.

    Args:
        rows (Tensor | np.ndarray): int32, shape (..., row_size(C)).
        num_classes (int): Number of classes, C.

    Returns:
        PassCounts: Views.
    """
    size = num_classes + 1
    end = size * size + 2 * BINS
    return PassCounts(
        table=rows[..., : size * size].reshape(*rows.shape[:-1], size, size),
        confidence=rows[..., size * size : end].reshape(*rows.shape[:-1], 2, BINS),
        flips=rows[..., end],
        nan=rows[..., end + 1],
    )


@lru_cache(maxsize=1)
def _has_histogram() -> bool:
    import triton.language

    return hasattr(triton.language, "histogram")  # since Triton 3.0


def count_pass(
    row: Tensor, maps: PassMaps, logits: Tensor | None, num_classes: int, ignore_index: int
) -> None:
    """Counts a pass. The host waits for nothing.

    Args:
        row (Tensor): Where to, int32, zeros, shape (row_size(C),), on the device of the maps.
        maps (PassMaps): Its maps, P pixels each.
        logits (Tensor, optional): Of the image, float, shape (C, H, W) with H * W = P, or
            probabilities (1, H, W) for a single foreground class. None leaves confidence out.
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.
    """
    if logits is not None and len(logits) > 1 and usable(row.device) and _has_histogram():
        from mmseg_robust.evaluation import kernels

        kernels.count_pass(row, maps, logits, num_classes, ignore_index)
        return
    counts = counts_of(row, num_classes)
    prediction, label = maps.prediction.long(), maps.label.long()
    counts.table.copy_(count_table(prediction, label, num_classes, ignore_index))
    counts.flips.copy_((maps.weaker != maps.prediction).sum())
    if logits is not None:
        counts.confidence.copy_(
            count_confidence(logits, prediction, label, num_classes, ignore_index)
        )
        counts.nan.copy_(logits.amax().isnan())  # a maximum passes NaN on


def count_table(prediction: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Confusion table without ignored pixels.

    Args:
        prediction (Tensor): Class of each pixel, int64, shape (P,).
        label (Tensor): Label of each pixel, int64, shape (P,).
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.

    Returns:
        Tensor: int64, shape (C + 1, C + 1), see :class:`PassCounts`.
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
        Tensor: int64, shape (2, BINS), see :class:`PassCounts`. Confidence that is NaN counts as 0.
    """
    flat = logits.flatten(1)
    if len(flat) == 1:
        # MMSegmentation has applied the sigmoid; its threshold need not be a half.
        share = flat[0].float()
        confidence = torch.where(prediction == 1, share, 1 - share)
    else:
        confidence = _predicted_share(flat, prediction)
    fine = (confidence.nan_to_num_(0.0) * BINS).long().clamp_(0, BINS - 1)
    key = (prediction == label) * BINS + fine
    counted = (label != ignore_index) & (label >= 0) & (label < num_classes)
    return _histogram(torch.where(counted, key, 2 * BINS), 2 * BINS + 1)[:-1].view(2, BINS)


def _predicted_share(logits: Tensor, prediction: Tensor) -> Tensor:
    """Softmax at the predicted class; logits of shape (C, P).

    In float32, class by class in their order, as the kernel does it: a sum in another order, or
    another exponential, rounds otherwise and moves pixels over the edge of a bin.
    """
    chosen = prediction.clamp(0, len(logits) - 1)[None]
    largest = logits.gather(0, chosen)[0].float()
    total = torch.zeros_like(largest)
    # Of a batch in channels-last the classes of a pixel lie together: a CPU reads a class after the
    # other faster from a copy.
    for logit in logits.contiguous():
        total += (logit.float() - largest).mul_(LOG2_E).exp2_()
    return total.reciprocal_()


def _inside(values: Tensor, num_classes: int) -> Tensor:
    return torch.where((values >= 0) & (values < num_classes), values, num_classes)


def _histogram(bins: Tensor, size: int) -> Tensor:
    """How often each number from 0 to ``size - 1`` occurs, int64."""
    if not bins.is_cuda:
        return torch.bincount(bins, minlength=size)
    # bincount would wait for the largest number. Bins are a number wide with the number in the
    # middle, far from where rounding could move it; counts below 2**24 are exact in float32.
    return torch.histc(bins.float() + 0.5, size, 0, size).long()
