"""The images that a model does worst on, with what it saw and what it said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.runner import Runner
from PIL import Image

from mmseg_robust.corruptions import Protocol
from mmseg_robust.engine.loops.cell_batches import CellBatches
from mmseg_robust.evaluation.results import RunResult

if TYPE_CHECKING:
    from mmseg_robust.engine.loops.task import Task

COUNT = 6
"""Images that a report shows."""


def worst_cells(run: RunResult, number: int = COUNT) -> list[tuple[int, int]]:
    """The images with the lowest mean over their corrupted passes, each in its worst pass.

    Args:
        run (RunResult): A run.
        number (int): Largest number of images. Defaults to ``COUNT``.

    Returns:
        list[tuple[int, int]]: Index of the image and of the pass, the worst image first. Images
        without labels are left out.
    """
    scores = run.image_scores()[:, 1:]
    labelled = np.flatnonzero(~np.isnan(scores).all(1))
    order = labelled[np.argsort(np.nanmean(scores[labelled], 1), kind="stable")][:number]
    return [(int(image), int(np.nanargmin(scores[image])) + 1) for image in order]


def picture_worst(
    task: Task, runner: Runner, cells: CellBatches, protocol: Protocol, run: RunResult
) -> list[dict[str, Any]]:
    """Makes the worst images again.

    Args:
        task (Task): What the run measures.
        runner (Runner): The runner, with its model in evaluation.
        cells (CellBatches): Where the images come from.
        protocol (Protocol): The protocol.
        run (RunResult): The run.

    Returns:
        list[dict[str, Any]]: As :func:`mmseg_robust.evaluation.page.write_page` takes them.
    """
    return [
        {
            "name": run.names[image],
            "cell": str(protocol.passes[index]),
            "picture": Image.fromarray(np.ascontiguousarray(cells.image(image, index)[..., ::-1])),
            **task.shown(runner, cells, run, image, index),
        }
        for image, index in worst_cells(run)
    ]
