"""The page of benchmarks is what the results give, and says what is missed and missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from load_tool import ROOT, load_tool

RESULTS = ROOT / "benchmarks" / "results"
VERSIONS = dict(torch="2.0")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("../benchmarks/draw_page.py")


@pytest.fixture
def page(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the page of some files, without its picture."""
    monkeypatch.setattr(tool, "draw", lambda rows, path: path.parent.mkdir(parents=True))

    def make(**files: dict) -> str:
        results, docs = tmp_path / "results", tmp_path / "docs"
        results.mkdir()
        for name, content in files.items():
            (results / f"{name}.json").write_text(json.dumps(content))
        assert tool.main(["--results", str(results), "--docs", str(docs)]) == 0
        return (docs / "benchmarks.md").read_text(encoding="utf-8")

    return make


def line_of(text: str, *words: str) -> list[str]:
    """The cells of the one row of a table that has all the words."""
    found = [row for row in text.splitlines() if row[:1] == "|" and all(w in row for w in words)]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].split("|")[1:-1]]


def section(text: str, title: str) -> str:
    """What stands under a heading."""
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def step_time(ratio: float, **settings: Any) -> dict:
    """A step-time report of CWFA at a ratio."""
    own = dict(ratio_by_round=ratio, ratio_of_medians=ratio, ratio_of_minima=1.0, median_ms=9.0)
    settings = {**dict(variant=0, batch=2, methods=["cwfa"], merged=False), **settings}
    return dict(results=dict(plain={}, cwfa=own), settings=settings, machine="M", versions=VERSIONS)


def test_the_page_in_docs_is_what_the_results_give(tool: ModuleType, tmp_path: Path) -> None:
    assert tool.main(["--docs", str(tmp_path)]) == 0
    made = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    kept = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert made == kept, "run python benchmarks/draw_page.py"
    picture = tmp_path / "images" / "benchmarks.png"
    assert 20_000 < picture.stat().st_size < 200_000
    for path in RESULTS.glob("*.json"):
        assert f"[{path.name}]" in made, "in a table"
        assert f"--out benchmarks/results/{path.name}`" in made, "and the command"


def test_a_miss_is_called_a_miss(page: Any) -> None:
    text = page(step_time_over_h200=step_time(1.031), step_time_under_h200=step_time(1.03))
    over, under = line_of(text, "[step_time_over"), line_of(text, "[step_time_under")
    assert over[1:4] == ["1.031 times", "≤ 1.03", "**missed**"]
    assert under[1:4] == ["1.030 times", "≤ 1.03", "met"]
    assert over[-2:] == ["M", "2.0"]
    missed = section(text, "What misses its bar or failed")
    assert missed.count("\n- ") == 1
    assert "1.031 times; bar ≤ 1.03; step_time_over_h200.json; met in step_time_under" in missed
    made = "--variant 0 --batch 2 --methods cwfa --out benchmarks/results/step_time_over_h200.json`"
    assert made in section(text, "Commands")


def test_a_bar_is_for_its_batch(page: Any) -> None:
    """A step of eight images is far from waiting for the host: it says nothing of the bar."""
    text = page(step_time_eight_h200=step_time(1.2, batch=8))
    line = line_of(text, "[step_time_eight")
    assert line[:4] == ["cwfa: step over the plain one; B0, batch 8", "1.200 times", "", ""]
    assert "step_time_eight" not in section(text, "What misses its bar or failed")


def test_the_best_variant_is_judged_and_a_failure_is_said(page: Any) -> None:
    speeds = {"stock": 1.0, "fused": 1.1, "stock merged": 1.2, "fused merged": 1.25}
    variants: dict[str, dict] = {
        name: dict(times_faster_by_round=times, times_faster=times, median_ms=1.0)
        for name, times in speeds.items()
    }
    variants["fused compiled"] = dict(error="OutOfMemoryError: 1 GiB | 2 GiB")
    case = dict(part="step", model=0, batch=2, width=8, height=8, dtype="float32")
    report = dict(settings=dict(models=[0]), machine="M", versions=VERSIONS)
    text = page(attention_x=dict(report, cases=[dict(case, variants=variants)]))
    assert line_of(text, "fused merged (the best)")[2:4] == ["≥ 1.3", "**missed**"]
    assert line_of(text, "| stock merged:")[2:4] == ["", ""]
    assert "**failed**" in line_of(text.replace("\\|", "or"), "fused compiled")


