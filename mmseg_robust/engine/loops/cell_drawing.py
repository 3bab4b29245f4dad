"""Lets the stock visualization hook draw the outputs of a robustness run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mmengine.visualization import Visualizer

if TYPE_CHECKING:
    from mmseg.structures import SegDataSample

    from mmseg_robust.datasets.corrupted import CorruptedDataset


@contextmanager
def drawing_by_cell(visualizer: Visualizer, dataset: CorruptedDataset) -> Iterator[None]:
    """While the block runs, drawn samples show what the model saw, under a name of their own.

    ``SegVisualizationHook`` paints on the image file that a sample names and calls the picture
    after that file: each cell would paint on the clean image and overwrite the one before. Here
    the image is the corrupted one, and ``test_x.png`` becomes ``fog_3_test_x.png``.

    Args:
        visualizer (Visualizer): The runner's visualizer.
        dataset (CorruptedDataset): The dataset that the samples come from.
    """
    from mmseg_robust.datasets.corrupted import CELL_KEY, IMAGE_KEY

    draw = visualizer.add_datasample

    def add_datasample(
        name: str, image: Any, data_sample: SegDataSample, *args: Any, **kwargs: Any
    ) -> None:
        cell = data_sample.metainfo[CELL_KEY]
        image = dataset.image(data_sample.metainfo[IMAGE_KEY], cell)
        prefix = str(dataset.protocol.passes[cell]).replace("/", "_")
        draw(f"{prefix}_{name}", image[..., ::-1].copy(), data_sample, *args, **kwargs)

    visualizer.add_datasample = add_datasample
    try:
        yield
    finally:
        del visualizer.add_datasample
