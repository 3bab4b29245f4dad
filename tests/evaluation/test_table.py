"""The table of a record."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_report import PROTOCOL, iou, record

from mmseg_robust.evaluation.report import write_record
from mmseg_robust.evaluation.table import format_table, log_record


def cells(table: str, name: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} "))
    return [part.strip() for part in line.strip("|").split("|")][1:]


def test_rows() -> None:
    table = format_table(record(), PROTOCOL)
    mean = f"{(iou(48) + iou(46)) / 2:.2f}"
    assert cells(table, "corruption") == ["s2", "s4", "mean"]
    assert cells(table, "clean") == ["", "", f"{iou(80):.2f}"]
    assert cells(table, "fog") == [f"{iou(48):.2f}", f"{iou(46):.2f}", mean]
    assert cells(table, "[noise]") == ["", "", mean]
    assert cells(table, "mean") == ["", "", mean]
    assert f"1 images: clean {iou(80):.2f}, corrupted {mean}, retention" in table
    assert "mCE" not in table


def test_rows_with_a_baseline(tmp_path: Path) -> None:
    path = str(tmp_path / "baseline.json")
    write_record(record(hits=40), path)
    result = record(hits=50, baseline=path)
    table = format_table(result, PROTOCOL)
    error = f"{result['corruptions']['fog']['CE']:.2f}"
    assert cells(table, "corruption") == ["s2", "s4", "mean", "CE"]
    assert cells(table, "fog")[-1] == error
    assert cells(table, "[weather]")[-1] == ""
    assert cells(table, "mean")[-1] == f"{result['summary']['mCE']:.2f}"
    assert f"relative mCE {result['summary']['relative_mCE']:.2f} against {path}" in table


def test_nan_is_reported_by_cell(capsys: pytest.CaptureFixture) -> None:
    log_record(record(), PROTOCOL, None)
    text = capsys.readouterr().out
    assert "| fog" in text
    assert "NaN for 1 images of cell fog/2" in text
    assert "fog/4" not in text
