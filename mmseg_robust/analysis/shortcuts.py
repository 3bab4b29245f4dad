"""The frequency-shortcut test: how far a model gets on the frequencies of one class alone.

Paper: S. Wang, R. Veldhuis, C. Brune, N. Strisciuglio, "What do neural networks learn in image
classification? A frequency shortcut perspective", ICCV 2023, arXiv 2307.09829. Read in the official
code and a public summary. All images are filtered by the map of class c, and

    TPR_c = TP / P      FPR_c = FP / N

with TP the class-c images that are called c, P all class-c images, FP the others that are called c
and N all others. The class has a frequency shortcut where both are high, against those of the
unfiltered images: its frequencies are enough for the model to see it, and to see it where it is
not. No thresholds are given there, and none here. For segmentors pixels are counted in place of
images, ignored ones left out; that is the project's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_robust.analysis.filtered_counts import FilteredCounts, Measure


@dataclass(frozen=True)
class Rates:
    """Rates by class from 0 to 1, float64, shape (K,); NaN for a class without items or map.

    Args:
        tpr (Tensor): True positive rate on images filtered by the class's own map.
        fpr (Tensor): False positive rate on them.
        unfiltered_tpr (Tensor): True positive rate on unfiltered images.
        unfiltered_fpr (Tensor): False positive rate on them.
        items (Tensor): Images or pixels of each class, int64.
    """

    tpr: Tensor
    fpr: Tensor
    unfiltered_tpr: Tensor
    unfiltered_fpr: Tensor
    items: Tensor


def shortcut_counts(measure: Measure, maps: Tensor) -> FilteredCounts:
    """Counts for unfiltered images, then for each map.

    Args:
        measure (Measure): The model on its images.
        maps (Tensor): The maps of all classes, bool, shape (K, h, w).

    Returns:
        FilteredCounts: Shape (1 + K, K); counts of several sets of images can be added up.
    """
    return measure(torch.cat([torch.ones_like(maps[:1]), maps]))


def shortcut_rates(counts: FilteredCounts, found: tuple[bool, ...]) -> Rates:
    """Rates of each class under its own map.

    Args:
        counts (FilteredCounts): From :func:`shortcut_counts`.
        found (tuple[bool, ...]): Whether the class has a map of its own.

    Returns:
        Rates: The rates.
    """
    own = torch.tensor(found)
    true, false = counts.true_positive_rate(), counts.false_positive_rate()
    nothing = torch.full((len(found),), torch.nan, dtype=torch.float64)
    return Rates(
        torch.where(own, true[1:].diagonal(), nothing),
        torch.where(own, false[1:].diagonal(), nothing),
        true[0],
        false[0],
        counts.labelled[0],
    )
