"""What the robustness loop lets the stock ``IoUMetric`` do."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log

from mmseg_robust.errors import InputError

if TYPE_CHECKING:
    from mmseg.evaluation import IoUMetric


def find_iou_metric(evaluator: Evaluator) -> IoUMetric:
    """The IoUMetric of an evaluator.

    Args:
        evaluator (Evaluator): The evaluator of the test.

    Returns:
        IoUMetric: The first one; what else is there is left out with a warning.

    Raises:
        InputError: If there is none that counts.
    """
    from mmseg.evaluation import IoUMetric

    found = [metric for metric in evaluator.metrics if isinstance(metric, IoUMetric)]
    if not found or found[0].format_only:
        raise InputError(
            "RobustnessTestLoop needs an IoUMetric without format_only in test_evaluator, got "
            f"{', '.join(type(metric).__name__ for metric in evaluator.metrics)}."
        )
    for metric in evaluator.metrics:
        if metric is not found[0]:
            print_log(
                f"RobustnessTestLoop leaves out {type(metric).__name__} of test_evaluator.",
                "current",
                logging.WARNING,
            )
    return found[0]


def clean_metrics(metric: IoUMetric, areas: np.ndarray) -> dict[str, float]:
    """Lets the metric finish its own work on counts of the clean images.

    Args:
        metric (IoUMetric): The metric.
        areas (np.ndarray): Counts of each image in the order of the dataset, shape (N, 3, C).

    Returns:
        dict[str, float]: What the stock test returns.
    """
    results = []
    for intersect, prediction, label in torch.from_numpy(areas).float():
        results.append((intersect, prediction + label - intersect, prediction, label))
    metrics = metric.compute_metrics(results)
    prefix = f"{metric.prefix}/" if metric.prefix else ""
    return {f"{prefix}{key}": value for key, value in metrics.items()}


def save_label_map(metric: IoUMetric, cell: str, sample: dict[str, Any]) -> None:
    """Lets the metric save a prediction, in a folder of its cell.

    Args:
        metric (IoUMetric): A metric with an ``output_dir``.
        cell (str): The cell, as a path.
        sample (dict[str, Any]): A segmentor's output as ``SegDataSample.to_dict()`` gives it.
    """
    folder = metric.output_dir
    metric.output_dir = os.path.join(folder, cell)
    metric.format_only = True  # save, do not count
    os.makedirs(metric.output_dir, exist_ok=True)
    metric.process({}, [sample])
    metric.output_dir, metric.format_only = folder, False
