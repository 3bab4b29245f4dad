"""Tells from the stock evaluator and the model what a run measures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from torch import nn

from mmseg_robust.engine.loops.classification_task import ClassificationTask
from mmseg_robust.engine.loops.segmentation_task import SegmentationTask
from mmseg_robust.engine.loops.task import Task
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.comparison import dataset_classes
from mmseg_robust.models.innermost import innermost


def find_task(evaluator: Evaluator, model: nn.Module, metainfo: Mapping[str, Any]) -> Task:
    """The task of a run.

    Args:
        evaluator (Evaluator): The evaluator of the test.
        model (nn.Module): The model, maybe wrapped.
        metainfo (Mapping[str, Any]): Meta information of the dataset.

    Returns:
        Task: Segmentation with the first ``IoUMetric`` (other metrics are left out with a warning),
        or classification with MMPretrain's ``Accuracy``.

    Raises:
        InputError: If the evaluator has neither, the classifier gives several labels, or the
            dataset names no classes.
    """
    from mmseg.evaluation import IoUMetric

    metrics = evaluator.metrics
    found = [metric for metric in metrics if isinstance(metric, IoUMetric)]
    if found and not found[0].format_only:
        _warn_of_others(found[0], metrics)
        return SegmentationTask(found[0], dataset_classes(metainfo), metainfo.get("palette"))
    if classifies(evaluator):
        _refuse_several_labels(model)
        return ClassificationTask(evaluator, dataset_classes(metainfo))
    raise InputError(
        "RobustnessTestLoop needs an IoUMetric without format_only (for a segmentor) or "
        "MMPretrain's Accuracy (for a classifier with one label an image) in test_evaluator, got "
        f"{', '.join(type(metric).__name__ for metric in metrics)}."
    )


def _warn_of_others(chosen: Any, metrics: list[Any]) -> None:
    for metric in metrics:
        if metric is not chosen:
            print_log(
                f"RobustnessTestLoop leaves out {type(metric).__name__} of test_evaluator.",
                "current",
                logging.WARNING,
            )


def classifies(evaluator: Evaluator) -> bool:
    """Whether an evaluator judges a classifier: by MMPretrain's ``Accuracy`` and no ``IoUMetric``.

    Args:
        evaluator (Evaluator): The evaluator of the test.
    """
    from mmseg.evaluation import IoUMetric

    if find_spec("mmpretrain") is None:
        return False
    from mmpretrain.evaluation import Accuracy

    kinds = [type(metric) for metric in evaluator.metrics]
    return any(issubclass(kind, Accuracy) for kind in kinds) and not any(
        issubclass(kind, IoUMetric) for kind in kinds
    )


def _refuse_several_labels(model: nn.Module) -> None:
    from mmpretrain.models.heads import MultiLabelClsHead, MultiTaskHead

    head = getattr(innermost(model), "head", None)
    if isinstance(head, (MultiLabelClsHead, MultiTaskHead)):
        raise InputError(
            f"RobustnessTestLoop measures the top-1 error of classifiers with one label an image, "
            f"the model has a {type(head).__name__}: test it with the stock TestLoop."
        )
