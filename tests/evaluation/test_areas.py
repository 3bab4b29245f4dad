"""Pixel counts and scores against MMSegmentation's IoUMetric."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.areas import CellCounts, cell_scores, count_areas, count_sample


@pytest.mark.parametrize("ignore_index", [255, 2])
@pytest.mark.parametrize("classes", [2, 5])
def test_counts_equal_the_stock_metric(ignore_index: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    # Values past the classes and the ignored one occur in both.
    values = torch.tensor([*range(7), 255])
    label = values[torch.randint(8, (40, 50), generator=generator)]
    prediction = values[torch.randint(7, (40, 50), generator=generator)]
    expected = IoUMetric.intersect_and_union(prediction, label, classes, ignore_index)
    areas = count_areas(prediction, label, classes, ignore_index)
    assert areas.dtype == torch.int64
    for row, reference in zip(areas, (expected[0], expected[2], expected[3])):
        assert row.tolist() == reference.tolist()


def test_counts_by_hand() -> None:
    prediction = torch.tensor([[0, 1, 1], [2, 2, 0]])
    label = torch.tensor([[0, 1, 0], [2, 255, 255]])
    assert count_areas(prediction, label, 4, 255).tolist() == [
        [1, 1, 1, 0],
        [1, 2, 1, 0],
        [2, 1, 1, 0],
    ]


def test_a_binary_head_predicts_floats() -> None:
    prediction = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    label = torch.tensor([[0, 1], [0, 1]], dtype=torch.uint8)
    assert count_areas(prediction, label, 2, 255).tolist() == [[1, 2], [1, 3], [2, 2]]


def test_scores_equal_the_stock_metric() -> None:
    areas = torch.tensor([[5, 0, 3, 0], [6, 0, 9, 2], [8, 4, 5, 0]])
    stock = IoUMetric.total_area_to_metrics(
        areas[0].double(), (areas[1] + areas[2] - areas[0]).double(), areas[1], areas[2].double()
    )
    scores = cell_scores(areas)
    np.testing.assert_allclose(scores.iou, 100 * stock["IoU"])
    assert scores.mIoU == pytest.approx(100 * np.nanmean(stock["IoU"]))
    assert scores.mAcc == pytest.approx(100 * np.nanmean(stock["Acc"]))
    assert scores.aAcc == pytest.approx(100 * stock["aAcc"])


def test_absent_classes_and_labels_are_nan() -> None:
    scores = cell_scores(torch.tensor([[3, 0], [3, 0], [3, 0]]))
    assert scores.mIoU == 100
    assert math.isnan(scores.iou[1])
    nothing = cell_scores(torch.zeros(3, 2, dtype=torch.int64))
    assert all(math.isnan(value) for value in (nothing.mIoU, nothing.aAcc, nothing.mAcc))


def test_sums_stay_exact_where_float32_does_not() -> None:
    counts = CellCounts(1, 1)
    large = torch.full((3, 1), 2**24, dtype=torch.int64)
    for areas in (large, large // large):
        counts.add(0, areas, torch.tensor(False))
    counts.reduce()
    assert counts.areas[0, 0, 0] == 2**24 + 1
    assert counts.images.tolist() == [2]


def sample(**changes: torch.Tensor) -> dict:
    values = {"pred_sem_seg": torch.zeros(1, 2, 3, dtype=torch.int64), **changes}
    values.setdefault("gt_sem_seg", torch.zeros(1, 2, 3, dtype=torch.int64))
    return {"img_path": "a/b.png", **{name: {"data": value} for name, value in values.items()}}


def test_nan_among_the_logits_is_seen() -> None:
    logits = torch.zeros(4, 2, 3)
    assert not count_sample(sample(seg_logits=logits), 4, 255)[1]
    logits[2, 1, 1] = float("nan")
    assert count_sample(sample(seg_logits=logits), 4, 255)[1]
    logits[2, 1, 1] = float("inf")
    assert not count_sample(sample(seg_logits=logits), 4, 255)[1]


def test_samples_that_cannot_be_counted_are_named() -> None:
    with pytest.raises(InputError, match=r"'a/b.png' has \(2, 3\) pixels, its label \(4, 3\)"):
        count_sample(sample(gt_sem_seg=torch.zeros(1, 4, 3)), 4, 255)
    unlabelled = sample()
    del unlabelled["gt_sem_seg"]
    with pytest.raises(InputError, match=r"No label came with 'a/b\.png'"):
        count_sample(unlabelled, 4, 255)
