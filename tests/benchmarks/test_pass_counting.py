"""The script that times the counting of passes writes its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from load_tool import load_tool

from mmseg_robust.evaluation.pixel_counts import counts_of, row_size

BENCHMARK = "../benchmarks/pass_counting.py"
SMALL = ["--device", "cpu", "--size", "64x32", "--classes", "3", "--block", "3", "--rounds", "1"]


def test_on_a_cpu_plain_torch_is_measured_alone(tmp_path: Path) -> None:
    out = tmp_path / "new" / "times.json"
    load_tool(BENCHMARK).main([*SMALL, "--dtypes", "float32", "--out", str(out)])
    report = json.loads(out.read_text())
    assert list(report["results"]) == ["3 classes, float32, smooth", "3 classes, float32, speckled"]
    for forms in report["results"].values():
        assert list(forms) == ["read_once", "torch"]
        row = forms["torch"]
        assert 0 < row["lower_quartile_ms"] <= row["median_ms"] <= row["upper_quartile_ms"]
        assert row["calls"] == 2
    assert report["settings"]["launches"] == [[1024, 8, 4]]


def test_differences_are_found() -> None:
    difference = load_tool(BENCHMARK).difference
    plain = torch.zeros(row_size(3), dtype=torch.int32)
    counts_of(plain, 3).confidence[0, 7] = 5
    fused = plain.clone()
    assert difference(plain, fused, 3) == {
        "table_equal": True,
        "flips_equal": True,
        "nan_equal": True,
        "confidence_pixels_moved": 0,
    }
    other = counts_of(fused, 3)
    other.confidence[0, 7], other.confidence[0, 8] = 3, 2
    other.table[0, 0] = 1
    found = difference(plain, fused, 3)
    assert (found["table_equal"], found["confidence_pixels_moved"]) == (False, 2)


def test_too_few_calls_are_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        load_tool(BENCHMARK).main([*SMALL, "--block", "2"])
    assert "--block must be 3 or more" in capsys.readouterr().err
