"""The fused kernels: on a GPU, and in Triton's interpreter where Triton is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interpreted import needs_triton, run_interpreted
from kernel_checks import CHECKS

from mmseg_robust.corruptions import kernels


@pytest.mark.gpu
@pytest.mark.parametrize("check", CHECKS)
def test_kernels_equal_plain_torch_on_a_gpu(check) -> None:
    check(torch.device("cuda"))


@pytest.mark.long
@needs_triton
def test_kernels_equal_plain_torch_in_the_interpreter() -> None:
    script = Path(__file__).with_name("kernel_checks.py")
    assert run_interpreted(script) == [check.__name__ for check in CHECKS]


def test_kernels_are_for_cuda_alone() -> None:
    assert not kernels.usable(torch.device("cpu"))
    with pytest.raises(AttributeError, match="no_such_kernel"):
        kernels.no_such_kernel  # noqa: B018
