"""The arithmetic, by hand and on published tables."""

from __future__ import annotations

import math

import pytest

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.evaluation.robustness_metrics import (
    corruption_errors,
    corruption_means,
    robustness,
)

ORDER = tuple(get_protocol("cityscapes-c").corruptions)

# SegFormer (arXiv 2105.15203), Table 5: clean, the 16 corruptions in the order above; then the mean
# that FAN and STL (arXiv 2401.03844, Table 4) print for it, where they print this row.
TABLE_5 = {
    "DeepLabv3+ MBv2": "72.0 53.5 49.0 45.3 49.1 6.4 7.0 6.6 16.6 51.7 46.7 32.4 27.2 13.7 38.9 "
    "47.4 17.3 | 31.8",
    "DeepLabv3+ R50": "76.6 58.5 56.6 47.2 57.7 6.5 7.2 10.0 31.1 58.2 54.7 41.3 27.4 12.0 42.0 "
    "55.9 22.8 | 36.8",
    "DeepLabv3+ R101": "77.1 59.1 56.3 47.7 57.3 13.2 13.9 16.3 36.9 59.2 54.5 41.5 37.4 11.9 47.8 "
    "55.1 22.7 | 39.4",
    "DeepLabv3+ X65": "78.4 63.9 59.1 52.8 59.2 15.0 10.6 19.8 42.4 65.9 59.1 46.1 31.4 19.3 50.7 "
    "63.6 23.8 | 42.7",
    "ICNet": "65.9 45.8 44.6 47.4 44.7 8.4 8.4 10.6 27.9 41.0 33.1 27.5 34.0 6.3 30.5 27.3 11.0 "
    "| 28.0",
    "GSCNN": "80.9 58.9 58.4 41.9 60.1 5.5 2.6 6.8 24.7 75.9 61.9 70.7 12.0 12.4 47.3 67.9 32.6 "
    "| 40.0",
    "SegFormer-B5": "82.4 69.1 68.6 64.1 69.8 57.8 63.4 52.3 72.8 81.0 77.7 80.1 58.8 40.7 68.4 "
    "78.5 49.9 | 65.8",
}


def published(row: str) -> tuple[float, dict[str, float], float]:
    scores, mean = TABLE_5[row].split("|")
    clean, *values = map(float, scores.split())
    return clean, dict(zip(ORDER, values)), float(mean)


@pytest.mark.parametrize("row", TABLE_5)
def test_published_means_recompute(row: str) -> None:
    clean, means, expected = published(row)
    result = robustness(get_protocol("cityscapes-c"), clean, means)
    assert result.mean == pytest.approx(expected, abs=0.051)
    assert result.retention == pytest.approx(100 * expected / clean, abs=0.1)


def test_published_retention_of_segformer_b5_recomputes() -> None:
    clean, means, _ = published("SegFormer-B5")
    result = robustness(get_protocol("cityscapes-c"), clean, means)
    assert round(result.retention, 1) == 79.9
    assert result.groups["noise"] == pytest.approx((57.8 + 63.4 + 52.3 + 72.8) / 4)


def test_corruptions_count_equally_whatever_their_severities() -> None:
    protocol = get_protocol("cityscapes-c")
    scores = {cell: 10.0 * cell.severity for cell in protocol.cells}
    means = corruption_means(protocol, scores)
    assert means["shot_noise"] == 20  # severities 1-3
    assert means["fog"] == 30  # severities 1-5
    result = robustness(protocol, 55.0, means)
    assert result.mean == (4 * 20 + 12 * 30) / 16
    assert result.retention == pytest.approx(50)
    assert result.groups == {"blur": 30, "noise": 20, "digital": 30, "weather": 30}


def test_corruption_errors_by_hand() -> None:
    protocol = get_protocol("demo")
    names = protocol.corruptions
    run = robustness(protocol, 80.0, dict.fromkeys(names, 70.0))
    baseline = robustness(protocol, 75.0, {**dict.fromkeys(names, 50.0), names[0]: 60.0})
    errors = corruption_errors(run, baseline)
    assert errors.ce[names[0]] == pytest.approx(100 * 30 / 40)
    assert errors.ce[names[1]] == pytest.approx(100 * 30 / 50)
    assert errors.mce == pytest.approx((75 + 5 * 60) / 6)
    assert errors.relative_ce[names[0]] == pytest.approx(100 * 10 / 15)
    assert errors.relative_mce == pytest.approx((100 * 10 / 15 + 5 * 40) / 6)


def test_a_published_pair_of_models() -> None:
    protocol = get_protocol("cityscapes-c")
    b5 = robustness(protocol, *published("SegFormer-B5")[:2])
    r50 = robustness(protocol, *published("DeepLabv3+ R50")[:2])
    errors = corruption_errors(b5, r50)
    assert errors.ce["fog"] == pytest.approx(100 * 21.5 / 44.1)
    assert errors.mce < 100 < corruption_errors(r50, b5).mce


def test_what_has_no_meaning_is_nan() -> None:
    protocol = get_protocol("demo")
    names = protocol.corruptions
    run = robustness(protocol, 80.0, dict.fromkeys(names, 70.0))
    unharmed = robustness(protocol, 75.0, {**dict.fromkeys(names, 50.0), "fog": 75.0})
    errors = corruption_errors(run, unharmed)
    assert math.isnan(errors.relative_ce["fog"])
    assert math.isnan(errors.relative_mce)
    assert not math.isnan(errors.mce)
    assert math.isnan(robustness(protocol, 0.0, dict.fromkeys(names, 0.0)).retention)
    assert math.isnan(robustness(protocol, 80.0, {**run.corruptions, "fog": math.nan}).mean)
