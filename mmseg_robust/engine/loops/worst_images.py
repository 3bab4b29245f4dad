"""The images that a model does worst on, with what it saw and what it said."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from PIL import Image

from mmseg_robust.corruptions import Protocol
from mmseg_robust.engine.loops.cell_batches import CellBatches
from mmseg_robust.engine.loops.run_identity import model_device
from mmseg_robust.evaluation.areas import iou_by_class, mean_of_present
from mmseg_robust.evaluation.image_counts import RunCounts

COUNT = 6
"""Images that a report shows."""


def worst_cells(counts: RunCounts, number: int = COUNT) -> list[tuple[int, int, float]]:
    """The images with the lowest mean over their corrupted passes, each in its worst pass.

    Args:
        counts (RunCounts): Counts of a run.
        number (int): Largest number of images. Defaults to ``COUNT``.

    Returns:
        list[tuple[int, int, float]]: Index of the image and of the pass, and its mIoU in percent
        over the classes that the image has or the model saw; the worst image first. Images without
        labels are left out.
    """
    scores = image_scores(counts)[:, 1:]
    labelled = np.flatnonzero(~np.isnan(scores).all(1))
    order = labelled[np.argsort(np.nanmean(scores[labelled], 1), kind="stable")][:number]
    worst = [int(np.nanargmin(scores[image])) for image in order]
    return [(int(i), p + 1, float(scores[i, p])) for i, p in zip(order, worst)]


def image_scores(counts: RunCounts) -> np.ndarray:
    """mIoU of each image in each pass.

    Args:
        counts (RunCounts): Counts of a run.

    Returns:
        np.ndarray: Percent, shape (N, K); NaN for images without labels.
    """
    # Image by image: float64 of all would be several times the counts.
    return np.stack([mean_of_present(iou_by_class(image)) for image in counts.areas])


@torch.no_grad()
def picture_worst(
    runner: Runner, cells: CellBatches, protocol: Protocol, counts: RunCounts, palette: Any
) -> list[dict[str, Any]]:
    """Tests the worst images again and draws them.

    Args:
        runner (Runner): The runner, with its model in evaluation.
        cells (CellBatches): Where the images come from.
        protocol (Protocol): The protocol.
        counts (RunCounts): Counts of the run.
        palette (Any): RGB of each class; None for grey levels.

    Returns:
        list[dict[str, Any]]: As :func:`mmseg_robust.evaluation.page.write_page` takes them.
    """
    device = model_device(runner.model)
    shown = []
    for image, index, score in worst_cells(counts):
        sample = runner.model.test_step(cells.one(image, index, device))[0]
        label = sample.gt_sem_seg.data.squeeze().cpu().numpy()
        prediction = sample.pred_sem_seg.data.squeeze().cpu().numpy()
        shown.append(
            {
                "name": counts.names[image],
                "cell": str(protocol.passes[index]),
                "mIoU": score,
                "picture": _png(cells.image(image, index)[..., ::-1]),
                "ground_truth": _png(_coloured(label, palette)),
                "prediction": _png(_coloured(prediction, palette)),
            }
        )
    return shown


def _coloured(classes: np.ndarray, palette: Sequence[Sequence[int]] | None) -> np.ndarray:
    """A label map in the colours of its classes, black where it is no class."""
    if palette is None:
        palette = [[32 + 23 * index % 224] * 3 for index in range(int(classes.max()) + 1)]
    table = np.zeros((max(len(palette), 256) + 1, 3), np.uint8)
    table[: len(palette)] = np.asarray(palette, np.uint8)
    places = np.where((classes >= 0) & (classes < len(palette)), classes, len(table) - 1)
    return table[places.astype(np.int64)]


def _png(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "PNG")
    return buffer.getvalue()
