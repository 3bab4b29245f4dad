"""Dominant frequencies by rank, in no order of removal.

Paper: S. Wang, R. Veldhuis, C. Brune, N. Strisciuglio, "What do neural networks learn in image
classification? A frequency shortcut perspective", ICCV 2023, arXiv 2307.09829. Read in the official
code. From the whole spectrum one frequency is removed, with its opposite, and the cross entropy of
each class's images is taken. The frequencies are ranked by how much the loss of the class grows,
and the map keeps the first X % of them; by the authors' default 5 %.

The same filtered images tell about all classes. Equal losses are ranked from low to high frequency.
The code removes square patches where single frequencies are too many; here a map of fewer
frequencies than the image has does that. The project's own choice: a segmentor's frequencies are
ranked by how much the IoU of the class falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmseg_robust.analysis.filtered_counts import Measure
from mmseg_robust.analysis.frequency_pairs import spiral_pairs
from mmseg_robust.analysis.search import MAPS_AT_ONCE, Tick
from mmseg_robust.analysis.search_store import SearchStore
from mmseg_robust.errors import InputError


@dataclass(frozen=True)
class FrequencyRanking:
    """See the module.

    Args:
        top (float): Share of the frequencies that is kept, above 0 to 1. Defaults to 0.05.

    Raises:
        InputError: If it is out of range.
    """

    top: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.top <= 1:
            raise InputError(f"The share to keep is {self.top}; it must be above 0, at most 1.")

    def identity(self) -> dict[str, Any]:
        """See :class:`~mmseg_robust.analysis.search.Search`. Costs serve for any share."""
        return {"method": "ranking"}

    def find(
        self,
        measure: Measure,
        labels: Sequence[int],
        size: tuple[int, int],
        store: SearchStore,
        tick: Tick,
    ) -> Tensor:
        """See :class:`~mmseg_robust.analysis.search.Search`."""
        pairs = spiral_pairs(*size)
        tick(0, len(pairs))
        costs = torch.cat(
            [
                self._costs(measure, pairs, start, size, store, tick)
                for start in range(0, len(pairs), MAPS_AT_ONCE)
            ]
        )
        return top_maps(costs[:, list(labels)], pairs, size, self.top)

    @staticmethod
    def _costs(
        measure: Measure,
        pairs: Tensor,
        start: int,
        size: tuple[int, int],
        store: SearchStore,
        tick: Tick,
    ) -> Tensor:
        """Costs of all classes without each of some pairs: float64, (M, K)."""
        part, some = f"pairs_{start:06d}", pairs[start : start + MAPS_AT_ONCE]
        stored = store.read(part)
        if stored is None:
            maps = torch.ones(len(some), size[0] * size[1], dtype=torch.bool)
            maps.scatter_(1, some, False)
            stored = {"costs": measure(maps.view(-1, *size)).cost(measure.task)}
            store.write(part, **stored)
        tick(len(some), len(pairs))
        return stored["costs"]


def top_maps(costs: Tensor, pairs: Tensor, size: tuple[int, int], top: float) -> Tensor:
    """Maps of the frequencies whose removal costs most.

    Args:
        costs (Tensor): Cost of each class without each pair, shape (G, K).
        pairs (Tensor): The pairs, see :func:`spiral_pairs`, shape (G, 2).
        size (tuple[int, int]): Height and width of the maps.
        top (float): Share of the frequencies to keep, above 0 to 1.

    Returns:
        Tensor: bool, shape (K, h, w): as many pairs as fit into the share, but at least one.
    """
    # The cost of the whole spectrum is the same for all: it does not change the order.
    order = costs.sort(dim=0, descending=True, stable=True).indices.t()
    lengths = 2 - (pairs[:, 0] == pairs[:, 1]).long()
    taken = lengths[order].cumsum(1) <= top * size[0] * size[1] + 1e-6
    taken[:, 0] = True
    maps = torch.zeros(len(order), size[0] * size[1], dtype=torch.bool)
    for row, places, count in zip(maps, order, taken.sum(1).tolist()):
        row[pairs[places[:count]].flatten()] = True
    return maps.view(-1, *size)
