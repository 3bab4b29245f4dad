"""OpenCV's bilinear resize of 8-bit images in torch, equal to the bit, on any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions.transfer import to_device

_ONE = 1 << 11
"""Weights have 11 fraction bits."""


def opencv_resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resizes as ``cv2.resize`` with ``INTER_LINEAR`` does, which the stock test pipeline uses.

    OpenCV computes with integers: weights with 11 fraction bits; rows first, columns of their
    results with four bits less, each product cut to its upper 16 bits, and one rounding at the end.
    Compared with OpenCV 4.11 and 5.0, where it is equal to the bit.

    Args:
        images (Tensor): uint8, shape (N, C, H, W).
        height (int): New height.
        width (int): New width.

    Returns:
        Tensor: uint8, shape (N, C, height, width).
    """
    if images.shape[-2:] == (height, width):
        return images
    left, right, near, far = _on_device(_columns(images.shape[-1], width), images.device)
    values = images.to(torch.int32)
    values = values.index_select(-1, left).mul_(near) + values.index_select(-1, right).mul_(far)
    values.bitwise_right_shift_(4)
    above, below, near, far = _on_device(_rows(images.shape[-2], height), images.device)
    upper = values.index_select(-2, above).mul_(near[:, None]).bitwise_right_shift_(16)
    lower = values.index_select(-2, below).mul_(far[:, None]).bitwise_right_shift_(16)
    return upper.add_(lower).add_(2).bitwise_right_shift_(2).clamp_(0, 255).to(torch.uint8)


Table = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""First and second neighbour of each place, and their weights."""


def _places(size: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """First neighbours, maybe outside, and how far on towards the second a place lies, float32."""
    scale = 1.0 / (new / size)
    place = ((np.arange(new) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    return first, (place - first).astype(np.float32)


def _weights(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.rint((1 - share) * np.float32(_ONE)), np.rint(share * np.float32(_ONE))


def _columns(size: int, new: int) -> Table:
    """Along a row a place outside takes the edge pixel with full weight."""
    first, share = _places(size, new)
    share[(first < 0) | (first >= size - 1)] = 0
    first = first.clip(0, size - 1)
    return first, np.minimum(first + 1, size - 1), *_weights(share)


def _rows(size: int, new: int) -> Table:
    """Along a column it takes the edge pixel twice, and both products are cut."""
    first, share = _places(size, new)
    return first.clip(0, size - 1), (first + 1).clip(0, size - 1), *_weights(share)


def _on_device(table: Table, device: torch.device) -> tuple[Tensor, ...]:
    types = (torch.int64, torch.int64, torch.int32, torch.int32)
    return tuple(
        to_device(torch.from_numpy(values), device, kind) for values, kind in zip(table, types)
    )
