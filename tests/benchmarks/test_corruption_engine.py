"""The script that times the engine writes its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from load_tool import load_tool

from mmseg_robust.corruptions import NAMES

SMALL = ["--device", "cpu", "--size", "128x64", "--batch", "2", "--repeats", "2", "--threads", "1"]


def times(out: Path, *options: str) -> dict:
    load_tool("../benchmarks/corruption_engine.py").main([*SMALL, "--out", str(out), *options])
    return json.loads(out.read_text())


def test_some_corruptions_beside_the_reference(tmp_path: Path) -> None:
    result = times(tmp_path / "some.json", "--only", "contrast", "sparkles")
    rows = result["corruptions"]
    assert list(rows) == ["contrast", "sparkles"]
    assert rows["contrast"]["reference_ms"] > 0
    assert "reference_ms" not in rows["sparkles"]
    assert list(result["summary"]) == ["slowest_ms"], "they are not the 19"
    assert (result["size"], result["batch"]) == ([128, 64], 2)


def test_the_summary_of_the_19(tmp_path: Path) -> None:
    result = times(tmp_path / "all.json", "--reference-repeats", "0", "--only", *NAMES)
    total = sum(row["median_ms"] for row in result["corruptions"].values())
    assert result["summary"]["sum_of_19_ms"] == pytest.approx(total)
    assert result["summary"]["mean_of_19_ms"] == pytest.approx(total / 19)
    assert "times_faster" not in result["summary"]


@pytest.mark.parametrize(
    "options, message", [(["--repeats", "1"], "2 or more"), (["--only", "fogg"], "'fogg'")]
)
def test_wrong_options(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        times(tmp_path / "none.json", *options)
    assert message in capsys.readouterr().err
