"""The tensors that an optimizer keeps for a weight: they must be 0 wherever it is inactive.

Adam's moments go on gathering gradients of inactive weights if nothing is done, and a weight that
grows would take a jump from stale ones. RigL's code empties the state of new weights; the PyTorch
codes of ITOP and GraNet mask the momentum of SGD alone (all read).
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mmseg_robust.errors import InputError

_PROBE_SHAPE = (128, 64)  # 8-bit optimizers keep plain state for weights of up to 4096 entries


def check_optimizer(optimizer: Optimizer, weight: Tensor) -> None:
    """Refuse an optimizer whose state cannot be masked, before training.

    A copy of the optimizer makes one step on a weight and a gradient of zeros: each tensor of its
    state must have the weight's shape, or a single entry as counters have, and be 0, which tells
    that 0 is what an untouched entry holds.

    Args:
        optimizer (Optimizer): The run's optimizer; it stays as it is.
        weight (Tensor): One of its weights, for device and type.

    Raises:
        InputError: If its state is not understood.
    """
    if any(isinstance(value, Optimizer) for value in vars(optimizer).values()):
        raise _refusal(optimizer, "it wraps another optimizer, whose state is out of reach")
    probe_weight = nn.Parameter(weight.detach().new_zeros(_PROBE_SHAPE))
    probe_weight.grad = torch.zeros_like(probe_weight)
    try:
        state = _step_of_a_copy(optimizer, probe_weight)
    except Exception as error:  # whatever a foreign optimizer raises when it is taken apart
        reason = f"its step could not be tried out ({type(error).__name__}: {error})"
        raise _refusal(optimizer, reason) from error
    for name, value in state.items():
        if isinstance(value, Tensor) and value.numel() > 1:
            _check_shape(optimizer, name, value, probe_weight)
            if value.count_nonzero().item():
                raise _refusal(optimizer, f"its state {name!r} does not start at 0")


class StateTensors:
    """The state tensors of some weights, gathered anew only when the optimizer has changed them.

    Args:
        optimizer (Optimizer): The run's optimizer.
        weights (sequence of Parameter): The weights.
    """

    def __init__(self, optimizer: Optimizer, weights: Sequence[nn.Parameter]) -> None:
        self._optimizer = optimizer
        self._weights = weights
        self._seen: list[Tensor] = []
        self.tensors: list[Tensor] = []
        self.owners: list[int] = []

    def refresh(self) -> bool:
        """Look whether the optimizer keeps other tensors than before.

        Returns:
            bool: Whether ``tensors`` (those shaped as their weights) and ``owners`` (the place of
            the weight of each) are new.

        Raises:
            InputError: If the state has a shape that is not understood.
        """
        states = [self._optimizer.state.get(weight, {}) for weight in self._weights]
        entries = chain.from_iterable(state.values() for state in states)
        # Counters can be replaced at each step; tensors of weights normally stay the same objects.
        found = [entry for entry in entries if isinstance(entry, Tensor) and entry.dim()]
        if len(found) == len(self._seen) and all(map(_is, found, self._seen)):
            return False
        self._seen, self.tensors, self.owners = found, [], []
        for owner, (weight, state) in enumerate(zip(self._weights, states)):
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    self.tensors.append(value)
                    self.owners.append(owner)
                elif isinstance(value, Tensor) and value.numel() > 1:
                    _check_shape(self._optimizer, name, value, weight)
        return True


def _step_of_a_copy(optimizer: Optimizer, weight: nn.Parameter) -> dict:
    """The state of one weight after a step of a copy that owns it alone."""
    copy = object.__new__(type(optimizer))
    copy.__dict__.update(vars(optimizer))
    copy.__dict__.pop("step", None)  # what schedulers and other hooks have added to this object
    copy.__dict__.update(
        state=defaultdict(dict),
        param_groups=[{**optimizer.param_groups[0], "params": [weight]}],
        _optimizer_step_pre_hooks=OrderedDict(),
        _optimizer_step_post_hooks=OrderedDict(),
    )
    copy.step()
    return copy.state[weight]


def _check_shape(optimizer: Optimizer, name: str, value: Tensor, weight: Tensor) -> None:
    if value.shape != weight.shape:
        shapes = f"{tuple(value.shape)} for a weight of shape {tuple(weight.shape)}"
        raise _refusal(optimizer, f"its state {name!r} has the shape {shapes}")


def _refusal(optimizer: Optimizer, reason: str) -> InputError:
    return InputError(
        f"sparse training cannot mask the state of the optimizer {type(optimizer).__name__}: "
        f"{reason}. Use one that keeps a tensor like the weight, such as SGD, Adam or AdamW"
    )


def _is(one: Tensor, other: Tensor) -> bool:
    return one is other
