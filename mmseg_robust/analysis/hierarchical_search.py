"""Dominant frequencies by a search from coarse to fine (HFSS).

Paper: S. Wang, R. Veldhuis, N. Strisciuglio, "Do ImageNet-trained models learn shortcuts? The
impact of frequency shortcuts on generalization", CVPR 2025, arXiv 2503.03519. Read in the official
code. In stages, each on a finer grid of patches over the spectrum:

1. Draw N_B = 500 candidates. A candidate keeps a random share P = 0.8 of the patches of the upper
   half plane; the lower half is its mirror image. There are three kinds, in turn: patches of the
   grid; of the grid moved by half a patch; both together, with P / 2 each.
2. From the second stage on, a candidate is cut with one of the 10 best maps that a class had in the
   stage before; class and map are drawn.
3. All candidates are tried for all classes, by the cross entropy of each class's images, and every
   class keeps its 10 best.

The best of the last stage is the class's map. It keeps about P to the power of the number of
stages. The number of images that go through the network does not depend on that of the classes,
nor much on the size of the map, which is what makes the search affordable.

The authors' grids for images of 224 x 224 are 4, 8, 16, 28, 56, 112 patches a side.

The project's own choices: grids for any size are 4, 8, 16 and so on, up to the map's shorter side;
the mirror image is exact (theirs is one row and one column off, and the real part is taken); a
segmentor is tried by the IoU of the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmseg_robust.analysis.filtered_counts import Measure
from mmseg_robust.analysis.search import MAPS_AT_ONCE, Tick
from mmseg_robust.analysis.search_store import SearchStore
from mmseg_robust.augmentations.frequency_maps import mirrored
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.errors import InputError

BEST = 10
"""Maps that each class keeps of a stage."""
FIRST_GRID = 4


@dataclass(frozen=True)
class HierarchicalSearch:
    """See the module.

    Args:
        candidates (int): N_B, maps that are tried in a stage. Defaults to 500.
        keep (float): P, share of the patches that a candidate keeps, above 0, below 1. Defaults to
            0.8.
        grids (tuple[int, ...], optional): Patches a side, stage by stage. Defaults to None: 4, 8,
            16 and so on, up to the map's shorter side.
        seed (int): Seed of the draws. Defaults to 0.

    Raises:
        InputError: If a value is out of range.
    """

    candidates: int = 500
    keep: float = 0.8
    grids: tuple[int, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise InputError(f"candidates is {self.candidates}; it must be 1 or more.")
        if not 0 < self.keep < 1:
            raise InputError(f"keep is {self.keep}; it must be above 0 and below 1.")
        if self.grids is not None and (not self.grids or min(self.grids) < 1):
            raise InputError(f"grids is {self.grids}; it must be one or more numbers from 1.")

    def identity(self) -> dict[str, Any]:
        """See :class:`~mmseg_robust.analysis.search.Search`."""
        return {
            "method": "hierarchical",
            "candidates": self.candidates,
            "keep": self.keep,
            "grids": self.grids,
            "seed": self.seed,
        }

    def find(
        self,
        measure: Measure,
        labels: Sequence[int],
        size: tuple[int, int],
        store: SearchStore,
        tick: Tick,
    ) -> Tensor:
        """See :class:`~mmseg_robust.analysis.search.Search`.

        Raises:
            InputError: If a grid has more patches a side than the map frequencies.
        """
        grids = self._grids_for(size)
        best: Tensor | None = None
        tick(0, len(grids) * self.candidates)
        for stage, grid in enumerate(grids):
            maps = self._draw(stage, grid, size, best)
            costs = []
            for start in range(0, len(maps), MAPS_AT_ONCE):
                some = maps[start : start + MAPS_AT_ONCE]
                costs.append(_costs(measure, some, store, f"stage_{stage}_{start:06d}"))
                tick(len(some), len(grids) * len(maps))
            own = torch.cat(costs)[:, list(labels)]
            best = maps[own.sort(dim=0, stable=True).indices[:BEST].t()]
        assert best is not None
        return best[:, 0]

    def _grids_for(self, size: tuple[int, int]) -> tuple[int, ...]:
        side = min(size)
        if self.grids is None:
            doubled = range(max(1, (side // FIRST_GRID).bit_length()))
            return tuple(min(side, FIRST_GRID << step) for step in doubled)
        if max(self.grids) > side:
            raise InputError(
                f"A grid of {max(self.grids)} patches a side does not fit on maps of "
                f"{size[0]} x {size[1]} frequencies: choose larger maps, or leave it out."
            )
        return self.grids

    def _draw(self, stage: int, grid: int, size: tuple[int, int], best: Tensor | None) -> Tensor:
        """The candidates of a stage: bool, (N_B, h, w)."""
        generator = torch.Generator().manual_seed(hash_parts(self.seed, "HFSS", stage) >> 1)
        aligned, moved = patches(size, grid, moved=False), patches(size, grid, moved=True)
        # Patches of one frequency have no half.
        kinds = 3 if grid < min(size) else 1
        drawn = []
        for number in range(self.candidates):
            kind = number % kinds
            share = self.keep / 2 if kind == 2 else self.keep
            grids = ([aligned], [moved], [aligned, moved])[kind]
            kept = torch.stack([_keep_some(grid, share, generator) for grid in grids]).any(0)
            if best is not None:
                own = torch.randint(len(best), (), generator=generator)
                kept &= best[own, torch.randint(best.shape[1], (), generator=generator)]
            drawn.append(kept)
        return torch.stack(drawn)


def patches(size: tuple[int, int], grid: int, moved: bool) -> Tensor:
    """Cuts a map into patches.

    Args:
        size (tuple[int, int]): Height and width of the map.
        grid (int): Patches a side.
        moved (bool): Whether the grid is moved by half a patch, so that DC lies in the middle of
            one and those at the border are cut.

    Returns:
        Tensor: Number of the patch of each frequency, int64, shape (h, w).
    """
    half = int(moved)
    rows, columns = ((2 * grid * torch.arange(side) + half * side) // (2 * side) for side in size)
    return rows[:, None] * (grid + 1) + columns


def _keep_some(patch: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A random share of the upper half's patches, and their mirror image."""
    places = torch.arange(patch.numel()).view(patch.shape)
    upper = places <= mirrored(places)
    numbers = patch[upper].unique()
    order = torch.randperm(len(numbers), generator=generator)
    chosen = numbers[order[: max(1, round(share * len(numbers)))]]
    kept = torch.isin(patch, chosen)
    return torch.where(upper, kept, mirrored(kept))


def _costs(measure: Measure, maps: Tensor, store: SearchStore, part: str) -> Tensor:
    """What is to be small, for each map and class: float64, (M, K)."""
    stored = store.read(part)
    if stored is None:
        stored = {"costs": measure(maps).cost(measure.task)}
        store.write(part, **stored)
    return stored["costs"]
