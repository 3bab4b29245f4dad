"""Storage for a second version of many tensors that takes few kernels to fill and to use.

A training step on a GPU waits for kernel launches, and a network has hundreds of weights. So second
versions of all weights lie in one flat tensor for each data type and device: what acts on each
number alike acts on the flat tensor, in one kernel; copies between the weights and their places in
it go by ``torch._foreach_*``, in a few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# Places begin at multiples of so many numbers, so that kernels can read whole vectors.
_ALIGNMENT = 16


class FlatGroup:
    """A second version of some tensors of one data type and device.

    Args:
        tensors (sequence of Tensor): The tensors, of any shapes.

    Attributes:
        tensors (list of Tensor): The tensors.
        flat (Tensor): (L,), the second version, 0 at first. Some of its numbers belong to no
            tensor.
        views (list of Tensor): For each tensor its place in ``flat``, of its shape and memory
            format.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)
        lengths = [-(-tensor.numel() // _ALIGNMENT) * _ALIGNMENT for tensor in self.tensors]
        self.flat = torch.zeros(
            sum(lengths), dtype=self.tensors[0].dtype, device=self.tensors[0].device
        )
        self.views = []
        offset = 0
        for tensor, length in zip(self.tensors, lengths):
            # Kernels over lists need equal strides; an empty copy has those of dense memory.
            strides = torch.empty_like(tensor, device="meta").stride()
            self.views.append(self.flat.as_strided(tensor.shape, strides, offset))
            offset += length


class FlatTensors:
    """A second version of some tensors of any data types and devices.

    Args:
        tensors (sequence of Tensor): The tensors, each once. May be empty.

    Attributes:
        groups (list of FlatGroup): The tensors of each data type and device.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in tensors:
            groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        self.groups = [FlatGroup(group) for group in groups.values()]

    def pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each tensor and its place in the second version."""
        for group in self.groups:
            yield from zip(group.tensors, group.views)


class SavedTensors(FlatTensors):
    """Copies of tensors, to bring their values back to the bit.

    Args:
        tensors (sequence of Tensor): The tensors, each once. May be empty.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__(tensors)
        self.held = False

    @torch.no_grad()
    def save(self) -> None:
        """Copy the values."""
        for group in self.groups:
            torch._foreach_copy_(group.views, group.tensors)
        self.held = True

    @torch.no_grad()
    def restore(self) -> None:
        """Bring the values of the last :meth:`save` back, once; does nothing without one."""
        if self.held:
            for group in self.groups:
                torch._foreach_copy_(group.tensors, group.views)
            self.held = False
