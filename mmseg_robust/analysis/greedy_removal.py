"""Dominant frequencies by greedy removal.

Paper: S. Wang, C. Brune, R. Veldhuis, N. Strisciuglio, "DFM-X: Augmentation by Leveraging Prior
Knowledge of Shortcut Learning", ICCV Workshops 2023, arXiv 2308.06622. Read in the official code.
For each class c by itself:

1. All frequencies are in the map. n is the number of class-c images that the model gets right.
2. For each pair of opposite frequencies, in a square spiral from the middle outwards: filter the
   images by the map without it. If at least n - t images are right, the pair is out and n becomes
   that number; otherwise it stays.
3. What is left is the map. As n follows what was lost, losses add up: the authors choose t so that
   the loss in the end stays within 30 %.

The code has t = 6 of 1,000 images, and takes the images from the test set, which is not done here:
the tools of this project refuse it.

The project's own choices: t is a share, ``tolerance``, in percentage points of the score, so that
it means the same for any number of images; for segmentors the score is the IoU of the class in
place of the accuracy.

Each step needs the outcome of the one before. To ask about several at once, it is assumed that the
next pairs fare as the last one did; what follows the first that does not is thrown away. The result
is that of asking one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmseg_robust.analysis.filtered_counts import Measure
from mmseg_robust.analysis.frequency_pairs import spiral_pairs
from mmseg_robust.analysis.search import MAPS_AT_ONCE, Tick
from mmseg_robust.analysis.search_store import SearchStore
from mmseg_robust.augmentations.checks import check_number

_ROUNDING = 1e-9


@dataclass(frozen=True)
class GreedyRemoval:
    """See the module.

    Args:
        tolerance (float): Percentage points of the score that the removal of one pair may cost.
            Defaults to 0.6, the 6 of 1,000 images.

    Raises:
        InputError: If it is negative.
    """

    tolerance: float = 0.6

    def __post_init__(self) -> None:
        check_number(self.tolerance, "tolerance", 0, 100)

    def identity(self) -> dict[str, Any]:
        """See :class:`~mmseg_robust.analysis.search.Search`."""
        return {"method": "greedy", "tolerance": self.tolerance}

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
        total = len(labels) * len(pairs)
        maps = []
        for label in labels:
            state = _State.read(store, label) or self._begin(measure, label, size)
            tick(state.position, total)
            while state.position < len(pairs):
                before = state.position
                self._go_on(state, measure, label, pairs)
                state.write(store, label)
                tick(state.position - before, total)
            maps.append(state.kept)
        return torch.stack(maps) if maps else torch.ones(0, *size, dtype=torch.bool)

    @staticmethod
    def _begin(measure: Measure, label: int, size: tuple[int, int]) -> _State:
        kept = torch.ones(size, dtype=torch.bool)
        score = measure(kept[None], label).score(measure.task)[0, label]
        return _State(kept, 0, float(score))

    def _go_on(self, state: _State, measure: Measure, label: int, pairs: Tensor) -> None:
        """Asks about the next pairs at once and takes over what holds."""
        ahead = pairs[state.position : state.position + state.reach]
        tried = _without(state.kept, ahead, together=state.dropping)
        scores = measure(tried, label).score(measure.task)[:, label].tolist()
        for pair, score in zip(ahead, scores):
            drops = score >= state.score - self.tolerance - _ROUNDING
            if drops:
                state.kept.view(-1)[pair] = False
                state.score = score
            state.position += 1
            if drops != state.dropping:  # the others were asked about under a wrong assumption
                state.dropping, state.reach = drops, 1
                return
        state.reach = min(2 * state.reach, MAPS_AT_ONCE)


def _without(kept: Tensor, pairs: Tensor, together: bool) -> Tensor:
    """The map without the first pair, the first two and so on, or without each by itself."""
    tried = kept.repeat(len(pairs), 1, 1)
    flat = tried.view(len(pairs), -1)
    for place, pair in enumerate(pairs):
        flat[place:, pair] = False
        if not together:
            flat[place + 1 :, pair] = kept.view(-1)[pair]
    return tried


@dataclass
class _State:
    """How far the removal of one class has come.

    Args:
        kept (Tensor): The map so far, bool, shape (h, w).
        position (int): Pairs that are decided.
        score (float): That of the map so far.
        dropping (bool): Whether the last pair went.
        reach (int): Pairs to ask about next.
    """

    kept: Tensor
    position: int
    score: float
    dropping: bool = field(default=True)
    reach: int = field(default=1)

    @classmethod
    def read(cls, store: SearchStore, label: int) -> _State | None:
        stored = store.read(f"class_{label:04d}")
        if stored is None:
            return None
        position, dropping, reach = stored["place"].tolist()
        return cls(stored["kept"], position, float(stored["score"]), bool(dropping), reach)

    def write(self, store: SearchStore, label: int) -> None:
        store.write(
            f"class_{label:04d}",
            kept=self.kept,
            place=torch.tensor([self.position, int(self.dropping), self.reach]),
            score=torch.tensor(self.score, dtype=torch.float64),
        )
