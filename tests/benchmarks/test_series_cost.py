"""The script that times the runs of a results series writes its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from load_tool import load_tool


def test_runs_beside_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = "configs/camvid/segformer_mit-b0_1xb8-4k_camvid-320x320.py"
    cwfa = "configs/camvid/segformer_mit-b0-cwfa_1xb8-4k_camvid-320x320.py"
    window = {"custom_hooks.0.begin": 1333, "custom_hooks.0.end": 2000}
    runs = [dict(name="plain", config=plain), dict(name="late", config=cwfa, options=window)]
    series, out = tmp_path / "series.json", tmp_path / "out.json"
    series.write_text(json.dumps(dict(runs=[*runs, dict(name="other", config="no file")])))
    options = ["--batch", "2", "--size", "32", "--steps", "2", "--block", "1", "--warm-up", "0"]
    load_tool("../benchmarks/series_cost.py").main(
        [str(series), "--only", "plain", "late", *options, "--out", str(out)]
    )
    report = json.loads(out.read_text())
    assert report["machine"] and report["versions"]["torch"]
    results = report["results"]
    assert list(results) == ["plain", "late"]
    assert results["plain"]["ratio_of_medians"] == 1
    assert results["late"]["ratio_of_medians"] == pytest.approx(
        results["late"]["median_ms"] / results["plain"]["median_ms"]
    )
