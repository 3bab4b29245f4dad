"""Drop and grow: pure functions on one layer's weights, exact in number, ties resolved.

All take and return flat tensors in the weight's logical order, whatever its memory format. Which
weights are chosen depends on the scores alone: of equal scores the first stay. So every rank and
every run decides alike; nothing here waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.corruptions.random import hash_parts


def top(scores: Tensor, count: int) -> Tensor:
    """The entries with the highest scores.

    A stable sort, because ``topk`` leaves open which of several equal entries it takes.

    Args:
        scores (Tensor): Shape (n,).
        count (int): How many, from 0 to n.

    Returns:
        Tensor: Bool, shape (n,), with ``count`` True.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    chosen = torch.zeros_like(scores, dtype=torch.bool)
    chosen[order[:count]] = True
    return chosen


def drop(scores: Tensor, active: Tensor, keep: int) -> Tensor:
    """Keep the active weights with the highest scores.

    Args:
        scores (Tensor): Shape (n,), 0 or more: |w| for SET, RigL and GraNet; |w| + lambda |g| for
            MEST.
        active (Tensor): Bool, shape (n,).
        keep (int): How many stay, at most as many as are active.

    Returns:
        Tensor: Bool, shape (n,): what stays.
    """
    return top(scores.nan_to_num().masked_fill(~active, -1.0), keep)


def grow(scores: Tensor, kept: Tensor, count: int) -> Tensor:
    """Add the weights with the highest scores to those that stay.

    A weight that has just been dropped may grow again, as in the official codes of RigL, ITOP and
    GraNet (read). At low sparsity most do: at 0.1 about 82 % of those grown by random (simulated).

    Args:
        scores (Tensor): Shape (n,), 0 or more: |gradient|, or random numbers.
        kept (Tensor): Bool, shape (n,).
        count (int): Active weights afterwards, at least as many as are kept.

    Returns:
        Tensor: Bool, shape (n,), with ``count`` True.
    """
    # nan_to_num also makes infinite gradients finite: what is kept comes before all others.
    return top(scores.nan_to_num().masked_fill(kept, float("inf")), count)


def prune_together(scores: Sequence[Tensor], active: Sequence[Tensor], count: int) -> list[Tensor]:
    """Keep the active weights with the highest scores of all layers together (GraNet).

    The highest of each layer stays in any case, so that no layer is cut off for good (own choice).

    Args:
        scores (sequence of Tensor): Of each layer, shape (n_l,), 0 or more.
        active (sequence of Tensor): Of each layer, bool, shape (n_l,).
        count (int): How many stay in all.

    Returns:
        list[Tensor]: Of each layer, bool, shape (n_l,); ``count`` True in all, or as many as were
        active.
    """
    ranked = []
    for layer, on in zip(scores, active):
        layer = layer.nan_to_num().masked_fill(~on, -1.0)
        ranked.append(layer.index_fill(0, layer.argmax()[None], float("inf")))
    kept = top(torch.cat(ranked), count).split([layer.numel() for layer in ranked])
    return [layer & on for layer, on in zip(kept, active)]


def random_generator(seed: int, number: int, device: torch.device) -> torch.Generator:
    """A generator of its own for each mask update, equal on all ranks.

    Args:
        seed (int): The user's seed.
        number (int): The optimizer update before it; 0 for the first masks.
        device (torch.device): Where it draws.

    Returns:
        torch.Generator: Nothing of it has to be saved, and no global random state is touched.
    """
    return torch.Generator(device).manual_seed(hash_parts("sparse", seed, number))
