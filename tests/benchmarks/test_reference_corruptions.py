"""The script that times the reference corruptions writes its result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from load_tool import load_tool

from mmseg_robust.corruptions import COMMON, NAMES, get_protocol


def test_it_writes_its_result(tmp_path: Path) -> None:
    out = tmp_path / "times.json"
    script = load_tool("../benchmarks/reference_corruptions.py")
    script.main(["--size", "64x64", "--repeats", "1", "--out", str(out)])
    result = json.loads(out.read_text())
    cells = result["cells"]
    assert set(cells) == {f"{name}/{severity}" for name in NAMES for severity in range(1, 6)}
    assert min(cell["wall_s"] for cell in cells.values()) > 0
    by_total = {
        "cityscapes-c": [str(cell) for cell in get_protocol("cityscapes-c").cells],
        "first-15x5": [f"{name}/{severity}" for name in COMMON for severity in range(1, 6)],
    }
    for name, names in by_total.items():
        total = result["totals"][name]
        assert total["cells"] == len(names)
        assert total["wall_s"] == pytest.approx(sum(cells[cell]["wall_s"] for cell in names))
    settings = {"width": 64, "height": 64, "repeats": 1, "threads": 1}
    assert result["settings"] == settings
    assert result["versions"]["imagecorruptions"]
    assert result["machine"]["processor"]
