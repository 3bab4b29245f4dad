"""What the robustness loops do for a segmentor: pixels are counted, by the stock ``IoUMetric``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.runner import Runner
from PIL import Image

from mmseg_robust.corruptions import Cell
from mmseg_robust.engine.loops.cell_batches import CellBatches
from mmseg_robust.engine.loops.run_identity import model_device
from mmseg_robust.engine.loops.task import Task
from mmseg_robust.evaluation.areas import iou_by_class, mean_of_present
from mmseg_robust.evaluation.image_counts import CountSums, ImageCounts, RunCounts
from mmseg_robust.evaluation.measures import MIOU
from mmseg_robust.evaluation.pass_counts import PassCounter, with_own_logits

if TYPE_CHECKING:
    from mmseg.evaluation import IoUMetric


class SegmentationTask(Task):
    """Counts the pixels of a segmentor's outputs.

    Args:
        metric (IoUMetric): The stock metric, which also gives the ``ignore_index``.
        classes (Sequence[str]): Names of the classes.
        palette (Sequence[Sequence[int]], optional): RGB of each class, for pictures. None for grey
            levels.
    """

    measure = MIOU
    image_kind = ImageCounts

    def __init__(
        self,
        metric: IoUMetric,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]] | None,
    ) -> None:
        super().__init__(classes)
        self.metric = metric
        self.palette = palette

    def counter(self, name: str, passes: tuple[Cell, ...]) -> PassCounter:
        """See the base class."""
        return PassCounter(name, passes, len(self.classes), self.metric.ignore_index)

    def empty_sums(self, num_images: int, num_passes: int) -> CountSums:
        """See the base class."""
        return CountSums(num_images, num_passes, len(self.classes))

    def clean_metrics(self, sums: CountSums, paths: Sequence[str]) -> dict[str, float]:
        """Lets the stock metric finish its own work on counts of the clean images."""
        results = []
        for intersect, prediction, label in torch.from_numpy(sums.areas[:, 0]).float():
            results.append((intersect, prediction + label - intersect, prediction, label))
        metrics = self.metric.compute_metrics(results)
        prefix = f"{self.metric.prefix}/" if self.metric.prefix else ""
        return {f"{prefix}{key}": value for key, value in metrics.items()}

    def seen(self, sample: dict[str, Any], data_batch: Any) -> dict[str, Any]:
        """See the base class."""
        return with_own_logits(sample, data_batch)

    @property
    def saver(self) -> Callable[[Cell, Mapping[str, Any]], None] | None:
        """Saves a label map, where the metric has an ``output_dir``."""
        return None if self.metric.output_dir is None else self._save

    def _save(self, cell: Cell, sample: Mapping[str, Any]) -> None:
        """Lets the metric save, in a folder of the cell."""
        metric, folder = self.metric, self.metric.output_dir
        metric.output_dir = os.path.join(folder, str(cell))
        metric.format_only = True  # save, do not count
        os.makedirs(metric.output_dir, exist_ok=True)
        metric.process({}, [sample])
        metric.output_dir, metric.format_only = folder, False

    @torch.no_grad()
    def shown(
        self, runner: Runner, cells: CellBatches, run: RunCounts, image: int, index: int
    ) -> dict[str, Any]:
        """Label and prediction as pictures; the image is tested again for them."""
        sample = runner.model.test_step(cells.one(image, index, model_device(runner.model)))[0]
        label = sample.gt_sem_seg.data.squeeze().cpu().numpy()
        prediction = sample.pred_sem_seg.data.squeeze().cpu().numpy()
        return {
            "mIoU": float(mean_of_present(iou_by_class(run.areas[image, index]))),
            "ground_truth": Image.fromarray(self._coloured(label)),
            "prediction": Image.fromarray(self._coloured(prediction)),
        }

    def _coloured(self, classes: np.ndarray) -> np.ndarray:
        """A label map in the colours of its classes, black where it is no class."""
        palette = self.palette
        if palette is None:
            palette = [[32 + 23 * index % 224] * 3 for index in range(int(classes.max()) + 1)]
        table = np.zeros((max(len(palette), 256) + 1, 3), np.uint8)
        table[: len(palette)] = np.asarray(palette, np.uint8)
        places = np.where((classes >= 0) & (classes < len(palette)), classes, len(table) - 1)
        return table[places.astype(np.int64)]
