"""Counts the passes of an image where the predictions are, without making the host wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions import Cell
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.image_counts import ImageCounts
from mmseg_robust.evaluation.pending import Counter, Pending
from mmseg_robust.evaluation.pixel_counts import PassMaps, count_pass, counts_of, row_size


class PassCounter(Counter):
    """Counts the passes of one image.

    Args:
        name (str): Name of the image.
        passes (tuple[Cell, ...]): Passes of the protocol, the clean one first, those of a
            corruption in a row with rising severity.
        num_classes (int): Number of classes, C.
        ignore_index (int): Label to leave out.
    """

    def __init__(
        self, name: str, passes: tuple[Cell, ...], num_classes: int, ignore_index: int
    ) -> None:
        self.name = name
        self.passes = passes
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self._rows: Tensor | None = None
        self._compared: dict[int, int] = {}
        # Predictions that a later pass is compared with: the clean one and the last.
        self._clean: Tensor | None = None
        self._last: tuple[Cell, Tensor] | None = None

    def add(self, index: int, sample: Mapping[str, Any]) -> None:
        """Counts one pass; passes come in their order.

        Args:
            index (int): Index of the pass.
            sample (Mapping[str, Any]): A segmentor's output, as ``SegDataSample.to_dict()``
                gives it.

        Raises:
            InputError: If the sample has no label, or label or logits of another size than the
                prediction.
        """
        prediction, label = prediction_and_label(sample)
        logits = _logits(sample, prediction.numel())
        weaker = self._weaker(self.passes[index], prediction)
        self._compared[index] = 0 if weaker is None else prediction.numel()
        if self._rows is None:
            shape = len(self.passes), row_size(self.num_classes)
            self._rows = torch.zeros(shape, dtype=torch.int32, device=prediction.device)
        maps = PassMaps(prediction, label, prediction if weaker is None else weaker)
        count_pass(self._rows[index], maps, logits, self.num_classes, self.ignore_index)

    def _weaker(self, cell: Cell, prediction: Tensor) -> Tensor | None:
        """The prediction that flips are counted against; the clean pass has none."""
        if self._clean is None or cell.severity == 0:
            self._clean = prediction
            return None
        weaker = self._clean
        if self._last is not None and self._last[0].corruption == cell.corruption:
            weaker = self._last[1]
        self._last = (cell, prediction)
        return weaker

    def finish(self) -> Pending[ImageCounts]:
        """Sends the counts to the host.

        Returns:
            Pending[ImageCounts]: Of all passes.
        """
        assert self._rows is not None and len(self._compared) == len(self.passes), "passes missing"
        return Pending([self._rows], self._made)

    def _made(self, rows: np.ndarray) -> ImageCounts:
        counts = counts_of(rows, self.num_classes)
        table = np.ascontiguousarray(counts.table)
        # Flat and of bools: on the cells themselves NumPy takes several times as long.
        places = np.unravel_index(np.flatnonzero(table != 0), table.shape)
        compared = [self._compared[index] for index in range(len(self.passes))]
        return ImageCounts(
            name=self.name,
            confusion=np.stack([*places, table[places]], axis=1).astype(np.int32),
            nan=counts.nan > 0,
            flips=np.stack([counts.flips, compared], axis=1).astype(np.int64),
            confidence=counts.confidence.astype(np.int64),
        )


def with_own_logits(sample: Mapping[str, Any], data_batch: Any) -> dict[str, Any]:
    """A sample, without logits where they are not those of its prediction.

    Under test-time augmentation MMSegmentation puts the merged prediction into the sample of the
    last augmentation, beside that one's logits.

    Args:
        sample (Mapping[str, Any]): A segmentor's output as ``SegDataSample.to_dict()`` gives it.
        data_batch (Any): The batch that it comes from.

    Returns:
        dict[str, Any]: The sample.
    """
    batch = data_batch.get("data_samples") if isinstance(data_batch, dict) else None
    if batch and isinstance(batch[0], (list, tuple)):
        return {key: value for key, value in sample.items() if key != "seg_logits"}
    return dict(sample)


def prediction_and_label(sample: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """The two maps of a tested image.

    Args:
        sample (Mapping[str, Any]): A segmentor's output as ``SegDataSample.to_dict()`` gives it.

    Returns:
        tuple[Tensor, Tensor]: Class and label of each pixel, integers, shape (H * W,), on the
        prediction's device.

    Raises:
        InputError: If the sample has no label, or one of another size than the prediction.
    """
    if "gt_sem_seg" not in sample:
        raise InputError(
            f"No label came with {sample['img_path']!r}: the test pipeline needs LoadAnnotations, "
            "and the dataset a folder of labels."
        )
    prediction = sample["pred_sem_seg"]["data"].squeeze()
    label = sample["gt_sem_seg"]["data"].squeeze()
    if prediction.shape != label.shape:
        raise InputError(
            f"The prediction for {sample['img_path']!r} has {tuple(prediction.shape)} pixels, its "
            f"label {tuple(label.shape)}. Labels must have the image's own size: put "
            "LoadAnnotations after Resize in the test pipeline."
        )
    return _integers(prediction), _integers(label.to(prediction.device))


_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def _integers(values: Tensor) -> Tensor:
    """A map as a row of integers. A head with a single channel predicts floats."""
    return values.reshape(-1) if values.dtype in _INTEGERS else values.reshape(-1).long()


def _logits(sample: Mapping[str, Any], pixels: int) -> Tensor | None:
    """The logits, where the sample has them."""
    if "seg_logits" not in sample:
        return None
    logits = sample["seg_logits"]["data"]
    if logits[0].numel() != pixels:
        raise InputError(
            f"The logits for {sample['img_path']!r} have shape {tuple(logits.shape)}, its "
            f"prediction {pixels} pixels. A segmentor must give both at the same size."
        )
    return logits
