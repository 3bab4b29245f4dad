"""Small numbers from the host to a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_device(values: Sequence | Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Copies a few host numbers to a device without making the host wait for it.

    Args:
        values (Sequence | Tensor): Numbers, on the host.
        device (torch.device): Where they are needed.
        dtype (torch.dtype): Their type there.

    Returns:
        Tensor: On ``device``, for the current stream alone.
    """
    # Named, because torch.set_default_device may have chosen another.
    tensor = torch.as_tensor(values, dtype=dtype, device="cpu")
    if device.type != "cuda":
        return tensor.to(device)
    # A copy from pageable memory would wait for the stream.
    return tensor.pin_memory().to(device, non_blocking=True)


def kept_on_device(values: Sequence | Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The same for a table that is made once and kept. It waits, so that any stream may read it.

    Args:
        values (Sequence | Tensor): Numbers, on the host.
        device (torch.device): Where they are needed.
        dtype (torch.dtype): Their type there.

    Returns:
        Tensor: On ``device``.
    """
    return torch.as_tensor(values, dtype=dtype, device=device)
