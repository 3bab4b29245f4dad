"""Bootstrap intervals against plain loops, and whether they hold what they promise."""

from __future__ import annotations

import dataclasses
import math
import time
import tracemalloc

import numpy as np
import pytest
from small_counts import PROTOCOL, random_counts

from mmseg_robust.corruptions import CLEAN, Cell, get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation import bootstrap
from mmseg_robust.evaluation.areas import cell_scores
from mmseg_robust.evaluation.bootstrap import (
    RESAMPLES,
    bootstrap_intervals,
    draw_weights,
    percentile_interval,
    resampled_scores,
)
from mmseg_robust.evaluation.comparison import paired_difference
from mmseg_robust.evaluation.image_counts import RunCounts


@pytest.fixture(scope="module")
def counts() -> RunCounts:
    return random_counts()


def plain_scores(areas: np.ndarray) -> list[list[float]]:
    """mIoU by resample and pass, image by image and class by class."""
    random = np.random.Generator(np.random.PCG64(0))
    num_images, num_passes, _, num_classes = areas.shape
    scores = []
    for _ in range(1000):
        drawn = random.integers(num_images, size=num_images)
        row = []
        for index in range(num_passes):
            ious = []
            for label in range(num_classes):
                intersect, predicted, labelled = (
                    sum(int(areas[image, index, kind, label]) for image in drawn)
                    for kind in range(3)
                )
                union = predicted + labelled - intersect
                if union:
                    ious.append(100 * intersect / union)
            row.append(sum(ious) / len(ious))
        scores.append(row)
    return scores


