"""CamVid with the 11 classes of the SegNet tutorial."""

from __future__ import annotations

from typing import Any, ClassVar

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid: road scenes filmed from a car, 701 frames in three splits (367/101/233).

    Data: Brostow, Fauqueur, Cipolla, "Semantic Object Classes in Video: A High-Definition Ground
    Truth Database", Pattern Recognition Letters 2009. Classes, their order and colours, split and
    size (480 by 360 pixels) are those of the SegNet tutorial. Label maps hold 0 to 10; 255 is void
    and takes part in neither loss nor measure. ``tools/dataset_converters/camvid.py`` makes the
    layout ``images/{split}/NAME.png``, ``labels/{split}/NAME.png``.

    Args:
        img_suffix (str): End of the image file names. Default: '.png'.
        seg_map_suffix (str): End of the label map file names. Default: '.png'.
        **kwargs: All that ``mmseg.datasets.BaseSegDataset`` takes.
    """

    METAINFO: ClassVar[dict[str, Any]] = {
        'classes': (
            'Sky', 'Building', 'Pole', 'Road', 'Pavement', 'Tree', 'SignSymbol', 'Fence', 'Car',
            'Pedestrian', 'Bicyclist',
        ),
        'palette': [
            [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222],
            [128, 128, 0], [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0],
            [0, 128, 192],
        ],
    }  # fmt: skip

    def __init__(
        self, img_suffix: str = ".png", seg_map_suffix: str = ".png", **kwargs: Any
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
