"""Lets the stock visualization hook draw the outputs of a robustness run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

if TYPE_CHECKING:
    from mmseg.structures import SegDataSample

    from mmseg_robust.corruptions import Protocol


def is_drawing(runner: Runner) -> bool:
    """Whether a hook draws predictions.

    Args:
        runner (Runner): The runner.

    Returns:
        bool: True if a visualization hook is switched on.
    """
    return any(getattr(hook, "draw", False) is True for hook in runner.hooks)


@contextmanager
def drawing_by_cell(
    visualizer: Visualizer, protocol: Protocol, image_of: Callable[[int, int], np.ndarray]
) -> Iterator[None]:
    """While the block runs, drawn samples show what the model saw, in a folder of their cell.

    ``SegVisualizationHook`` paints on the image file that a sample names and calls the picture
    after that file: each cell would paint on the clean image and overwrite the one before. Here
    the image is the corrupted one, and ``test_x.png`` becomes ``fog/3/test_x.png``.

    Args:
        visualizer (Visualizer): The runner's visualizer.
        protocol (Protocol): The protocol.
        image_of (Callable[[int, int], np.ndarray]): Image by index of image and cell: BGR, uint8,
            shape (H, W, 3).
    """
    from mmseg_robust.datasets.clean_images import CELL_KEY, IMAGE_KEY

    draw = visualizer.add_datasample

    def add_datasample(
        name: str, image: Any, data_sample: SegDataSample, *args: Any, **kwargs: Any
    ) -> None:
        cell = data_sample.metainfo[CELL_KEY]
        folder = str(protocol.passes[cell])
        image = image_of(data_sample.metainfo[IMAGE_KEY], cell)
        for backend in getattr(visualizer, "_vis_backends", {}).values():
            # The local backend writes into folders but makes none.
            root = getattr(backend, "_img_save_dir", None)
            if root is not None:
                os.makedirs(os.path.join(root, folder), exist_ok=True)
        draw(f"{folder}/{name}", image[..., ::-1].copy(), data_sample, *args, **kwargs)

    visualizer.add_datasample = add_datasample
    try:
        yield
    finally:
        del visualizer.add_datasample
