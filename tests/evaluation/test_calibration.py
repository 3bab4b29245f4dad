"""Calibration error and flip rate against figures by hand and against single pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmseg_robust.evaluation.calibration import (
    BINS,
    ECE_BINS,
    RIGHT,
    WRONG,
    calibration_error_of_images,
    expected_calibration_error,
    flip_rate,
)


def histogram(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    fine = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(fine[right == row], minlength=BINS) for row in (WRONG, RIGHT)])


def exact_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """ECE pixel by pixel, as its papers define it."""
    error = 0.0
    for index in range(15):
        inside = (confidence >= index / 15) & (confidence < (index + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap
    return error


def test_by_hand() -> None:
    counts = np.zeros((2, BINS), np.int64)
    place = BINS * 7 // 10  # confidence 0.7 and half a fine bin
    counts[RIGHT, place], counts[WRONG, place] = 30, 70
    confidence = 0.7 + 0.5 / BINS
    assert expected_calibration_error(counts) == pytest.approx(confidence - 0.3)
    # A second bin, as many pixels, all right at 0.2: the gaps add up whatever their signs.
    counts[RIGHT, BINS // 5] = 100
    expected = (confidence - 0.3 + 1 - 0.2 - 0.5 / BINS) / 2
    assert expected_calibration_error(counts) == pytest.approx(expected)


@pytest.mark.parametrize("power", [1.0, 0.5, 3.0, 60.0])
def test_within_half_a_fine_bin_of_the_exact_error(power: float) -> None:
    random = np.random.default_rng(0)
    confidence = random.random(20000) ** (1 / power)
    right = (random.random(20000) < confidence**2).astype(int)
    found = expected_calibration_error(histogram(confidence, right))
    expected = exact_error(confidence, right)
    assert abs(found - expected) <= 0.5 / BINS
    assert expected > 5 / BINS or power == 60.0  # the bound says something


def test_images_one_by_one_give_the_exact_error() -> None:
    random = np.random.default_rng(2)
    confidence = random.random(3000).astype(np.float32)
    right = random.random(3000) < confidence**2
    found = calibration_error_of_images(confidence, right)
    assert found == pytest.approx(exact_error(confidence, right), abs=1e-6)
    sure = calibration_error_of_images(np.ones(4, np.float32), np.array([True] * 3 + [False]))
    assert sure == 0.25  # confidence 1 lies in the last bin


def test_the_error_is_global_not_by_batch() -> None:
    """Calibrated confidence in many small parts: near 0 in one histogram, far from it by part."""
    random = np.random.default_rng(1)
    confidence = random.uniform(0.2, 1, (2500, 8))
    right = (random.random((2500, 8)) < confidence).astype(int)
    parts = [histogram(*part) for part in zip(confidence, right)]
    assert expected_calibration_error(np.sum(parts, axis=0)) < 0.02
    assert np.mean([expected_calibration_error(part) for part in parts]) > 0.2


def test_fine_bins_fill_the_coarse_ones() -> None:
    assert BINS % ECE_BINS == 0


def test_nothing_counted_is_nan() -> None:
    assert math.isnan(expected_calibration_error(np.zeros((2, BINS), np.int64)))
    assert math.isnan(flip_rate(np.zeros((3, 2), np.int64)))
    assert math.isnan(calibration_error_of_images(np.zeros(0, np.float32), np.zeros(0, bool)))


def test_flip_rate_is_a_share_of_all_pixels_not_a_mean_over_images() -> None:
    assert flip_rate(np.array([[10, 100], [0, 900]])) == 10 / 1000
    assert flip_rate(np.array([[2**31 - 1, 2**31 - 1]] * 3, np.int32)) == 1
