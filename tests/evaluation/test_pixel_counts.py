"""Counts of a pass: their layout, and the fused kernel beside plain torch.

The kernel runs on a GPU, and in Triton's interpreter where Triton is installed.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from interpreted import needs_triton, run_interpreted

from mmseg_robust.evaluation import pixel_counts
from mmseg_robust.evaluation.calibration import BINS
from mmseg_robust.evaluation.pixel_counts import (
    PassMaps,
    count_confidence,
    count_pass,
    counts_of,
    row_size,
)

SCRIPT = Path(__file__).with_name("pixel_count_checks.py")


def check_names() -> list[str]:
    """The checks, without importing Triton."""
    names = [node.name for node in ast.parse(SCRIPT.read_text()).body if hasattr(node, "name")]
    return [name for name in names if name.startswith("check_")]


@needs_triton
def test_the_kernel_equals_plain_torch_in_the_interpreter() -> None:
    assert run_interpreted(SCRIPT) == check_names()


@pytest.mark.gpu
@pytest.mark.parametrize("name", check_names())
def test_the_kernel_equals_plain_torch_on_a_gpu(name: str) -> None:
    import pixel_count_checks

    getattr(pixel_count_checks, name)(torch.device("cuda"))


@pytest.mark.gpu
@pytest.mark.parametrize("classes", [19, 150])
def test_a_whole_image_on_a_gpu(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same, equal to plain torch there, and the host never waits."""
    from pixel_count_checks import MOVED, moved, random_pass

    maps, logits = random_pass(classes, (1024, 2048))
    maps, logits = PassMaps(*(values.cuda() for values in maps)), logits.cuda()
    rows = torch.zeros(4, row_size(classes), dtype=torch.int32, device="cuda")
    count_pass(rows[3], maps, logits, classes, 255)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        count_pass(rows[0], maps, logits, classes, 255)
        count_pass(rows[1], maps, logits, classes, 255)
        monkeypatch.setattr(pixel_counts, "usable", lambda device: False)
        count_pass(rows[2], maps, logits, classes, 255)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    again, fused, plain, _ = rows.cpu()
    assert torch.equal(again, fused)
    assert moved(plain, fused, classes) <= MOVED * maps.label.numel()


@pytest.mark.parametrize("classes", [1, 2, 19, 150])
def test_rows_hold_each_count_once(classes: int) -> None:
    rows = np.zeros((3, row_size(classes)), np.int32)
    counts = counts_of(rows, classes)
    assert counts.table.shape == (3, classes + 1, classes + 1)
    assert counts.confidence.shape == (3, 2, BINS)
    assert counts.flips.shape == counts.nan.shape == (3,)
    for part in counts:
        part += 1
    used = rows.sum(1)
    assert used.tolist() == [(classes + 1) ** 2 + 2 * BINS + 2] * 3 and rows.max() == 1
    assert rows.shape[1] % 4 == 0 and rows.shape[1] - used[0] < 4
    assert not counts_of(torch.from_numpy(rows), classes).table[0].eq(0).any()


def test_half_precision_is_counted_as_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(19, 20, 30, generator=generator)).half()
    prediction = logits.argmax(0).flatten()
    label = torch.randint(0, 19, (600,), generator=generator)
    half = count_confidence(logits, prediction, label, 19, 255)
    assert torch.equal(half, count_confidence(logits.float(), prediction, label, 19, 255))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_types_of_integers_do_not_matter(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 8, 9, generator=generator)
    label = torch.randint(0, 7, (72,), generator=generator)
    label[:9] = 255
    maps = PassMaps(logits.argmax(0).flatten(), label, logits.argmin(0).flatten())
    rows = torch.zeros(2, row_size(5), dtype=torch.int32)
    count_pass(rows[0], maps, logits, 5, 255)
    count_pass(rows[1], PassMaps(*(values.to(dtype) for values in maps)), logits, 5, 255)
    assert torch.equal(*rows)
    assert counts_of(rows[0], 5).table.sum() == 63
    assert counts_of(rows[0], 5).flips == 72


def test_without_logits_confidence_stays_empty() -> None:
    maps = PassMaps(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([0, 0]))
    row = torch.zeros(row_size(2), dtype=torch.int32)
    count_pass(row, maps, None, 2, 255)
    counts = counts_of(row, 2)
    assert counts.table.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert (int(counts.flips), int(counts.nan), int(counts.confidence.sum())) == (1, 0, 0)
