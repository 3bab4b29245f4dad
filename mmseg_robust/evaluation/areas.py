"""Pixel counts by class, from which every segmentation score is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from mmseg_robust.errors import InputError

INTERSECT, PREDICTION, LABEL = range(3)
"""Rows of an areas tensor."""


def count_areas(prediction: Tensor, label: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Counts pixels as MMSegmentation's ``IoUMetric`` does, in one pass and in whole numbers.

    Pixels whose label is ``ignore_index`` do not count. A prediction or label outside the classes
    belongs to no class, while its counterpart still counts.

    Args:
        prediction (Tensor): Class of each pixel, any shape and number type.
        label (Tensor): Label of each pixel, the same shape.
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.

    Returns:
        Tensor: int64, shape (3, C), on the prediction's device: pixels where both agree, predicted
        pixels, labelled pixels.
    """
    prediction = prediction.reshape(-1).long()
    label = label.reshape(-1).to(prediction)
    other = num_classes
    row = torch.where((label >= 0) & (label < other), label, other)
    column = torch.where((prediction >= 0) & (prediction < other), prediction, other)
    size = num_classes + 1
    # Ignored pixels go to a bin of their own behind the table: no indexing by mask, whose size the
    # host would have to wait for.
    bins = torch.where(label == ignore_index, size * size, row * size + column)
    table = torch.bincount(bins, minlength=size * size + 1)[:-1].reshape(size, size)
    areas = torch.stack([table.diagonal(), table.sum(0), table.sum(1)])
    return areas[:, :num_classes]


def count_sample(
    sample: Mapping[str, Any], num_classes: int, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Counts the pixels of one tested image.

    Args:
        sample (Mapping[str, Any]): A segmentor's output as ``SegDataSample.to_dict()`` gives it.
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.

    Returns:
        tuple[Tensor, Tensor]: Counts, int64, shape (3, C), see :func:`count_areas`, and a bool
        scalar, whether the logits hold a NaN.

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
    areas = count_areas(prediction, label, num_classes, ignore_index)
    if "seg_logits" in sample:
        has_nan = sample["seg_logits"]["data"].max().isnan()  # a maximum passes NaN on
    else:
        has_nan = torch.zeros((), dtype=torch.bool, device=areas.device)
    return areas, has_nan


@dataclass(frozen=True)
class CellScores:
    """Scores of one cell in percent, unrounded; NaN where a class or all labels are absent.

    Args:
        mIoU (float): Mean of IoU over the classes that are labelled or predicted.
        aAcc (float): Share of labelled pixels that are right.
        mAcc (float): Mean over labelled classes of the share of their pixels that are right.
        iou (tuple[float, ...]): IoU by class.
    """

    mIoU: float
    aAcc: float
    mAcc: float
    iou: tuple[float, ...]


def cell_scores(areas: Tensor) -> CellScores:
    """Scores from counts, by the formulas of ``IoUMetric``.

    Args:
        areas (Tensor): Summed counts, shape (3, C), see :func:`count_areas`.

    Returns:
        CellScores: The scores.
    """
    intersect, prediction, label = areas.cpu().double()
    iou = 100 * intersect / (prediction + label - intersect)
    accuracy = 100 * intersect / label
    return CellScores(
        mIoU=iou.nanmean().item(),
        aAcc=(100 * intersect.sum() / label.sum()).item(),
        mAcc=accuracy.nanmean().item(),
        iou=tuple(iou.tolist()),
    )


class CellCounts:
    """Sums of counts by cell.

    Args:
        num_cells (int): Number of cells, K.
        num_classes (int): Number of classes, C.

    Attributes:
        areas (Tensor): int64, shape (K, 3, C), see :func:`count_areas`.
        images (Tensor): int64, shape (K,), images counted.
        nan_images (Tensor): int64, shape (K,), those of them with a NaN among the logits.
    """

    def __init__(self, num_cells: int, num_classes: int) -> None:
        self.areas = torch.zeros(num_cells, 3, num_classes, dtype=torch.int64)
        self.images = torch.zeros(num_cells, dtype=torch.int64)
        self.nan_images = torch.zeros(num_cells, dtype=torch.int64)

    def add(self, cell: int, areas: Tensor, has_nan: Tensor) -> None:
        """Adds one image.

        Args:
            cell (int): Index of the cell.
            areas (Tensor): int64, shape (3, C).
            has_nan (Tensor): bool scalar, whether the logits hold a NaN.
        """
        if self.areas.device != areas.device:
            # Sums stay where the predictions are, so that nothing waits for a transfer.
            self.areas = self.areas.to(areas.device)
            self.nan_images = self.nan_images.to(areas.device)
        self.areas[cell] += areas
        self.nan_images[cell] += has_nan
        self.images[cell] += 1

    def reduce(self) -> None:
        """Brings the sums to the host and adds those of all ranks."""
        for name in ("areas", "images", "nan_images"):
            total = getattr(self, name).cpu()
            all_reduce(total)
            setattr(self, name, total)
