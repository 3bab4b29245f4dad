"""Fused Triton kernels for CUDA, where plain torch would move the same bytes many times.

Each has a plain torch twin beside its caller, which runs everywhere else, and a test holds the two
equal. Triton comes with torch's CUDA builds for Linux; without it the plain form runs. A kernel's
module is imported when it is first needed, because Triton is missing elsewhere.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from mmseg_robust.corruptions.kernels.filters import convolve as convolve
    from mmseg_robust.corruptions.kernels.filters import correlate as correlate
    from mmseg_robust.corruptions.kernels.random import random_bits as random_bits
    from mmseg_robust.corruptions.kernels.random import random_normal as random_normal
    from mmseg_robust.corruptions.kernels.random import random_uniform as random_uniform
    from mmseg_robust.corruptions.kernels.resample import sample as sample
    from mmseg_robust.corruptions.kernels.resample import zoom_blur as zoom_blur

_HOMES = {
    "convolve": "filters",
    "correlate": "filters",
    "random_bits": "random",
    "random_normal": "random",
    "random_uniform": "random",
    "sample": "resample",
    "zoom_blur": "resample",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


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
