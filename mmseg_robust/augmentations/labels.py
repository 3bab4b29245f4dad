"""Which classes images show, for augmentations that need to know."""

from __future__ import annotations

import torch
from torch import Tensor


def classes_in(labels: Tensor, count: int) -> Tensor:
    """Finds the classes of each image. The host does not wait for the device.

    Args:
        labels (Tensor): Class numbers of N images, integers, shape (N, ...): one or several
            numbers each, or label maps. Values that are no class number, such as that of pixels to
            ignore, count for no class.
        count (int): Number of classes, K.

    Returns:
        Tensor: bool, shape (N, K), on the labels' device.

    Example:
        >>> classes_in(torch.tensor([[0, 2, 255], [1, 1, 1]]), 3).tolist()
        [[True, False, True], [False, True, False]]
    """
    flat = labels.flatten(1).to(torch.int64)
    known = torch.where((flat >= 0) & (flat < count), flat, count)
    found = torch.zeros((len(flat), count + 1), dtype=torch.bool, device=labels.device)
    return found.scatter_(1, known, True)[:, :count]
