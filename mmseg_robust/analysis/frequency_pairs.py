"""The frequencies of a map, each with its opposite, from low to high.

A real image has every frequency twice, at (u, v) and (-u, -v): they stay or go together.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmseg_robust.augmentations.frequency_maps import mirrored


def spiral_pairs(height: int, width: int) -> Tensor:
    """All pairs of opposite frequencies, from the middle of the centred spectrum outwards.

    Source: the order of removal that comes with the official code of arXiv 2308.06622, a square
    spiral around DC that starts with DC's two neighbours in its row, then DC. So it is here. The
    project's own choices: rings of equal max(|u| / h, |v| / w) for maps that are no squares, and
    the walk along a ring, which starts in DC's row.

    Args:
        height (int): Of the map.
        width (int): Of the map.

    Returns:
        Tensor: Places in a flattened map (h, w), int64, shape (G, 2); both are the same for a
        frequency that is its own opposite.
    """
    places = torch.arange(height * width).view(height, width)
    opposite = mirrored(places)
    first = (places <= opposite).nonzero()  # one of each pair: the upper half
    rows, columns = (first[:, 0] - height // 2).tolist(), (first[:, 1] - width // 2).tolist()

    def turn(index: int) -> tuple[int, float]:
        row, column = rows[index], columns[index]
        if row == 0 and column in (-1, 0):
            return -1, column  # DC's neighbours, then DC
        return max(abs(row) * width, abs(column) * height), math.atan2(-row, -column)

    order = sorted(range(len(first)), key=turn)
    chosen = first[order]
    own = places[chosen[:, 0], chosen[:, 1]]
    return torch.stack([own, opposite[chosen[:, 0], chosen[:, 1]]], dim=1)