@pytest.mark.parametrize("times, verdict", [(1.79, "**missed**"), (1.8, "met")])
def test_two_gpus(page: Any, times: float, verdict: str) -> None:
    row = {"plain": times, "evaluation": 1.9, "equal_records": False}
    report = dict(settings=dict(gpus=[1, 2]), machine="M", versions=VERSIONS)
    text = page(scaling_h200=dict(report, times_the_first={"1": {"plain": 1.0}, "2": row}))
    assert line_of(text, "2 GPUs: training, plain")[3] == verdict
    assert line_of(text, "2 GPUs: evaluation")[3:5] == ["met", "records DIFFER"]
    assert "2 GPUs: the records of 1 GPU: failed" in section(text, "What misses its bar or failed")
    assert "scaling.py --gpus 1 2 --out" in text


def test_the_minutes_of_the_whole_test(page: Any) -> None:
    settings = dict(
        variant=0, images=500, protocol="cityscapes-c", mode="whole", stock_severity=3,
        size=[2048, 1024], fp16=False,
    )  # fmt: skip
    forward = dict(seconds=400.0, ms_an_image={"4": 12.0, "8": 11.0})
    own = dict(loop=dict(seconds=450.0), forward=forward, loop_over_forward=1.125)
    stock = dict(times_faster_than_stock={"4": 6.5}, stock_seconds_by_workers={"4": 2925.0})
    stock["stock_as_released_seconds_by_workers"] = {"4": 4500.0}
    report = dict(settings=settings, passes=73, device="M", versions=VERSIONS, **own, **stock)
    text = page(robustness_evaluation_500=report)
    assert line_of(text, "the loop itself")[1:4] == ["7.500 minutes", "< 7.5", "**missed**"]
    assert line_of(text, "with 4 workers")[1:4] == ["6.500 times", "≥ 6", "met"]
    assert "stock ran severity 3" in line_of(text, "with 4 workers")[4]
    released = line_of(text, "glass blur as released")
    assert (released[1], released[4]) == ("10.0 times", "derived, not run")
    assert line_of(text, "with 16 workers")[3] == "not measured yet"


def test_the_memory_of_a_short_evaluation(page: Any) -> None:
    settings = dict(
        variant=0, images=4, protocol="cityscapes-c-light", mode="whole", cells_per_batch=2,
        size=[2048, 1024], fp16=False,
    )  # fmt: skip
    report = dict(
        settings=settings, passes=9, device="M", versions=VERSIONS, loop_over_forward=5.0,
        loop=dict(seconds=2.5, peak_gib=2.75), times_faster_than_stock={},
        forward=dict(seconds=0.5, ms_an_image={"1": 12.0}),
    )  # fmt: skip
    text = page(robustness_evaluation_cells2=report)
    assert line_of(text, "memory, cells_per_batch=2")[1:4] == ["2.750 GiB", "", ""]
    assert line_of(text, "loop over bare forward pass")[1:4] == ["5.000 times", "", ""]


def test_without_files_nothing_is_measured_yet(tool: ModuleType, tmp_path: Path) -> None:
    assert tool.main(["--results", str(tmp_path / "none"), "--docs", str(tmp_path)]) == 0
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "Nothing." in section(text, "What misses its bar or failed")
    waiting = section(text, "What is not measured yet")
    for name in ("scaling_h200.json", "series_cost_h200.json", "corruption_engine_cpu.json"):
        assert name in waiting
        assert f"--out benchmarks/results/{name}`" in section(text, "Commands")
    assert (tmp_path / "images" / "benchmarks.png").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        ('{"results": ', "is not JSON"),
        ("[]", "holds a list"),
        ("{}", "is not as benchmarks/scaling.py writes it"),
    ],
)
def test_a_broken_file_is_named(
    tool: ModuleType, tmp_path: Path, content: str, message: str, capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(RESULTS, tmp_path / "results")
    (tmp_path / "results" / "scaling_h200.json").write_text(content)
    docs = tmp_path / "docs"
    assert tool.main(["--results", str(tmp_path / "results"), "--docs", str(docs)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert "scaling_h200.json" in error and message in error
    assert not docs.exists()
