"""Robustness figures from the scores of cells: pure arithmetic on percentages.

A score is the mIoU of a segmentor or the top-1 accuracy of a classifier. Formulas: mean of
corruption means and retention as in SegFormer (arXiv 2105.15203, Table 5) and FAN (arXiv
2204.12451); corruption error CE and relative CE as in ImageNet-C (Hendrycks and Dietterich, ICLR
2019) with the error 100 minus the score, for segmentation the CD and rCD of Kamann and Rother
(arXiv 1908.05005). The mean is the mPC, retention the rPC of Michaelis et al. (arXiv 1907.07484).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from mmseg_robust.corruptions import Cell, Protocol


@dataclass(frozen=True)
class Robustness:
    """Figures of one run, all in percent.

    Args:
        clean (float): Clean score.
        corruptions (dict[str, float]): Score by corruption, mean over its severities.
        groups (dict[str, float]): Score by group, mean over its corruptions.
        mean (float): Mean over the corruptions.
        retention (float): ``100 * mean / clean``.
    """

    clean: float
    corruptions: dict[str, float]
    groups: dict[str, float]
    mean: float
    retention: float


@dataclass(frozen=True)
class CorruptionErrors:
    """Errors of one run relative to a baseline run, in percent; below 100 is better than it.

    Args:
        ce (dict[str, float]): Corruption error by corruption.
        mce (float): Their mean.
        relative_ce (dict[str, float]): The same for the loss against each run's own clean score.
        relative_mce (float): Their mean.
    """

    ce: dict[str, float]
    mce: float
    relative_ce: dict[str, float]
    relative_mce: float


def corruption_means(protocol: Protocol, scores: Mapping[Cell, float]) -> dict[str, float]:
    """Mean over the severities of each corruption.

    Args:
        protocol (Protocol): The protocol.
        scores (Mapping[Cell, float]): Score of each of its cells.

    Returns:
        dict[str, float]: By corruption; NaN where one of its cells is NaN.
    """
    return {
        name: fmean(scores[cell] for cell in protocol.cells_of(name))
        for name in protocol.corruptions
    }


def severity_means(protocol: Protocol, scores: Mapping[Cell, float]) -> dict[int, float]:
    """Mean at each severity over the corruptions that have it.

    Where corruptions have different severities, as the noises of ``cityscapes-c`` stop at 3, the
    means are over different corruptions.

    Args:
        protocol (Protocol): The protocol.
        scores (Mapping[Cell, float]): Score of each of its cells.

    Returns:
        dict[int, float]: By severity, the weakest first; NaN where one of its cells is NaN.
    """
    by_severity: dict[int, list[float]] = {}
    for cell in sorted(protocol.cells, key=lambda cell: cell.severity):
        by_severity.setdefault(cell.severity, []).append(scores[cell])
    return {severity: fmean(values) for severity, values in by_severity.items()}


def robustness(protocol: Protocol, clean: float, means: Mapping[str, float]) -> Robustness:
    """Mean, groups and retention.

    Args:
        protocol (Protocol): The protocol.
        clean (float): Clean score.
        means (Mapping[str, float]): Score of each corruption, see :func:`corruption_means`.

    Returns:
        Robustness: The figures; retention is NaN when the clean score is 0.
    """
    overall = fmean(means[name] for name in protocol.corruptions)
    return Robustness(
        clean=clean,
        corruptions={name: means[name] for name in protocol.corruptions},
        groups={
            group: fmean(means[name] for name in names) for group, names in protocol.groups.items()
        },
        mean=overall,
        retention=100 * _ratio(overall, clean),
    )


def corruption_errors(run: Robustness, baseline: Robustness) -> CorruptionErrors:
    """CE, mCE and their relative forms.

    A ratio of sums over severities equals the ratio of means, as both runs have the same
    severities, so the means by corruption are enough.

    Args:
        run (Robustness): The run to judge.
        baseline (Robustness): The run to compare with, of the same protocol.

    Returns:
        CorruptionErrors: The errors. Where the baseline makes no error, or for the relative form
        loses nothing, the ratio has no meaning and is NaN, and so is the mean over corruptions.
    """
    ce = {
        name: 100 * _ratio(100 - score, 100 - baseline.corruptions[name])
        for name, score in run.corruptions.items()
    }
    relative = {
        name: 100 * _ratio(run.clean - score, baseline.clean - baseline.corruptions[name])
        for name, score in run.corruptions.items()
    }
    return CorruptionErrors(ce, fmean(ce.values()), relative, fmean(relative.values()))


def _ratio(value: float, reference: float) -> float:
    return value / reference if reference > 0 else math.nan
