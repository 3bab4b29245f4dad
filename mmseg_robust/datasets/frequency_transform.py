"""DFM-X as a step of a data pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from torch import Tensor

from mmseg_robust.augmentations import DominantFrequencies, FrequencyMaps, classes_in
from mmseg_robust.errors import InputError

IGNORED = 255
"""Label of pixels without one, as OpenMMLab's pipelines hold it."""
_LABELS = {"segmentation": "gt_seg_map", "classification": "gt_label"}


@TRANSFORMS.register_module()
class KeepDominantFrequencies(BaseTransform):
    """Reduces some images to the dominant frequencies of a class that they do not show (DFM-X).

    :class:`~mmseg_robust.augmentations.DominantFrequencies` on the host, for a stock model: in a
    pipeline of MMSegmentation or MMPretrain, behind the labels' loader and what crops, before
    normalisation and packing. All channels are filtered alike, so BGR and RGB are the same to it.
    One number an image is drawn from NumPy's global random state, as stock transforms do: MMEngine
    seeds it in each worker.

    Required keys: ``img`` (shape (H, W, 3), 0 to 255), and for maps of a segmentor ``gt_seg_map``
    (shape (H, W)), of a classifier ``gt_label`` (one number or several). Modified: ``img``, of the
    same type; whole numbers are rounded.

    Args:
        maps (str | Path | FrequencyMaps): The maps, or their file. Images must be at least as
            large.
        prob (float): Probability that an image draws a class, 0 to 1. Defaults to 0.3.

    Raises:
        InputError: If a value is wrong; later, if an image is smaller than the maps, or it has no
            labels or those of other classes.

    Example:
        >>> dict(type='KeepDominantFrequencies', maps='work_dirs/plain/dominant_frequencies.npz')
    """

    def __init__(self, maps: str | Path | FrequencyMaps, prob: float = 0.3) -> None:
        self.augmentation = DominantFrequencies(maps, prob)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Filters one image, or leaves it as it is.

        Args:
            results (dict[str, Any]): What the pipeline holds so far.

        Returns:
            dict[str, Any]: The same dict; ``img`` is a new array if it draws a class.

        Raises:
            InputError: If an image that draws a class or its labels are not as required. The
                message names its file.
        """
        seed = int(np.random.randint(2**63 - 1, dtype=np.int64))
        if self.augmentation.draw([seed]) == [None]:
            return results
        image = results["img"]
        try:
            present = self._present(results)
            channels_first = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
            altered = self.augmentation(torch.from_numpy(channels_first)[None], seed, present)
        except InputError as error:
            raise InputError(f"{results.get('img_path')}: {error}") from error
        array = altered[0].permute(1, 2, 0).numpy()
        array = array.round() if np.issubdtype(image.dtype, np.integer) else array
        results["img"] = np.ascontiguousarray(array.astype(image.dtype))
        return results

    def _present(self, results: dict[str, Any]) -> Tensor:
        """Which classes the image shows, bool, (1, K)."""
        maps = self.augmentation.maps
        key, count = _LABELS[maps.task], len(maps.classes)
        if key not in results:
            raise InputError(
                f"The frequency maps are those of {maps.task}, and the pipeline holds no {key}: "
                "put KeepDominantFrequencies behind the labels' loader."
            )
        labels = np.unique(results[key]).astype(np.int64)
        wrong = (labels < 0) | ((labels >= count) & (labels != IGNORED))
        if wrong.any():
            raise InputError(
                f"The label {labels[wrong][0]} is none of the {count} classes of the frequency "
                "maps. Use maps of a model for the same classes."
            )
        return classes_in(torch.from_numpy(labels)[None], count)

    def __repr__(self) -> str:
        return f"KeepDominantFrequencies({self.augmentation!r})"
