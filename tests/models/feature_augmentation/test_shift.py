"""CWFA's fused kernels: on a GPU, and in Triton's interpreter where Triton is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interpreted import needs_triton, run_interpreted


@pytest.mark.gpu
def test_kernels_equal_plain_torch_on_a_gpu() -> None:
    from shift_checks import check

    check(torch.device("cuda"))


@pytest.mark.long
@needs_triton
def test_kernels_equal_plain_torch_in_the_interpreter() -> None:
    script = Path(__file__).with_name("shift_checks.py")
    assert run_interpreted(script) == ["checked"]
