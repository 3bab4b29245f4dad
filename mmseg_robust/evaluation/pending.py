"""Results on their way from the device to the host, without making the host wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from mmseg_robust.evaluation.results import ImageResult

Made = TypeVar("Made", bound=ImageResult)


class Pending(Generic[Made]):
    """The result of an image that is on its way to the host.

    Args:
        tensors (Sequence[Tensor]): What it is made from, all on one device.
        make (Callable): Makes it from these as NumPy arrays.
    """

    def __init__(self, tensors: Sequence[Tensor], make: Callable[..., Made]) -> None:
        self._make = make
        self._arrived: torch.cuda.Event | None = None
        self._hosts = list(tensors)
        if not tensors[0].is_cuda:
            return
        self._hosts = [torch.empty_like(t, device="cpu", pin_memory=True) for t in tensors]
        for host, tensor in zip(self._hosts, tensors):
            host.copy_(tensor, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record()

    def wait(self) -> Made:
        """The result; waits for it.

        Raises:
            InputError: If what arrived cannot be measured.
        """
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._make(*(host.numpy() for host in self._hosts))


class Counter(ABC):
    """Takes up the outputs of one image."""

    @abstractmethod
    def add(self, index: int, sample: Mapping[str, Any]) -> None:
        """Takes up one pass; those of a corruption come in their order, after the clean one.

        Args:
            index (int): Index of the pass.
            sample (Mapping[str, Any]): The model's output, as ``to_dict()`` of its data sample
                gives it.

        Raises:
            InputError: If the sample cannot be measured.
        """

    @abstractmethod
    def finish(self) -> Pending[Any]:
        """Sends the result of all passes to the host."""
