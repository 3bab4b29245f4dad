"""Dominant frequency maps of all classes: which can be searched, the search, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_robust.analysis.filtered_counts import FilteredCounts, Measure
from mmseg_robust.analysis.search import MAPS_AT_ONCE, Search, Tick
from mmseg_robust.analysis.search_store import SearchStore
from mmseg_robust.errors import InputError

LEAST_IMAGES = 5
"""Of a class, for a map of its own; the project's own choice."""


@dataclass(frozen=True)
class DominantMaps:
    """What a search found.

    Args:
        maps (Tensor): bool, shape (K, h, w), centred; a class without a map of its own keeps all.
        skipped (dict[int, str]): Classes without a map of their own, and why.
        before (Tensor): Score of each class on unfiltered images, percent, float64, shape (K,).
        after (Tensor): Its score on images filtered by its own map; NaN for a skipped class.
    """

    maps: Tensor
    skipped: dict[int, str]
    before: Tensor
    after: Tensor


def find_dominant_maps(
    search: Search,
    measure: Measure,
    images: Sequence[int],
    wanted: Sequence[int],
    size: tuple[int, int],
    store: SearchStore,
    tick: Tick,
) -> DominantMaps:
    """Searches the maps of the classes that have one.

    Args:
        search (Search): How to search.
        measure (Measure): The model on its images.
        images (Sequence[int]): Number of images of each class, K.
        wanted (Sequence[int]): Classes to search.
        size (tuple[int, int]): Height and width of the maps.
        store (SearchStore): Where finished parts are kept.
        tick (Tick): Is told of the progress.

    Returns:
        DominantMaps: The maps.

    Raises:
        InputError: If the model cannot tell the classes (its mean true positive rate on unfiltered
            images is that of chance or below), or all are skipped.
    """
    whole = measure(torch.ones(1, *size, dtype=torch.bool))
    _check_classifies(whole)
    before = whole.score(measure.task)[0]
    skipped = {
        label: reason
        for label in range(measure.num_classes)
        if (reason := _reason(label, images[label], wanted, float(before[label])))
    }
    labels = [label for label in range(measure.num_classes) if label not in skipped]
    if not labels:
        raise InputError(f"No class can be searched: {'; '.join(sorted(set(skipped.values())))}.")
    maps = torch.ones(measure.num_classes, *size, dtype=torch.bool)
    maps[labels] = search.find(measure, labels, size, store, tick)
    after = torch.full_like(before, torch.nan)
    for some in torch.tensor(labels).split(MAPS_AT_ONCE):
        scores = measure(maps[some]).score(measure.task)
        after[some] = scores[torch.arange(len(some)), some]
    return DominantMaps(maps, skipped, before, after)


def _check_classifies(counts: FilteredCounts) -> None:
    rates = counts.true_positive_rate()[0]
    rates = rates[~rates.isnan()]
    # A model that always says the same is right on one class of those that there are.
    chance = 1 / max(2, len(rates))
    rate = float(rates.mean()) if len(rates) else 0.0
    if rate <= chance:
        raise InputError(
            f"The checkpoint cannot classify: of unfiltered images it recognises {100 * rate:.1f} "
            f"% of a class on average, chance is {100 * chance:.1f} %. Give a trained model and "
            "the config that it was trained with."
        )


def _reason(label: int, images: int, wanted: Sequence[int], score: float) -> str:
    """Why a class is skipped; empty if it is not."""
    if label not in wanted:
        return "not asked for"
    if images < LEAST_IMAGES:
        return f"{images} images, {LEAST_IMAGES} are needed"
    return "" if score > 0 else "never recognised on unfiltered images"
