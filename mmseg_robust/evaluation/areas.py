"""Scores from pixel counts by class, by the formulas of MMSegmentation's ``IoUMetric``.

An areas array holds three rows of counts by class: pixels where prediction and label agree,
predicted pixels, labelled pixels. Pixels with the ignored label do not count. A prediction or label
outside the classes belongs to no class, while its counterpart still counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INTERSECT, PREDICTION, LABEL = range(3)
"""Rows of an areas array."""


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


def cell_scores(areas: np.ndarray) -> CellScores:
    """Scores from counts, by the formulas of ``IoUMetric``.

    Args:
        areas (np.ndarray): Summed counts, integers, shape (3, C), see above.

    Returns:
        CellScores: The scores.
    """
    intersect, _, label = areas.astype(np.float64)
    iou = iou_by_class(areas)
    return CellScores(
        mIoU=float(mean_of_present(iou)),
        aAcc=float(_percentage(intersect.sum(), label.sum())),
        mAcc=float(mean_of_present(_percentage(intersect, label))),
        iou=tuple(iou.tolist()),
    )


def iou_by_class(areas: np.ndarray) -> np.ndarray:
    """Intersection over union.

    Args:
        areas (np.ndarray): Summed counts, shape (..., 3, C), see above.

    Returns:
        np.ndarray: Percent, float64, shape (..., C); NaN where a class is neither labelled nor
        predicted.
    """
    intersect, prediction, label = np.moveaxis(areas.astype(np.float64, copy=False), -2, 0)
    return _percentage(intersect, prediction + label - intersect)


def mean_of_present(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN.

    Args:
        values (np.ndarray): float64, shape (..., C).

    Returns:
        np.ndarray: float64, shape (...); NaN where all are NaN.
    """
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):  # 0 / 0, which gives the NaN that is meant
        return np.where(present, values, 0.0).sum(-1) / present.sum(-1)


def _percentage(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return 100 * part / whole
