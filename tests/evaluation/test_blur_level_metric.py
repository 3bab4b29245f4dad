"""PSNR and SSIM of blur levels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import METRICS

import mmseg_robust  # noqa: F401  (registers it)
from mmseg_robust.evaluation.blur_level_metric import (
    BlurLevelMetric,
    by_level,
    pixel_levels,
    scores_of,
    similarity,
)

LEVELS = [0.0, 4.0, 8.0, 16.0]


def stack_of(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(4, 3, 32, 40, generator=generator)


def sample(seed: int) -> dict:
    stack, made = stack_of(seed), stack_of(seed + 100)
    return dict(
        name=str(seed), levels=LEVELS, stack=stack, blurred=made, deblurred=made[1:3],
        deblurred_alone=made[:2],
    )  # fmt: skip


def plain_psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    return 10 * np.log10(1 / float(((one.double() - other.double()) ** 2).mean()))


def test_similarity() -> None:
    image, truth = stack_of(0)[0], stack_of(1)[0]
    psnr, ssim = similarity(image, truth)
    assert psnr == pytest.approx(plain_psnr(image, truth), abs=1e-6)
    assert abs(ssim) < 0.2  # nothing in common
    assert similarity(truth, truth) == (100.0, 1.0)
    close = similarity(truth + 0.01, truth)
    assert close[0] == pytest.approx(40, abs=1e-3) and 0.99 < close[1] < 1


def test_the_same_formulas_on_pixels() -> None:
    stack = stack_of(2)
    made = pixel_levels(stack, LEVELS)
    assert torch.allclose(made["blurred"][1], 0.75 * stack[0] + 0.25 * stack[3], atol=1e-6)
    assert torch.equal(made["blurred"][3], stack[3]) and torch.equal(made["blurred"][0], stack[0])
    onward = (stack[1] / 0.25 - 0.75 / 0.25 * stack[0]).clamp(0, 1)
    assert torch.allclose(made["deblurred"][0], onward, atol=1e-5)
    line = torch.stack([stack[0] + level / 16 * (stack[3] - stack[0]) for level in LEVELS])
    assert torch.allclose(pixel_levels(line, LEVELS)["deblurred"][1], stack[3], atol=1e-5)


def test_each_way_is_held_against_its_truth() -> None:
    own = sample(3)
    scores = {(task, way, level): psnr for task, way, level, psnr, _ in scores_of(own)}
    stack, made = own["stack"], own["blurred"]
    mixed = 0.5 * stack[0] + 0.5 * stack[3]
    for key, one, other in (
        (("blur", "latent", 4.0), made[1], stack[1]),
        (("blur", "pixel", 8.0), mixed, stack[2]),
        (("deblur", "latent", 4.0), made[1], stack[3]),
        (("deblur", "latent alone", 8.0), made[1], stack[3]),
        (("deblur", "input", 8.0), stack[2], stack[3]),
        (("reconstruction", "latent", 0.0), made[0], stack[0]),
        (("reconstruction", "latent", 16.0), made[3], stack[3]),
    ):
        assert scores[key] == pytest.approx(plain_psnr(one, other), abs=1e-4), key
    assert len(scores) == 2 * 2 + 4 * 2 + 2


def test_the_metric_s_figures_and_file(tmp_path: Path) -> None:
    path = tmp_path / "deep/levels.json"
    metric = METRICS.build(dict(type="BlurLevelMetric", out_file=str(path)))
    assert isinstance(metric, BlurLevelMetric)
    metric.process({}, [sample(0), sample(1)])
    metric.process({}, [sample(2)])
    figures = metric.evaluate(3)
    record = json.loads(path.read_text())
    assert record["images"] == 3
    expected = by_level([scores_of(sample(seed)) for seed in range(3)])
    assert {key: record[key] for key in expected} == expected
    ways = record["blur"]["latent"]
    assert ways["levels"] == [4, 8]
    assert ways["psnr"][1] == pytest.approx(
        np.mean([plain_psnr(sample(s)["blurred"][2], sample(s)["stack"][2]) for s in range(3)]),
        abs=1e-3,
    )
    assert figures["levels/blur/latent/psnr"] == pytest.approx(np.mean(ways["psnr"]))
    assert "levels/deblur/latent_alone/ssim" in figures
