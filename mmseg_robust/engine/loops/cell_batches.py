"""Batches of cells for the model: made on the device, or by the pipeline on the host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from mmseg_robust.corruptions import Protocol, corrupt, image_seed
from mmseg_robust.datasets.clean_images import CleanImages
from mmseg_robust.datasets.corrupted import CorruptedDataset
from mmseg_robust.engine.loops.pixel_path import CleanCheck, Upload, make_item, to_device

_AHEAD = 2  # images in host memory beside the one in use


class CellBatch(NamedTuple):
    """What the model is given at a time.

    Args:
        image (int): Index of the image.
        passes (tuple[int, ...]): Passes of the protocol, one an item.
        data (dict[str, Any]): A batch as the stock test loop has it.
    """

    image: int
    passes: tuple[int, ...]
    data: dict[str, Any]


def plan_passes(protocol: Protocol, image: int, size: int) -> list[tuple[int, ...]]:
    """Which passes of an image go through the model together.

    The clean one goes alone, as in the stock test. The order of the corruptions is turned by the
    image's index: with a fixed one, whenever the numbers of batches and of workers share a factor,
    one worker would get the slow corruptions of every image. Severities stay in order.

    Args:
        protocol (Protocol): The protocol.
        image (int): Index of the image.
        size (int): Largest number of passes in a batch.

    Returns:
        list[tuple[int, ...]]: Indexes into ``protocol.passes``; it depends on the arguments alone.
    """
    names = protocol.corruptions
    turned = names[image % len(names) :] + names[: image % len(names)]
    index = {cell: place for place, cell in enumerate(protocol.passes)}
    order = [index[cell] for name in turned for cell in protocol.cells_of(name)]
    chunks = [tuple(order[start : start + size]) for start in range(0, len(order), size)]
    return [(0,), *chunks]


class PlannedBatches(Sampler):
    """A batch sampler that gives what it is told.

    Args:
        sampler (Any): Not used; MMEngine gives every batch sampler one.
        batch_size (int): Not used, likewise.
    """

    def __init__(self, sampler: Any = None, batch_size: int = 1) -> None:
        self.plan: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.plan)

    def __len__(self) -> int:
        return len(self.plan)


class CellBatches(ABC):
    """All batches of some images; stands where a stock test loop has its data loader.

    Args:
        dataset (CleanImages | CorruptedDataset): Where the images come from.
        protocol (Protocol): The protocol.
        size (int): Largest number of passes in a batch.
        collate (Callable): The stock collate function of the data loader.
        image (Callable): Image by index of image and cell, of the size that it is corrupted at:
            BGR, uint8, shape (H, W, 3), on the host.
    """

    def __init__(
        self,
        dataset: CleanImages | CorruptedDataset,
        protocol: Protocol,
        size: int,
        collate: Callable[[list], dict],
        image: Callable[[int, int], np.ndarray],
    ) -> None:
        self.dataset: Any = dataset
        self.protocol = protocol
        self.size = size
        self.collate = collate
        self.image = image
        self._plans: dict[int, list[tuple[int, ...]]] = {}

    def set_images(self, images: Sequence[int]) -> None:
        """Tells which images to give, in their order.

        Args:
            images (Sequence[int]): Indexes of images.
        """
        self._plans = {image: plan_passes(self.protocol, image, self.size) for image in images}

    def __len__(self) -> int:
        return sum(len(plan) for plan in self._plans.values())

    @abstractmethod
    def one(self, image: int, index: int, device: torch.device) -> dict[str, Any]:
        """A single pass of an image, made here.

        Args:
            image (int): Index of the image.
            index (int): Index of the pass.
            device (torch.device): Where the model is.

        Returns:
            dict[str, Any]: A batch as the stock test loop has it.
        """

    @abstractmethod
    def batches(self, device: torch.device) -> Iterator[CellBatch]:
        """The batches.

        Args:
            device (torch.device): Where the model is.

        Yields:
            CellBatch: All batches of an image in a row.
        """


class HostCells(CellBatches):
    """Every cell goes through the pipeline itself, in the data loader's workers.

    Args:
        loader (DataLoader): Over the dataset, with :class:`PlannedBatches` and a collate function
            that leaves the list of items alone.
        **arguments (Any): See the base class; the dataset is a :class:`CorruptedDataset`.
    """

    def __init__(self, loader: DataLoader, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.loader = loader

    def one(self, image: int, index: int, device: torch.device) -> dict[str, Any]:
        """See the base class."""
        return self.collate([self.dataset[image * len(self.protocol.passes) + index]])

    def set_images(self, images: Sequence[int]) -> None:
        """See the base class."""
        super().set_images(images)
        sampler, count = self.loader.batch_sampler, len(self.protocol.passes)
        assert isinstance(sampler, PlannedBatches)
        sampler.plan = [
            [image * count + index for index in chunk]
            for image, plan in self._plans.items()
            for chunk in plan
        ]

    def batches(self, device: torch.device) -> Iterator[CellBatch]:
        """See the base class."""
        chunks = ((image, chunk) for image, plan in self._plans.items() for chunk in plan)
        for (image, chunk), items in zip(chunks, self.loader):
            yield CellBatch(image, chunk, self.collate(items))


class DeviceCells(CellBatches):
    """An image is loaded once; its cells are made where the model is.

    Args:
        seed (int): Seed of the corruptions.
        **arguments (Any): See the base class; the dataset is one of :class:`CleanImages`.
    """

    def __init__(self, seed: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seed = seed

    def one(self, image: int, index: int, device: torch.device) -> dict[str, Any]:
        """See the base class."""
        loaded = self.dataset[image]
        item, pixels = to_device(loaded["item"], device), loaded["pixels"].to(device)
        return self._corrupted(loaded["path"], pixels, item, (index,))

    def batches(self, device: torch.device) -> Iterator[CellBatch]:
        """See the base class.

        Raises:
            InputError: If the pipeline does something to pixels that the device does not.
        """
        check, upload = CleanCheck(), Upload(device)
        loads = loaded_ahead(self.dataset.__getitem__, list(self._plans))
        for (image, plan), loaded in zip(self._plans.items(), loads):
            arrived = upload({"pixels": loaded["pixels"], **loaded["item"]})
            pixels, item = arrived.pop("pixels"), arrived
            check.add(item, pixels)
            yield CellBatch(image, (0,), self.collate([item]))
            for chunk in plan[1:]:
                yield CellBatch(image, chunk, self._corrupted(loaded["path"], pixels, item, chunk))
        check.finish()

    def _corrupted(
        self, path: str, bgr: torch.Tensor, item: dict[str, Any], chunk: tuple[int, ...]
    ) -> dict[str, Any]:
        cells = [self.protocol.passes[index] for index in chunk]
        names, severities = [c.corruption for c in cells], [c.severity for c in cells]
        seeds = [image_seed(self.seed, path)] * len(chunk)
        # mmcv's loaders give BGR; the corruptions are defined on RGB.
        rgb = bgr.flip(0).expand(len(chunk), *bgr.shape)
        images = corrupt(rgb, names, severities, seeds).flip(1)
        items = [make_item(item, pixels, index) for pixels, index in zip(images, chunk)]
        return self.collate(items)


def loaded_ahead(load: Callable[[int], Any], indexes: Sequence[int]) -> Iterator[Any]:
    """Loads in a thread, some items ahead of who takes them.

    One thread is enough where dozens of passes follow a load, and it costs nothing to start and
    end, which worker processes do: seconds each, where forking a process with a CUDA context is
    slow.

    Args:
        load (Callable): Gives an item by its index; called in one thread.
        indexes (Sequence[int]): What to load.

    Yields:
        Any: The items, in order. What loading raises is raised here.
    """
    waiting: deque[Future] = deque()
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
    try:
        for index in indexes:
            waiting.append(thread.submit(load, index))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)
