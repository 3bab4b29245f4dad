"""Fused Triton kernels for CUDA, where plain torch would move the same bytes many times.

Each has a plain torch twin beside its caller, which runs everywhere else, and a test holds the two
equal. Triton comes with torch's CUDA builds for Linux; without it the plain form runs.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

import torch


@lru_cache(maxsize=1)
def _has_triton() -> bool:
    return find_spec("triton") is not None


def usable(device: torch.device) -> bool:
    """Whether the fused kernels run on a device.

    Args:
        device (torch.device): Where the tensors are.

    Returns:
        bool: True on CUDA with Triton.
    """
    return device.type == "cuda" and _has_triton()
