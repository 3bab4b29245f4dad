"""Areas and scores against MMSegmentation's IoUMetric."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmseg_robust.corruptions import CLEAN
from mmseg_robust.evaluation.areas import cell_scores, iou_by_class, mean_of_present
from mmseg_robust.evaluation.image_counts import join_images
from mmseg_robust.evaluation.pass_counts import PassCounter


def areas_of(
    prediction: torch.Tensor, label: torch.Tensor, classes: int, ignore_index: int
) -> list[list[int]]:
    counter = PassCounter("a.png", (CLEAN,), classes, ignore_index)
    counter.add(0, {"pred_sem_seg": {"data": prediction}, "gt_sem_seg": {"data": label}})
    return join_images([counter.finish().wait()], 1, classes).total_areas[0].tolist()


@pytest.mark.parametrize("ignore_index", [255, 2])
@pytest.mark.parametrize("classes", [2, 5])
def test_areas_equal_the_stock_metric(ignore_index: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    # Values past the classes and the ignored one occur in both.
    values = torch.tensor([*range(7), 255])
    label = values[torch.randint(8, (40, 50), generator=generator)]
    prediction = values[torch.randint(7, (40, 50), generator=generator)]
    expected = IoUMetric.intersect_and_union(prediction, label, classes, ignore_index)
    found = areas_of(prediction, label, classes, ignore_index)
    for row, reference in zip(found, (expected[0], expected[2], expected[3])):
        assert row == reference.tolist()


def test_areas_by_hand() -> None:
    prediction = torch.tensor([[0, 1, 1], [2, 2, 0]])
    label = torch.tensor([[0, 1, 0], [2, 255, 255]])
    assert areas_of(prediction, label, 4, 255) == [[1, 1, 1, 0], [1, 2, 1, 0], [2, 1, 1, 0]]


def test_a_binary_head_predicts_floats() -> None:
    prediction = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    label = torch.tensor([[0, 1], [0, 1]], dtype=torch.uint8)
    assert areas_of(prediction, label, 2, 255) == [[1, 2], [1, 3], [2, 2]]


def test_scores_equal_the_stock_metric() -> None:
    areas = torch.tensor([[5, 0, 3, 0], [6, 0, 9, 2], [8, 4, 5, 0]])
    stock = IoUMetric.total_area_to_metrics(
        areas[0].double(), (areas[1] + areas[2] - areas[0]).double(), areas[1], areas[2].double()
    )
    scores = cell_scores(areas.numpy())
    np.testing.assert_allclose(scores.iou, 100 * stock["IoU"])
    assert scores.mIoU == pytest.approx(100 * np.nanmean(stock["IoU"]))
    assert scores.mAcc == pytest.approx(100 * np.nanmean(stock["Acc"]))
    assert scores.aAcc == pytest.approx(100 * stock["aAcc"])


def test_absent_classes_and_labels_are_nan() -> None:
    scores = cell_scores(np.array([[3, 0], [3, 0], [3, 0]]))
    assert scores.mIoU == 100
    assert math.isnan(scores.iou[1])
    nothing = cell_scores(np.zeros((3, 2), np.int64))
    assert all(math.isnan(value) for value in (nothing.mIoU, nothing.aAcc, nothing.mAcc))


def test_means_over_classes_go_along_the_last_axis() -> None:
    areas = np.array([[[3, 0], [3, 0], [6, 0]], [[1, 1], [1, 1], [1, 4]]], np.int32)
    np.testing.assert_array_equal(iou_by_class(areas), [[50, math.nan], [100, 25]])
    np.testing.assert_array_equal(mean_of_present(iou_by_class(areas)), [50, 62.5])


def test_pixels_beyond_int32_are_counted() -> None:
    areas = np.full((3, 1), 2**40)
    areas[0] -= 2**20
    assert cell_scores(areas).mIoU == 100 * (2**40 - 2**20) / (2**40 + 2**20)
