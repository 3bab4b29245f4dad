"""The table of a record."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_counts import CLASSES, random_counts
from test_record import PROTOCOL, iou, record

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.evaluation.baseline import Baseline, read_baseline
from mmseg_robust.evaluation.image_counts import RunCounts
from mmseg_robust.evaluation.record import build_record
from mmseg_robust.evaluation.record_files import images_path, write_counts, write_record
from mmseg_robust.evaluation.robustness_metrics import robustness
from mmseg_robust.evaluation.table import format_table, log_record


def cells(table: str, name: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
    return [part.strip() for part in line.strip("|").split("|")][1:]


def test_rows() -> None:
    table = format_table(record(), PROTOCOL)
    mean = (iou(48) + iou(46)) / 2
    span = f"{mean:.1f}-{mean:.1f}"
    assert cells(table, "corruption") == ["s2", "s4", "mean", "95 %"]
    assert cells(table, "clean") == ["", "", f"{iou(80):.2f}", f"{iou(80):.1f}-{iou(80):.1f}"]
    assert cells(table, "fog") == [f"{iou(48):.2f}", f"{iou(46):.2f}", f"{mean:.2f}", span]
    assert cells(table, "[noise]") == ["", "", f"{mean:.2f}", span]
    assert cells(table, "mean") == [f"{iou(48):.2f}", f"{iou(46):.2f}", f"{mean:.2f}", span]
    clean, part = f"{iou(80):.2f}", f"{mean:.2f}"
    assert (
        f"demo (version 1), 2 images: clean {clean} [{clean}, {clean}], "
        f"corrupted {part} [{part}, {part}],\nretention" in table
    )
    assert "flip rate 0.0300" in table
    assert "mCE" not in table


def test_rows_with_a_baseline(tmp_path: Path) -> None:
    path = str(tmp_path / "baseline.json")
    write_record(record(hits=40), path)
    result = record(hits=50, baseline=path)
    table = format_table(result, PROTOCOL)
    error = f"{result['corruptions']['fog']['CE']:.2f}"
    assert cells(table, "corruption") == ["s2", "s4", "mean", "95 %", "CE"]
    assert cells(table, "fog")[-1] == error
    assert cells(table, "[weather]")[-1] == ""
    assert cells(table, "mean")[-1] == f"{result['summary']['mCE']:.2f}"
    difference = f"{result['summary']['difference']['mean']:+.2f}"
    assert f"relative mCE {result['summary']['relative_mCE']:.2f}, corrupted {difference}," in table
    assert f"\nagainst {path}\n" in table


def test_the_headline_tells_the_paired_interval(tmp_path: Path) -> None:
    path = tmp_path / "robustness.json"
    other = random_counts(seed=7, accuracy=0.7)
    write_record(build_record(PROTOCOL, other, CLASSES, {}), path)
    write_counts(other, images_path(path))
    baseline = read_baseline(path, PROTOCOL)
    result = build_record(PROTOCOL, random_counts(), CLASSES, {}, baseline)
    low, high = result["summary"]["difference_interval"]["mean"]
    assert f" [{low:+.2f}, {high:+.2f}], retention" in format_table(result, PROTOCOL)


def test_what_is_not_known_is_left_out() -> None:
    result = record()
    result["summary"] = {key: None if "_" in key else v for key, v in result["summary"].items()}
    result["summary"]["ECE"] = float("nan")
    result["corruptions"]["fog"]["mIoU_interval"] = None
    table = format_table(result, PROTOCOL)
    assert cells(table, "fog")[-1] == ""
    assert "[" not in table.split("images: ")[1]
    assert "ECE" not in table and "flip rate" not in table


@pytest.mark.parametrize("name", ["cbar", "all-19x5", "cityscapes-c"])
def test_lines_have_at_most_100_characters(name: str) -> None:
    """With two large errors against a baseline, and the longest names."""
    protocol = get_protocol(name)
    counts = random_counts()
    place = [0, *(1 + index % 12 for index in range(len(protocol.cells)))]
    wide = RunCounts(
        names=counts.names,
        areas=counts.areas[:, place],
        confusion=counts.confusion[place],
        nan_images=counts.nan_images[place],
        flips=counts.flips[:, place],
        confidence=counts.confidence[place],
    )
    strong = robustness(protocol, 99.0, dict.fromkeys(protocol.corruptions, 95.0))
    result = build_record(protocol, wide, CLASSES, {}, Baseline("b.json", strong))
    assert result["summary"]["mCE"] > 100
    lines = format_table(result, protocol).splitlines()
    assert max(map(len, lines)) <= 100


def test_nan_and_notes_are_reported(capsys: pytest.CaptureFixture) -> None:
    log_record(record(), PROTOCOL, None)
    text = capsys.readouterr().out
    assert "| fog" in text
    assert "NaN for 2 images of cell fog/2" in text
    assert "fog/4" not in text
    assert "\nNo baseline: mCE and relative mCE left out.\n" in text
