"""CWFA's fused kernels: on a GPU, and in Triton's interpreter where Triton is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch


@pytest.mark.gpu
def test_kernels_equal_plain_torch_on_a_gpu() -> None:
    from shift_checks import check

    check(torch.device("cuda"))


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_equal_plain_torch_in_the_interpreter() -> None:
    script = Path(__file__).with_name("shift_checks.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["checked"]
