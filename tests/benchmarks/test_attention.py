"""The script that times fused attention beside stock attention writes its result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from load_tool import load_tool
from torch.utils._python_dispatch import TorchDispatchMode

SMALL = [
    "--models", "0", "--dtypes", "float32", "--forward-size", "64x32", "--forward-batches", "1",
    "--step-size", "32", "--steps", "2", "--block", "1", "--warm-up", "0",
]  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script, whose global settings end with the test."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
    with torch._dynamo.config.patch(skip_nnmodule_hook_guards=True):
        yield load_tool("../benchmarks/attention.py")


def variants(script: Any, out: Path, *options: str) -> dict[str, dict[str, Any]]:
    """What it writes for its only case."""
    script.main([*SMALL, "--out", str(out), *options])
    result = json.loads(out.read_text())
    assert result["machine"] and result["versions"]["torch"]
    (case,) = result["cases"]
    assert case["part"] in options
    assert (case["model"], case["dtype"], case["height"]) == (0, "float32", 32)
    return case["variants"]


def check(timed: dict[str, dict[str, Any]]) -> None:
    for own in timed.values():
        assert 0 < own["minimum_ms"] <= own["lower_quartile_ms"] <= own["median_ms"]
        assert own["median_ms"] <= own["upper_quartile_ms"]
        assert own["steps"] == 2
        expected = timed["stock"]["median_ms"] / own["median_ms"]
        assert own["times_faster"] == pytest.approx(expected)


def test_the_forward_pass(script: Any, tmp_path: Path) -> None:
    """With a compiler that is not there: its variants fail, and the others go on."""
    options = ["--channels-last", "--compile", "nobody"]
    made = variants(script, tmp_path / "o.json", "--parts", "forward", *options)
    timed = ["stock", "fused", "stock channels_last", "fused channels_last"]
    failed = [f"{name} compiled" for name in timed]
    assert list(made) == timed + failed
    assert all("nobody" in made.pop(name)["error"] for name in failed)
    check(made)
    assert all(0 <= own["relative_difference"] < 1e-4 for own in made.values())


class Casts(TorchDispatchMode):
    """Counts the casts to bfloat16."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += (kwargs or {}).get("dtype") is torch.bfloat16
        return func(*args, **(kwargs or {}))


def casts(stepper: Any, steps: int) -> int:
    """How many a block of so many kept steps makes."""
    with Casts() as counter:
        stepper.run(steps, keep=True)
    return counter.number


def test_kept_casts_are_of_a_block(script: Any) -> None:
    case = script.Case("forward", 0, "bfloat16", 1, 64, 32)
    stock, kept = (
        script.forward_stepper(case, script.Variant(False, False, False, keep, None))
        for keep in (False, True)
    )
    weights = sum(p.ndim > 1 for p in kept.runner.train_loop.network.parameters())
    a_call = casts(stock, 2) - casts(stock, 1)
    assert a_call > weights
    assert casts(kept, 2) - casts(kept, 1) <= a_call - weights
    assert casts(kept, 2) == casts(kept, 2)  # they end with the block
    assert casts(kept, 2) > weights
    same = stock.runner.train_loop.run_iter, kept.runner.train_loop.run_iter
    assert torch.equal(same[0](stock.batch), same[1](kept.batch))


def test_the_variants_of_kept_casts(script: Any) -> None:
    args = script.parse(["--kept-casts", "--merged", "--compile"])

    def names(part: str, dtype: str) -> list[str]:
        return [variant.name for variant in script.variants(args, part, dtype)]

    eager = ["stock", "fused", "stock kept_casts", "fused kept_casts"]
    assert names("forward", "bfloat16") == [*eager, "stock compiled", "fused compiled"]
    assert "kept_casts" not in " ".join(names("forward", "float32") + names("step", "bfloat16"))


def test_the_training_step(script: Any, tmp_path: Path) -> None:
    made = variants(script, tmp_path / "o.json", "--parts", "step", "--merged")
    assert list(made) == ["stock", "fused", "stock merged", "fused merged"]
    check(made)
