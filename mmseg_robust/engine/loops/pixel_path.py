"""Does to pixels on the device what the stock test pipeline does on the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmcv.transforms import BaseTransform, RandomFlip, Resize, TestTimeAug
from mmengine.dataset import Compose
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmseg_robust.datasets.clean_images import CELL_KEY
from mmseg_robust.engine.loops.opencv_resize import opencv_resize
from mmseg_robust.errors import InputError

_KEEP_PIXELS = ("LoadAnnotations", "PackSegInputs", "PackInputs")
"""Stock transforms that leave the pixels alone."""

_STOCK = ("mmseg.", "mmcv.", "mmpretrain.")

_FLIPS = {"horizontal": (-1,), "vertical": (-2,), "diagonal": (-2, -1)}


def unknown_transforms(tails: Sequence[Compose]) -> list[str]:
    """Transforms behind the place of the corruption that the device path does not know.

    Args:
        tails (Sequence[Compose]): Pipelines from where corruptions act.

    Returns:
        list[str]: Their class names; empty if the device path can be taken.
    """
    names = []
    for tail in tails:
        for transform in tail.transforms:
            if isinstance(transform, TestTimeAug):
                names += unknown_transforms(transform.subroutines)
            elif not _is_known(transform):
                names.append(type(transform).__name__)
    return list(dict.fromkeys(names))


def _is_known(transform: BaseTransform) -> bool:
    # Subclasses may do anything: the class itself is asked for. MMSegmentation's RandomFlip and
    # mmcv's share what they do to an image.
    kind = type(transform)
    if kind.__name__ in _KEEP_PIXELS and kind.__module__.startswith(_STOCK):
        return True
    if kind is Resize or (kind.__name__ == "Resize" and kind.__module__.startswith("mmseg.")):
        return transform.interpolation == "bilinear" and transform.backend == "cv2"
    return isinstance(transform, RandomFlip) and kind.__module__.startswith(_STOCK)


def make_item(item: dict[str, Any], pixels: Tensor, cell: int) -> dict[str, Any]:
    """A pipeline's item with other pixels.

    Args:
        item (dict[str, Any]): What the pipeline made of the clean image: ``inputs`` and
            ``data_samples``, each one or, for test-time augmentation, a list.
        pixels (Tensor): The image of the size that it is corrupted at, uint8, shape (3, H, W).
        cell (int): Index of the cell that the pixels are in.

    Returns:
        dict[str, Any]: An item of the same form; its samples share the labels.
    """
    samples = item["data_samples"]
    if not isinstance(samples, (list, tuple)):
        inputs, sample = _one(samples, pixels, cell)
        return {"inputs": inputs, "data_samples": sample}
    pairs = [_one(sample, pixels, cell) for sample in samples]
    return {"inputs": [pair[0] for pair in pairs], "data_samples": [pair[1] for pair in pairs]}


def _one(sample: Any, pixels: Tensor, cell: int) -> tuple[Tensor, Any]:
    height, width = sample.get("img_shape", pixels.shape[1:])[
        :2
    ]  # PackInputs can be told to drop it
    inputs = opencv_resize(pixels[None], height, width)[0]
    if sample.metainfo.get("flip"):
        inputs = inputs.flip(_FLIPS[sample.flip_direction])
    sample = sample.clone()
    sample.set_metainfo({CELL_KEY: cell})
    return inputs, sample


class CleanCheck:
    """Compares the clean pixels of the two ways, an image late, so that nothing waits for it.

    The transforms are known by name; this shows for every image that they did what is expected,
    before its counts are stored.
    """

    def __init__(self) -> None:
        self._pending: tuple[Tensor, torch.cuda.Event | None] | None = None

    def add(self, item: dict[str, Any], pixels: Tensor) -> None:
        """Ends the comparison of the image before, and begins that of another.

        Args:
            item (dict[str, Any]): What the pipeline made of the clean image, on the device.
            pixels (Tensor): The clean image of the size that it is corrupted at, uint8, shape
                (3, H, W).

        Raises:
            InputError: If the ways differ for the image before, or in the size of this one.
        """
        self.finish()
        made = make_item(item, pixels, 0)["inputs"]
        pairs = [(item["inputs"], made)] if isinstance(made, Tensor) else zip(item["inputs"], made)
        equal = pixels.new_ones((), dtype=torch.bool)
        for theirs, ours in pairs:
            if theirs.shape != ours.shape:
                self._fail()
            equal &= (theirs == ours).all()
        if not equal.is_cuda:
            self._pending = equal, None
            return
        host = torch.empty((), dtype=torch.bool, pin_memory=True)
        host.copy_(equal, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self._pending = host, arrived

    def finish(self) -> None:
        """Ends the comparison of the last image.

        Raises:
            InputError: If the ways differ.
        """
        if self._pending is None:
            return
        equal, arrived = self._pending
        if arrived is not None:
            arrived.synchronize()
        if not bool(equal):
            self._fail()

    def _fail(self) -> None:
        raise InputError(
            "The test pipeline does something to the pixels that the device does not: set "
            "test_cfg.pixels='host', which takes every cell through the pipeline itself."
        )


class Upload:
    """Moves items to the device on a stream of their own.

    A copy from memory that is not pinned waits for its stream, which on the model's would be for
    all that the model still has to do.

    Args:
        device (torch.device): Where to.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Moves an item.

        Args:
            item (dict[str, Any]): An item on the host.

        Returns:
            dict[str, Any]: The item there, for the current stream.
        """
        if self._stream is None:
            return to_device(item, self.device)
        with torch.cuda.stream(self._stream):
            moved = to_device(item, self.device)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._stream)
        # Its memory belongs to the other stream, which may only use it again after this one.
        for tensor in _tensors(moved):
            tensor.record_stream(current)
        return moved


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested containers and data samples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, BaseDataElement)):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def to_device(item: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Moves a pipeline's item, labels included, so that each cell need not.

    Args:
        item (dict[str, Any]): An item on the host.
        device (torch.device): Where to.

    Returns:
        dict[str, Any]: The item there.
    """

    def move(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [move(part) for part in value]
        return value.to(device)

    return {key: move(value) for key, value in item.items()}
