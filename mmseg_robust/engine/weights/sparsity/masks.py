"""Masks of a model's weights, and the zeros that they make."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import broadcast, get_world_size
from torch import Tensor, nn
from torch.optim import Optimizer

from mmseg_robust.engine.weights.selection import Weight
from mmseg_robust.engine.weights.sparsity.optimizer_state import StateTensors

_ATTRIBUTE = "sparse_mask"


class Masks:
    """One mask for each masked weight, multiplied onto the weight and its optimizer state.

    Masks are of the weight's type and memory format, so that one multi-tensor kernel serves all.
    A masked parameter carries its mask as attribute ``sparse_mask`` (1 where active), for methods
    that move weights: the tensor stays the same object while it changes. Look it up by
    ``vars(parameter).get("sparse_mask")``, as every tensor has a method of that name. Backward
    passes go through the dense weights, so that gradients are those of inactive weights too.

    Args:
        weights (sequence of Weight): The weights to mask; all are active at first.
        optimizer (Optimizer): Their optimizer.
    """

    def __init__(self, weights: Sequence[Weight], optimizer: Optimizer) -> None:
        self.names = [weight.name for weight in weights]
        self.parameters: list[nn.Parameter] = [weight.parameter for weight in weights]
        self.values = [torch.ones_like(parameter.detach()) for parameter in self.parameters]
        self._state = StateTensors(optimizer, self.parameters)
        self._targets: list[Tensor] = list(self.parameters)
        self._factors = self.values
        for parameter, mask in zip(self.parameters, self.values):
            vars(parameter)[_ATTRIBUTE] = mask

    @torch.no_grad()
    def apply(self) -> None:
        """Make inactive weights and their optimizer state 0. Does not wait for the device.

        Raises:
            InputError: If the optimizer's state is not understood.
        """
        if self._state.refresh():
            self._targets = [*self.parameters, *self._state.tensors]
            self._factors = [*self.values, *(self.values[i] for i in self._state.owners)]
        torch._foreach_mul_(self._targets, self._factors)

    @torch.no_grad()
    def apply_to(self, model: nn.Module) -> None:
        """Make the same weights of another copy of the model 0.

        Args:
            model (nn.Module): With the same parameter names, on any device.
        """
        others = dict(model.named_parameters())
        for name, mask in zip(self.names, self.values):
            others[name].mul_(mask.to(others[name].device))

    @torch.no_grad()
    def replace(self, active: Sequence[Tensor]) -> Tensor:
        """Take other masks, those of the first rank.

        Args:
            active (sequence of Tensor): Bool, each flat or shaped as its weight.

        Returns:
            Tensor: Shape (), weights that were inactive and are active now. On the device.
        """
        grown = []
        for mask, value in zip(self.values, _of_first_rank(active)):
            value = value.view(mask.shape)
            grown.append((value & (mask == 0)).sum())
            mask.copy_(value)
        return torch.stack(grown).sum()

    def flat(self) -> list[Tensor]:
        """The masks as bool, shape (n,) each, in logical order."""
        return [mask.flatten() != 0 for mask in self.values]

    def active(self) -> list[int]:
        """Active weights of each. Waits for the device."""
        return torch.stack([mask.count_nonzero() for mask in self.values]).tolist()

    def stored(self) -> dict[str, Tensor]:
        """The masks for a checkpoint: bool on the CPU, by parameter name."""
        return {name: (mask != 0).cpu() for name, mask in zip(self.names, self.values)}

    def release(self) -> None:
        """Take the attribute away from the parameters, which keep their zeros."""
        for parameter in self.parameters:
            del vars(parameter)[_ATTRIBUTE]


def _of_first_rank(active: Sequence[Tensor]) -> Sequence[Tensor]:
    """All ranks decide alike from equal weights and gradients; this makes sure of it."""
    if get_world_size() == 1:
        return active
    flat = torch.cat([mask.flatten() for mask in active]).to(torch.uint8)
    broadcast(flat)
    return flat.bool().split([mask.numel() for mask in active])
