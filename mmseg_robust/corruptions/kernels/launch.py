"""What all kernels need to be launched."""

from __future__ import annotations

import torch
from torch import Tensor


def on_device_of(tensor: Tensor) -> torch.cuda.device_of:
    """Makes a tensor's GPU current, because Triton launches on the current one.

    Args:
        tensor (Tensor): Any tensor of the kernel.

    Returns:
        torch.cuda.device_of: A context; it does nothing for tensors on the CPU.
    """
    return torch.cuda.device_of(tensor)
