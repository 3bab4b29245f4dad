"""Whether confidence says how often a model is right, and whether its predictions hold still."""

from __future__ import annotations

import numpy as np

BINS = 240
"""Bins of confidence in [0, 1]; a multiple of the 10, 15 or 20 that calibration is stated with."""

WRONG, RIGHT = 0, 1
"""Rows of a confidence histogram."""

ECE_BINS = 15
"""Bins that the calibration error is stated with, as in Guo et al. (arXiv 1706.04599)."""


def expected_calibration_error(confidence: np.ndarray) -> float:
    """Expected calibration error (ECE) over all pixels of a cell at once, from their histogram.

    With n_b of all n pixels in bin b, ``ECE = sum_b n_b / n * |accuracy_b - confidence_b|``
    (Naeini et al., AAAI 2015; Guo et al., ICML 2017, arXiv 1706.04599), 15 bins of equal width. One
    histogram holds the pixels of all images: an error that is taken by batch and then averaged is
    far too high, because in a small batch the accuracy of a bin is mostly chance.

    The mean confidence of a bin is not stored but taken from the fine histogram, each pixel at the
    centre of its fine bin. A pixel lies within half a fine bin of that centre, so the result lies
    within ``1 / (2 * BINS)`` of the exact one.

    Args:
        confidence (np.ndarray): Pixels by confidence, integers, shape (2, BINS), wrong and right
            ones.

    Returns:
        float: From 0 to 1; NaN without pixels.
    """
    centres = (np.arange(BINS) + 0.5) / BINS
    pixels = confidence.sum(0)
    # n_b * (accuracy_b - confidence_b), for each fine bin, then summed in each of the coarse ones.
    surplus = (confidence[RIGHT] - pixels * centres).reshape(ECE_BINS, -1).sum(1)
    total = pixels.sum()
    return float(np.abs(surplus).sum() / total) if total else float("nan")


def calibration_error_of_images(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error (ECE) over all images of a cell, by the same formula, exactly.

    Args:
        confidence (np.ndarray): Probability of the predicted class, from 0 to 1, shape (N,).
        right (np.ndarray): Whether the prediction is right, bool, shape (N,).

    Returns:
        float: From 0 to 1; NaN without images.
    """
    if not len(confidence):
        return float("nan")
    bins = np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    surplus = np.bincount(bins, weights=right - confidence.astype(np.float64))
    return float(np.abs(surplus).sum() / len(confidence))


def flip_rate(flips: np.ndarray) -> float:
    """Share of predictions that change from one severity to the next, the inverse of consistency.

    The idea is the flip probability of ImageNet-P (Hendrycks and Dietterich, ICLR 2019, Sec. 4.2),
    taken here between a severity and the next weaker one of the same image, the random draw held
    fixed. That is the project's own choice.

    Args:
        flips (np.ndarray): Pixels or images that differ, and how many were compared, integers,
            shape (N, 2).

    Returns:
        float: From 0 to 1; NaN where nothing was compared.
    """
    differing, compared = flips.sum(0, dtype=np.int64).tolist()
    return differing / compared if compared else float("nan")
