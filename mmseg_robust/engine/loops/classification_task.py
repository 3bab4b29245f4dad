"""What the robustness loops do for a classifier: predictions are kept, beside stock metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner

from mmseg_robust.corruptions import Cell
from mmseg_robust.engine.loops.cell_batches import CellBatches
from mmseg_robust.engine.loops.task import Task
from mmseg_robust.evaluation.image_predictions import (
    ImagePredictions,
    PredictionSums,
    RunPredictions,
)
from mmseg_robust.evaluation.measures import TOP1_ERROR
from mmseg_robust.evaluation.prediction_counter import PredictionCounter


class ClassificationTask(Task):
    """Keeps the predictions of a classifier.

    Args:
        evaluator (Evaluator): The stock evaluator, whose metrics all see the clean images.
        classes (Sequence[str]): Names of the classes.
    """

    measure = TOP1_ERROR
    image_kind = ImagePredictions

    def __init__(self, evaluator: Evaluator, classes: Sequence[str]) -> None:
        super().__init__(classes)
        self.evaluator = evaluator

    def counter(self, name: str, passes: tuple[Cell, ...]) -> PredictionCounter:
        """See the base class."""
        return PredictionCounter(name, passes, len(self.classes))

    def empty_sums(self, num_images: int, num_passes: int) -> PredictionSums:
        """See the base class."""
        return PredictionSums(num_images, num_passes, len(self.classes))

    def clean_metrics(self, sums: PredictionSums, paths: Sequence[str]) -> dict[str, float]:
        """Shows the stock metrics the clean images as the stock test does, shared by the ranks."""
        from mmpretrain.structures import DataSample

        count, ranks = len(paths), get_world_size()
        # As many for each rank, as the stock sampler gives them: the metric drops the surplus.
        for turn in range(math.ceil(count / ranks)):
            image = (turn * ranks + get_rank()) % count
            sample = DataSample(metainfo={"img_path": paths[image]})
            sample.set_gt_label(int(sums.label[image]))
            sample.set_pred_score(torch.from_numpy(sums.clean_scores[image]))
            sample.set_pred_label(int(sums.predictions[image, 0]))
            self.evaluator.process([sample])
        return self.evaluator.evaluate(count)

    def shown(
        self, runner: Runner, cells: CellBatches, run: RunPredictions, image: int, index: int
    ) -> dict[str, Any]:
        """Label and prediction by name."""
        return {
            "label": self.classes[run.label[image]],
            "predicted": self.classes[run.predictions[image, index]],
            "confidence": 100 * float(run.confidence[image, index]),
        }