def plain_interval(values: list[float]) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of 1000 values, with linear interpolation."""
    ordered = sorted(values)
    ends = []
    for share in (0.025, 0.975):
        below = math.floor(share * 999)
        part = share * 999 - below
        ends.append(ordered[below] * (1 - part) + ordered[below + 1] * part)
    return ends[0], ends[1]


def test_every_interval_equals_that_of_a_plain_loop(counts: RunCounts) -> None:
    scores = [dict(zip(PROTOCOL.passes, row)) for row in plain_scores(counts.areas)]
    found = bootstrap_intervals(PROTOCOL, resampled_scores(counts.areas))

    def mean(row: dict[Cell, float], names: tuple[str, ...]) -> float:
        return sum((row[Cell(name, 2)] + row[Cell(name, 4)]) / 2 for name in names) / len(names)

    for cell, interval in zip(PROTOCOL.passes, found.cells):
        assert interval == pytest.approx(plain_interval([row[cell] for row in scores]))
    for name in PROTOCOL.corruptions:
        expected = plain_interval([mean(row, (name,)) for row in scores])
        assert found.corruptions[name] == pytest.approx(expected)
    for name, members in PROTOCOL.groups.items():
        expected = plain_interval([mean(row, members) for row in scores])
        assert found.groups[name] == pytest.approx(expected)
    for severity in (2, 4):
        values = [
            sum(row[Cell(name, severity)] for name in PROTOCOL.corruptions) / 6 for row in scores
        ]
        assert found.severities[severity] == pytest.approx(plain_interval(values))
    means = [mean(row, PROTOCOL.corruptions) for row in scores]
    retentions = [100 * value / row[CLEAN] for value, row in zip(means, scores)]
    assert found.clean == found.cells[0]
    assert found.mean == pytest.approx(plain_interval(means))
    assert found.retention == pytest.approx(plain_interval(retentions))


def test_a_class_that_a_resample_lacks_does_not_count(counts: RunCounts) -> None:
    # The third class is in 3 of 12 images, so about (3/4)**12 = 3 % of the resamples lack it.
    weights = draw_weights(12)
    lacking = weights[:, [0, 4, 8]].sum(1) == 0
    assert 5 < lacking.sum() < 100
    sums = np.einsum("rn,nij->rij", weights[lacking], counts.areas[:, 0].astype(np.int64))
    assert (sums[:, :, 2] == 0).all()
    expected = [cell_scores(areas[:, :2]).mIoU for areas in sums]
    np.testing.assert_allclose(resampled_scores(counts.areas)[lacking, 0], expected)


def test_the_draw_is_fixed_and_leaves_other_randomness_alone(counts: RunCounts) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first = resampled_scores(counts.areas)
    assert (np.random.get_state()[1] == before).all()
    assert (resampled_scores(counts.areas) == first).all()
    weights = draw_weights(12)
    assert (weights.sum(1) == 12).all()
    assert len(np.unique(weights, axis=0)) > 0.98 * RESAMPLES  # few images, few ways


def test_images_in_several_parts_give_the_same(
    counts: RunCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = resampled_scores(counts.areas)
    monkeypatch.setattr(bootstrap, "_IMAGES_AT_A_TIME", 5)
    assert (resampled_scores(counts.areas) == whole).all()


def test_sums_are_exact_where_float32_is_not() -> None:
    # 2**30 + 1 pixels: the odd one is lost in float32, and the sum does not fit into int32.
    areas = np.zeros((4, 1, 3, 1), np.int32)
    areas[:, 0, :, 0] = 2**30 + 1
    areas[:, 0, 0, 0] = 2**30
    expected = 100 * 2**32 / (2**32 + 8)
    assert resampled_scores(areas)[0, 0] == expected != 100


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.arange(1001.0), (25.0, 975.0)),
        ([*np.arange(1001.0), *[math.nan] * 50], (25.0, 975.0)),
        ([5.0], (5.0, 5.0)),
    ],
)
def test_percentiles(values: list[float], expected: tuple[float, float]) -> None:
    assert percentile_interval(values) == pytest.approx(expected)


def test_no_value_no_interval(counts: RunCounts) -> None:
    assert all(map(math.isnan, percentile_interval([math.nan] * 3)))
    nothing = np.zeros_like(counts.areas)
    found = bootstrap_intervals(PROTOCOL, resampled_scores(nothing))
    assert all(map(math.isnan, (*found.mean, *found.retention, *found.cells[3])))


def test_one_image_tells_nothing_about_others(counts: RunCounts) -> None:
    found = bootstrap_intervals(PROTOCOL, resampled_scores(counts.areas[:1]))
    assert all(map(math.isnan, (*found.clean, *found.groups["blur"], *found.severities[2])))


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """The share of right pixels in 30 images around a known mean, 200 times.

    Percentile intervals of 30 values are known to be slightly too narrow: 93 to 95 % is normal.
    """
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        right = random.binomial(400, random.beta(8, 2, 30))  # mean 0.8 of 400 pixels
        areas = np.zeros((30, 1, 3, 1), np.int32)
        areas[:, 0, 0, 0], areas[:, 0, 2, 0] = right, 400
        areas[:, 0, 1, 0] = right  # nothing predicted wrongly, so IoU is the share of right pixels
        low, high = percentile_interval(resampled_scores(areas)[:, 0])
        covered += low <= 80 <= high
    assert 0.90 <= covered / 200 <= 0.98


def test_ade20k_fits_into_memory_and_time() -> None:
    """A tenth of the passes of 2,000 images and 150 classes, which must take a tenth."""
    areas = np.zeros((2000, 7, 3, 150), np.int32)
    random = np.random.default_rng(0)
    areas[:, :, 1:, :9] = random.integers(1, 9999, (2000, 7, 2, 9))
    tracemalloc.start()
    start = time.perf_counter()
    scores = resampled_scores(areas)
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scores.shape == (RESAMPLES, 7)
    assert peak < 100e6
    assert seconds < 12


def test_a_run_does_not_differ_from_itself(counts: RunCounts) -> None:
    found = paired_difference(PROTOCOL, counts, counts)
    for difference in (found.clean, found.mean, found.retention, found.corruptions["fog"]):
        assert (difference.value, difference.interval) == (0, (0, 0))


def test_paired_differences_equal_those_of_a_plain_loop(counts: RunCounts) -> None:
    other = random_counts(seed=7, accuracy=0.7)
    found = paired_difference(PROTOCOL, counts, other)
    rows = list(zip(plain_scores(counts.areas), plain_scores(other.areas)))
    assert found.clean.interval == pytest.approx(plain_interval([a[0] - b[0] for a, b in rows]))

    def mean(row: list[float]) -> float:
        return sum(row[1:]) / 12  # all corruptions of the demo have two severities

    expected = plain_interval([mean(a) - mean(b) for a, b in rows])
    assert found.mean.interval == pytest.approx(expected)
    retention = [100 * (mean(a) / a[0] - mean(b) / b[0]) for a, b in rows]
    assert found.retention.interval == pytest.approx(plain_interval(retention))
    fog = [PROTOCOL.passes.index(Cell("fog", severity)) for severity in (2, 4)]
    expected = plain_interval([sum(a[i] - b[i] for i in fog) / 2 for a, b in rows])
    assert found.corruptions["fog"].interval == pytest.approx(expected)
    scores = [[cell_scores(areas).mIoU for areas in run.total_areas] for run in (counts, other)]
    assert found.clean.value == pytest.approx(scores[0][0] - scores[1][0])
    assert found.mean.value == pytest.approx(mean(scores[0]) - mean(scores[1]))
    assert found.corruptions.keys() == set(PROTOCOL.corruptions)


def test_pairing_makes_intervals_narrow() -> None:
    """What makes an image hard for both runs cancels."""
    one, other = random_counts(num_images=60), random_counts(seed=4, num_images=60)
    apart = [
        np.subtract(*bootstrap_intervals(PROTOCOL, run.resampled_scores()).mean)
        for run in (one, other)
    ]
    low, high = paired_difference(PROTOCOL, one, other).mean.interval
    assert high - low < 0.7 * np.hypot(*apart)


def reordered(counts: RunCounts, order: list[int], **changes: object) -> RunCounts:
    names = tuple(counts.names[index] for index in order)
    changed = {"names": names, "areas": counts.areas[order], **changes}
    return dataclasses.replace(counts, **changed)


def test_images_are_paired_by_name(counts: RunCounts) -> None:
    other = random_counts(seed=7)
    expected = paired_difference(PROTOCOL, counts, other)
    turned = reordered(other, [*range(6, 12), *range(6)])
    assert paired_difference(PROTOCOL, counts, turned) == expected


def test_the_order_of_classes_decides_nothing(counts: RunCounts) -> None:
    turned = dataclasses.replace(counts, areas=counts.areas[..., [2, 0, 1]])
    assert paired_difference(PROTOCOL, counts, turned).mean.value == pytest.approx(0, abs=1e-9)


def test_runs_that_cannot_be_paired_are_refused(counts: RunCounts) -> None:
    fewer = reordered(counts, list(range(10)))
    with pytest.raises(InputError, match="of their 12 and 10 images 10 have a name in common"):
        paired_difference(PROTOCOL, counts, fewer)
    twice = reordered(counts, [0, *range(11)])
    with pytest.raises(InputError, match="of their 12 and 12 images 11 have a name in common"):
        paired_difference(PROTOCOL, counts, twice)
    with pytest.raises(InputError, match="images of one name have other labels"):
        paired_difference(PROTOCOL, counts, random_counts(label_seed=1))
    with pytest.raises(InputError, match="demo has 13 passes, their counts hold 13 and 12 passes"):
        paired_difference(PROTOCOL, counts, dataclasses.replace(counts, areas=counts.areas[:, :12]))
    with pytest.raises(InputError, match="cbar has 51 passes, their counts hold 13 and 13"):
        paired_difference(get_protocol("cbar"), counts, counts)
