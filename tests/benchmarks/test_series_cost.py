"""The script that times the runs of a results series writes its result."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from load_tool import load_tool


class Stepper:
    """Stands for a timed run; one that the memory is too small for fails."""

    cuda, device_ms = False, None

    def __init__(self, ms: float, fits: bool | None = True) -> None:
        self.ms, self.fits, self.peak = ms, fits, 7
        self.times: list[float] = []
        self.blocks: list[float] = []

    def run(self, steps: int, keep: bool) -> None:
        if self.fits is False:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nMore about it.")
        self.times += [self.ms] * steps * keep
        self.blocks += [self.ms] * keep

    def run_drawing(self, steps: int) -> None: ...

    def run_profiled(self, steps: int) -> None:
        if self.fits is None:
            raise torch.cuda.OutOfMemoryError("Late.")


def test_what_does_not_fit_is_said_and_the_others_are_timed() -> None:
    script = load_tool("../benchmarks/series_cost.py")
    steppers: dict = {
        "plain": Stepper(2.0), "large": Stepper(1.0, fits=False), "sam": Stepper(4.0),
        "late": Stepper(3.0, fits=None),
    }  # fmt: skip
    args = argparse.Namespace(steps=4, block=2, warm_up=1)
    failed = script.take_turns(steppers, args)
    assert failed == {
        "large": "OutOfMemoryError: CUDA out of memory.",
        "late": "OutOfMemoryError: Late.",
    }
    results = script.compared(steppers, "plain", failed)
    assert results["sam"]["ratio_by_round"] == 2 and results["sam"]["steps"] == 4
    assert results["large"] == dict(error=failed["large"])
    with pytest.raises(SystemExit, match="error: large, which the others are compared with"):
        script.compared(steppers, "large", failed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "plain", "tpyo"], "has no run tpyo; it has: ['plain', 'other']"),
        (["--first", "tpyo"], "has no run tpyo"),
        (["--only", "other", "--first", "plain"], "--first plain is not among --only other"),
    ],
)
def test_unknown_names_are_refused(tmp_path: Path, options: list[str], words: str) -> None:
    series = tmp_path / "series.json"
    series.write_text(json.dumps(dict(runs=[dict(name="plain"), dict(name="other")])))
    with pytest.raises(SystemExit) as ended:
        load_tool("../benchmarks/series_cost.py").main([str(series), *options])
    assert words in str(ended.value)


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
