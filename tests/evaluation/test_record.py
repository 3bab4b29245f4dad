"""The figures of a record."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_counts import CLASSES, PROTOCOL, random_counts

from mmseg_robust.corruptions import CLEAN, Cell
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.bootstrap import bootstrap_intervals
from mmseg_robust.evaluation.calibration import BINS, RIGHT, WRONG, expected_calibration_error
from mmseg_robust.evaluation.comparison import paired_difference
from mmseg_robust.evaluation.image_counts import ImageCounts, join_images
from mmseg_robust.evaluation.record import build_record, flat_metrics
from mmseg_robust.evaluation.record_files import images_path, write_counts, write_record


def record(hits: int = 50, baseline: str | None = None) -> dict[str, Any]:
    """A record in which the first of two classes has 100 pixels, the second none; clean 80 hits.

    There are two images, alike, so that every interval has no width.
    """
    confusion, confidence = [], np.zeros((len(PROTOCOL.passes), 2, BINS), np.int64)
    for index, cell in enumerate(PROTOCOL.passes):
        right = 80 if cell == CLEAN else hits - cell.severity
        # The others are predicted as no class, and as many of no class as this one.
        confusion += [(index, 0, 0, right), (index, 0, 2, 100 - right), (index, 2, 0, 100 - right)]
        confidence[index, RIGHT, -1], confidence[index, WRONG, -1] = right, 100 - right
    flips = [[0, 0], *([cell.severity, 100] for cell in PROTOCOL.cells)]
    image = ImageCounts(
        name="0.png",
        confusion=np.array(confusion, np.int32),
        nan=np.array([cell == Cell("fog", 2) for cell in PROTOCOL.passes]),
        flips=np.array(flips),
        confidence=confidence,
    )
    counts = join_images([image, dataclasses.replace(image, name="1.png")], len(PROTOCOL.passes), 2)
    other = None if baseline is None else read_baseline(baseline, PROTOCOL)
    return build_record(PROTOCOL, counts, ("a", "b"), {"seed": 7}, other)


def iou(hits: int) -> float:
    return 100 * hits / (200 - hits)


def cell(result: dict[str, Any], name: str, severity: int) -> dict[str, Any]:
    return next(e for e in result["cells"] if (e["corruption"], e["severity"]) == (name, severity))


def test_figures_by_hand() -> None:
    result = record()
    assert result["schema_version"] == 2
    assert result["protocol"]["name"] == "demo"
    assert result["run"] == {"seed": 7}
    assert result["num_images"] == 2
    assert result["clean"]["mIoU"] == pytest.approx(iou(80))
    fog = cell(result, "fog", 2)
    assert fog["areas"] == {
        "intersect": [96, 0],
        "union": [304, 0],
        "prediction": [200, 0],
        "label": [200, 0],
    }
    assert (fog["mIoU"], fog["aAcc"], fog["mAcc"]) == pytest.approx((iou(48), 48, 48))
    assert fog["IoU"][0] == pytest.approx(iou(48))
    assert math.isnan(fog["IoU"][1])
    assert fog["nan_images"] == 2
    mean = (iou(48) + iou(46)) / 2  # severities 2 and 4 of every corruption
    assert result["corruptions"]["fog"]["mIoU"] == pytest.approx(mean)
    assert result["groups"]["weather"]["mIoU"] == pytest.approx(mean)
    assert {name: entry["mIoU"] for name, entry in result["severities"].items()} == pytest.approx(
        {"2": iou(48), "4": iou(46)}
    )
    summary = result["summary"]
    assert (summary["clean"], summary["mean"]) == pytest.approx((iou(80), mean))
    assert summary["retention"] == pytest.approx(100 * mean / iou(80))
    assert result["bootstrap"] == {"resamples": 1000, "seed": 0, "level": 0.95}


def test_calibration_and_flips_by_hand() -> None:
    result = record()
    # All pixels lie in the last bin, half a fine bin below full confidence.
    expected = {severity: 1 - 0.5 / BINS - (50 - severity) / 100 for severity in (2, 4)}
    assert cell(result, "fog", 2)["ECE"] == pytest.approx(expected[2])
    mean = (expected[2] + expected[4]) / 2
    assert result["corruptions"]["fog"]["ECE"] == pytest.approx(mean)
    assert result["groups"]["noise"]["ECE"] == pytest.approx(mean)
    assert result["summary"]["ECE"] == pytest.approx(mean)
    assert result["summary"]["clean_ECE"] == pytest.approx(1 - 0.5 / BINS - 0.8)
    assert cell(result, "fog", 4)["flip_rate"] == pytest.approx(0.04)
    assert math.isnan(result["clean"]["flip_rate"])
    assert result["corruptions"]["fog"]["flip_rate"] == pytest.approx(0.03)
    assert result["summary"]["flip_rate"] == pytest.approx(0.03)


def test_images_that_are_alike_leave_no_width() -> None:
    result = record()
    for entry in (
        result["clean"], result["cells"][3], result["corruptions"]["fog"],
        result["groups"]["noise"], result["severities"]["4"],
    ):  # fmt: skip
        assert entry["mIoU_interval"] == pytest.approx([entry["mIoU"]] * 2)
    for name in ("clean", "mean", "retention"):
        interval = result["summary"][f"{name}_interval"]
        assert interval == pytest.approx([result["summary"][name]] * 2)


def test_intervals_stand_at_their_figures() -> None:
    counts = random_counts()
    result = build_record(PROTOCOL, counts, CLASSES, {})
    expected = bootstrap_intervals(PROTOCOL, counts.resampled_scores())
    assert result["clean"]["mIoU_interval"] == list(expected.clean)
    for entry, interval in zip(result["cells"], expected.cells[1:]):
        assert entry["mIoU_interval"] == list(interval)
        assert interval[0] < entry["mIoU"] < interval[1]
    for part, intervals in (("corruptions", expected.corruptions), ("groups", expected.groups)):
        for name, entry in result[part].items():
            assert entry["mIoU_interval"] == list(intervals[name])
    assert result["severities"]["2"]["mIoU_interval"] == list(expected.severities[2])
    assert result["summary"]["clean_interval"] == list(expected.clean)
    assert result["summary"]["mean_interval"] == list(expected.mean)
    assert result["summary"]["retention_interval"] == list(expected.retention)
    fog = PROTOCOL.passes.index(Cell("fog", 2))
    expected_error = expected_calibration_error(counts.confidence[fog])
    assert cell(result, "fog", 2)["ECE"] == expected_error


def test_flat_metrics_are_rounded() -> None:
    result = record()
    metrics = flat_metrics(result)
    assert metrics["clean"] == round(iou(80), 2)
    assert metrics["ECE"] == round(result["summary"]["ECE"], 4)
    assert metrics["flip_rate"] == 0.03
    assert {"mean", "retention", "noise", "fog", "clean_ECE"} <= metrics.keys()
    assert "mCE" not in metrics
    assert all(isinstance(value, float) for value in metrics.values())


def test_what_is_not_known_is_null_and_noted(tmp_path: Path) -> None:
    one = random_counts(num_images=1)
    counts = dataclasses.replace(one, flips=0 * one.flips, confidence=0 * one.confidence)
    result = build_record(PROTOCOL, counts, CLASSES, {})
    assert result["num_images"] == 1
    assert result["notes"] == [
        "Intervals left out: they need the counts of two images or more.",
        "ECE left out: the predictions came without logits.",
        "flip_rate left out: the predictions of an image were not compared.",
        "No baseline: mCE and relative mCE left out.",
    ]
    write_record(result, tmp_path / "r.json")
    loaded = json.loads((tmp_path / "r.json").read_text())
    for entry in (loaded["clean"], loaded["cells"][2], loaded["groups"]["noise"]):
        assert entry["mIoU_interval"] is entry["ECE"] is entry["flip_rate"] is None
    assert loaded["summary"]["mean_interval"] is loaded["summary"]["clean_ECE"] is None
    assert flat_metrics(result).keys().isdisjoint({"ECE", "clean_ECE", "flip_rate"})


def test_errors_against_a_baseline(tmp_path: Path) -> None:
    path = str(tmp_path / "baseline.json")
    write_record(record(hits=40), path)
    result = record(hits=50, baseline=path)
    better, worse = (iou(48) + iou(46)) / 2, (iou(38) + iou(36)) / 2
    assert result["corruptions"]["fog"]["CE"] == pytest.approx(100 * (100 - better) / (100 - worse))
    relative = 100 * (iou(80) - better) / (iou(80) - worse)
    summary = result["summary"]
    assert summary["relative_mCE"] == pytest.approx(relative)
    assert flat_metrics(result)["mCE"] == round(summary["mCE"], 2)
    assert result["baseline"] == path
    assert summary["difference"]["mean"] == pytest.approx(better - worse)
    assert summary["difference"]["retention"] == pytest.approx(100 * (better - worse) / iou(80))
    assert "difference_interval" not in summary
    assert result["notes"] == [
        f"No interval of the difference to {path!r}: it has no counts by image."
    ]


def baseline_run(folder: Path, **settings: Any) -> tuple[str, Any]:
    path, counts = folder / "robustness.json", random_counts(seed=7, accuracy=0.7, **settings)
    write_record(build_record(PROTOCOL, counts, CLASSES, {}), path)
    write_counts(counts, images_path(path))
    return str(path), counts


def test_differences_to_a_baseline_have_paired_intervals(tmp_path: Path) -> None:
    path, theirs = baseline_run(tmp_path)
    ours = random_counts()
    result = build_record(PROTOCOL, ours, CLASSES, {}, read_baseline(path, PROTOCOL))
    paired = paired_difference(PROTOCOL, ours, theirs)
    assert result["summary"]["difference_interval"] == {
        "mean": list(paired.mean.interval),
        "retention": list(paired.retention.interval),
    }
    assert result["summary"]["difference"]["mean"] == pytest.approx(paired.mean.value)
    assert paired.mean.value > 2
    assert result["notes"] == []


def test_a_baseline_that_cannot_be_paired_loses_no_run(tmp_path: Path) -> None:
    path, _ = baseline_run(tmp_path, num_images=9)
    baseline = read_baseline(path, PROTOCOL)
    result = build_record(PROTOCOL, random_counts(), CLASSES, {}, baseline)
    assert "difference_interval" not in result["summary"]
    assert "of their 12 and 9 images 9 have a name in common" in result["notes"][-1]
    images_path(path).write_bytes(b"no archive")
    result = build_record(PROTOCOL, random_counts(), CLASSES, {}, baseline)
    assert "Cannot read the counts by image" in result["notes"][-1]
    assert result["summary"]["mCE"] > 0


def test_a_baseline_that_loses_nothing_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "robust.json"
    result = record()
    result["corruptions"]["fog"]["mIoU"] = result["clean"]["mIoU"]
    write_record(result, path)
    found = record(baseline=str(path))
    assert math.isnan(found["summary"]["relative_mCE"])
    assert "Relative mCE left out: the baseline loses nothing under fog." in found["notes"]
