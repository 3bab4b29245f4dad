"""Intervals over images: how far a figure would move with other images of the same kind.

The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13): a
resample draws as many images as there are, with replacement, and every figure is computed anew
from the sums over them; the interval holds the middle 95 % of these figures. All
figures come from the same resamples, and those of two runs on the same images too.

An interval tells the chance in the choice of images. The chance in training (the seed) and in the
corruptions' random draws is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_robust.corruptions import CLEAN, Cell, Protocol
from mmseg_robust.evaluation.areas import iou_by_class, mean_of_present
from mmseg_robust.evaluation.robustness_metrics import (
    Robustness,
    corruption_means,
    robustness,
    severity_means,
)

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95

_IMAGES_AT_A_TIME = 512

Interval = tuple[float, float]
"""Low and high end; both NaN where the figure has no value in any resample."""


def draw_weights(num_images: int) -> np.ndarray:
    """Draws the resamples.

    Args:
        num_images (int): Number of images, N.

    Returns:
        np.ndarray: How often each resample holds each image, uint16, shape (RESAMPLES, N); each row
        sums to N. It depends on N alone.
    """
    generator = np.random.Generator(np.random.PCG64(SEED))
    weights = np.empty((RESAMPLES, num_images), np.uint16)
    for row in weights:
        drawn = generator.integers(num_images, size=num_images)
        row[:] = np.bincount(drawn, minlength=num_images)
    return weights


def resampled_scores(areas: np.ndarray) -> np.ndarray:
    """mIoU of every pass in every resample.

    Sums of counts are whole numbers below 2**53, which float64 holds exactly: the order in which
    they are added, and so the number of threads, changes nothing.

    Args:
        areas (np.ndarray): Counts by image, pass and class, integers, shape (N, K, 3, C), see
            :mod:`mmseg_robust.evaluation.areas`.

    Returns:
        np.ndarray: Percent, float64, shape (RESAMPLES, K). A class that is absent in a resample
        does not count there; NaN where all are, and everywhere if there are fewer than two images,
        from which nothing follows about others.
    """
    num_passes, _, num_classes = areas.shape[1:]
    if len(areas) < 2:
        return np.full((RESAMPLES, num_passes), np.nan)
    weights = draw_weights(len(areas))
    scores = np.empty((RESAMPLES, num_passes))
    for index in range(num_passes):
        sums = _resampled_sums(weights, areas[:, index].reshape(len(areas), -1))
        iou = iou_by_class(sums.reshape(RESAMPLES, 3, num_classes))
        scores[:, index] = mean_of_present(iou)
    return scores


def resampled_means(values: np.ndarray) -> np.ndarray:
    """Mean over images of every pass in every resample.

    Args:
        values (np.ndarray): Whole numbers by image and pass, shape (N, K).

    Returns:
        np.ndarray: float64, shape (RESAMPLES, K); NaN if there are fewer than two images.
    """
    if len(values) < 2:
        return np.full((RESAMPLES, values.shape[1]), np.nan)
    return _resampled_sums(draw_weights(len(values)), values) / len(values)


def _resampled_sums(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums over the images of each resample, float64, shape (RESAMPLES, M), of values (N, M)."""
    sums = np.zeros((RESAMPLES, values.shape[1]))
    for start in range(0, len(values), _IMAGES_AT_A_TIME):  # bounds the copies as float64
        part = slice(start, start + _IMAGES_AT_A_TIME)
        sums += weights[:, part].astype(np.float64) @ values[part].astype(np.float64)
    return sums


def percentile_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """The middle 95 % of a figure's values.

    Args:
        values (Sequence[float] | np.ndarray): One value a resample, shape (RESAMPLES,). NaN, where
            the figure has no value in a resample, does not count.

    Returns:
        Interval: Low and high end.
    """
    found = np.asarray(values, np.float64)
    found = found[~np.isnan(found)]
    if not len(found):
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Intervals:
    """Intervals of all scores of a run, in percent.

    Args:
        cells (tuple[Interval, ...]): By pass, the clean one first.
        severities (dict[int, Interval]): By severity.
        corruptions (dict[str, Interval]): By corruption.
        groups (dict[str, Interval]): By group.
        clean (Interval): Of the clean score.
        mean (Interval): Of the mean over corruptions.
        retention (Interval): Of the retention.
    """

    cells: tuple[Interval, ...]
    severities: dict[int, Interval]
    corruptions: dict[str, Interval]
    groups: dict[str, Interval]
    clean: Interval
    mean: Interval
    retention: Interval


def bootstrap_intervals(protocol: Protocol, scores: np.ndarray) -> Intervals:
    """Intervals of all figures.

    Args:
        protocol (Protocol): The protocol.
        scores (np.ndarray): Scores by resample and pass, percent, shape (R, K), passes in the order
            of ``protocol.passes``, see :func:`resampled_scores` and :func:`resampled_means`.

    Returns:
        Intervals: The intervals, all from the same resamples.
    """
    figures = resampled_figures(protocol, scores)
    by_severity = [severity_means(protocol, by_cell) for by_cell in _by_cell(protocol, scores)]
    return Intervals(
        cells=tuple(percentile_interval(column) for column in scores.T),
        severities={
            severity: percentile_interval([means[severity] for means in by_severity])
            for severity in by_severity[0]
        },
        corruptions={
            name: percentile_interval([figure.corruptions[name] for figure in figures])
            for name in protocol.corruptions
        },
        groups={
            name: percentile_interval([figure.groups[name] for figure in figures])
            for name in protocol.groups
        },
        clean=percentile_interval([figure.clean for figure in figures]),
        mean=percentile_interval([figure.mean for figure in figures]),
        retention=percentile_interval([figure.retention for figure in figures]),
    )


def resampled_figures(protocol: Protocol, scores: np.ndarray) -> list[Robustness]:
    """The figures of each resample, by the arithmetic of the run's own.

    Args:
        protocol (Protocol): The protocol.
        scores (np.ndarray): Scores by resample and pass, shape (R, K), see
            :func:`resampled_scores`.

    Returns:
        list[Robustness]: R figures.
    """
    return [
        robustness(protocol, by_cell[CLEAN], corruption_means(protocol, by_cell))
        for by_cell in _by_cell(protocol, scores)
    ]


def _by_cell(protocol: Protocol, scores: np.ndarray) -> list[dict[Cell, float]]:
    return [dict(zip(protocol.passes, row)) for row in scores.tolist()]
