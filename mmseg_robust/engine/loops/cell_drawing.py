"""Lets the stock visualization hooks draw the outputs of a robustness run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

if TYPE_CHECKING:
    from mmseg_robust.corruptions import Protocol


def is_drawing(runner: Runner) -> bool:
    """Whether a hook draws predictions.

    Args:
        runner (Runner): The runner.

    Returns:
        bool: True if a visualization hook is switched on: ``draw`` of MMSegmentation's, ``enable``
        of MMPretrain's.
    """
    return any(
        getattr(hook, "draw", False) is True
        or (type(hook).__name__ == "VisualizationHook" and getattr(hook, "enable", False) is True)
        for hook in runner.hooks
    )


@contextmanager
def drawing_by_cell(
    visualizer: Visualizer, protocol: Protocol, image_of: Callable[[int, int], np.ndarray]
) -> Iterator[None]:
    """While the block runs, drawn samples show what the model saw, in a folder of their cell.

    The stock hooks call a picture after the image's file, so that each cell would overwrite the one
    before; here ``test_x.png`` becomes ``fog/3/test_x.png``. ``SegVisualizationHook`` also paints
    on that file, which is the clean image: it is given the corrupted one. MMPretrain's hook paints
    on what the model was given.

    Args:
        visualizer (Visualizer): The runner's visualizer.
        protocol (Protocol): The protocol.
        image_of (Callable[[int, int], np.ndarray]): Image by index of image and cell: BGR, uint8,
            shape (H, W, 3).
    """
    from mmseg_robust.datasets.clean_images import CELL_KEY, IMAGE_KEY

    draw, draw_class = visualizer.add_datasample, getattr(visualizer, "visualize_cls", None)

    def add_datasample(name: str, image: Any, data_sample: Any, *args: Any, **kwargs: Any) -> None:
        cell = data_sample.metainfo[CELL_KEY]
        folder = str(protocol.passes[cell])
        image = image_of(data_sample.metainfo[IMAGE_KEY], cell)
        _make_folder(visualizer, folder)
        draw(f"{folder}/{name}", image[..., ::-1].copy(), data_sample, *args, **kwargs)

    def visualize_cls(name: str, data_sample: Any, **kwargs: Any) -> None:
        folder = str(protocol.passes[data_sample.metainfo[CELL_KEY]])
        if kwargs.get("out_file") is not None:
            head, tail = os.path.split(kwargs["out_file"])
            kwargs["out_file"] = os.path.join(head, folder, tail)
        else:
            _make_folder(visualizer, folder)
        assert draw_class is not None
        draw_class(name=f"{folder}/{name}", data_sample=data_sample, **kwargs)

    visualizer.add_datasample = add_datasample
    if draw_class is not None:
        visualizer.visualize_cls = visualize_cls
    try:
        yield
    finally:
        del visualizer.add_datasample
        if draw_class is not None:
            del visualizer.visualize_cls


def _make_folder(visualizer: Visualizer, folder: str) -> None:
    """The local backend writes into folders but makes none."""
    for backend in getattr(visualizer, "_vis_backends", {}).values():
        root = getattr(backend, "_img_save_dir", None)
        if root is not None:
            os.makedirs(os.path.join(root, folder), exist_ok=True)
