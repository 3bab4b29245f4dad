"""Auxiliary normalisation: a second set of batch norms for images of another distribution (AFA).

Paper: P. Vaish, S. Wang, N. Strisciuglio, "Fourier-basis functions to bridge augmentation gap",
CVPR 2024, arXiv 2403.01944. Read in the authors' code: every batch norm is a pair with scales,
biases and running statistics of its own, the main one for clean images and inference, the auxiliary
one for Fourier-augmented images; all other layers are shared; networks of layer norms have no pairs
at all. Their pairs replace the norm and rename its tensors, and their published ResNets have
instance norms besides (IBN), which this project leaves out.

The project's own choice: the auxiliary norm is a child of the main one, called
``auxiliary_norm``. The main tensors so keep the stock network's names, a stock checkpoint loads,
and what remains without the children is a stock checkpoint. Both start from the same values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

AUXILIARY = "auxiliary_norm"
"""Name of the child of a batch norm."""


def main_norms(module: nn.Module) -> Iterator[_BatchNorm]:
    """The batch norms of a network, without the auxiliary ones.

    Args:
        module (nn.Module): The network or a part of it.

    Yields:
        _BatchNorm: Of any dimension, synchronised ones too.
    """
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and not is_auxiliary(f"{name}."):
            yield part


def add_auxiliary_norms(module: nn.Module) -> int:
    """Gives every batch norm an auxiliary one with the same values.

    Args:
        module (nn.Module): The network; changed in place. A norm whose parameters are frozen gets
            frozen ones.

    Returns:
        int: How many pairs there are now.
    """
    norms = list(main_norms(module))
    for norm in norms:
        norm.add_module(AUXILIARY, copy.deepcopy(norm))
    return len(norms)


@torch.no_grad()
def copy_main_to_auxiliary(module: nn.Module) -> None:
    """Sets every auxiliary norm to the values of its main one.

    Args:
        module (nn.Module): The network; changed in place.
    """
    for norm in main_norms(module):
        auxiliary = getattr(norm, AUXILIARY, None)
        if auxiliary is not None:
            auxiliary.load_state_dict(_own_state(norm))


def fill_auxiliary(module: nn.Module, state: dict[str, Any], prefix: str = "") -> None:
    """Adds the main norms' tensors of a state for auxiliary norms that it lacks.

    Args:
        module (nn.Module): The network that the state is for.
        state (dict): Its ``state_dict``, for instance a stock checkpoint's; changed in place.
        prefix (str): What the network's keys in it begin with. Defaults to nothing.
    """
    for key in module.state_dict(prefix=prefix):
        main = key.replace(f"{AUXILIARY}.", "")
        if key not in state and is_auxiliary(key) and main in state:
            state[key] = state[main].clone()


def is_auxiliary(key: str) -> bool:
    """Whether a key of a ``state_dict`` belongs to an auxiliary norm.

    Args:
        key (str): Dotted name of a tensor.
    """
    return AUXILIARY in key.split(".")[:-1]


def without_auxiliary(state: Mapping[str, Any]) -> dict[str, Any]:
    """A ``state_dict`` as the stock network's.

    Args:
        state (Mapping): Of a network with auxiliary norms.

    Returns:
        dict: Without their entries.
    """
    return {key: value for key, value in state.items() if not is_auxiliary(key)}


def _own_state(norm: nn.Module) -> dict[str, Any]:
    return without_auxiliary(norm.state_dict())
