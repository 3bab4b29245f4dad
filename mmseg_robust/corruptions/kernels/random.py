"""Random fields in one pass: the arithmetic of ``RandomFields``, nothing stored in between."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


@triton.jit
def _splitmix64(keys, row, index):
    """Element ``index`` of the field of key ``row``."""
    z = tl.load(keys + row).to(tl.uint64, bitcast=True)
    z += (index.to(tl.uint64) + 1) * 0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


@triton.jit
def _bits_kernel(keys, out, size, BLOCK: tl.constexpr):
    row = tl.program_id(1)
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    z = _splitmix64(keys, row, index)
    place = row.to(tl.int64) * size + index
    tl.store(out + place, z.to(tl.int64, bitcast=True), mask=index < size)


@triton.jit
def _uniform_kernel(keys, out, size, BLOCK: tl.constexpr):
    row = tl.program_id(1)
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    upper = (_splitmix64(keys, row, index) >> 40).to(tl.int32).to(tl.float32)
    place = row.to(tl.int64) * size + index
    tl.store(out + place, upper * 5.9604644775390625e-08, mask=index < size)


@triton.jit
def _normal_kernel(keys, out, size, half, BLOCK: tl.constexpr):
    row = tl.program_id(1)
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    z = _splitmix64(keys, row, index)
    upper = (z >> 40).to(tl.int32).to(tl.float32)
    lower = ((z >> 16) & 0xFFFFFF).to(tl.int32).to(tl.float32)
    radius = tl.sqrt(-2.0 * tl.log((upper + 1.0) * 5.9604644775390625e-08))
    angle = lower * 3.7450702829239e-07  # 2 pi / 2**24
    place = row.to(tl.int64) * size + index
    tl.store(out + place, tl.cos(angle) * radius, mask=index < half)
    tl.store(
        out + place + half, tl.sin(angle) * radius, mask=(index < half) & (index + half < size)
    )


def _field(kernel, keys: Tensor, size: int, dtype: torch.dtype, threads: int, *more: int) -> Tensor:
    """Runs a kernel with so many threads a field; the result has shape (N, size)."""
    out = torch.empty(len(keys), size, dtype=dtype, device=keys.device)
    with torch.cuda.device_of(keys):  # Triton launches on the current one
        kernel[(triton.cdiv(threads, _BLOCK), len(keys))](keys, out, size, *more, BLOCK=_BLOCK)
    return out


def random_bits(keys: Tensor, size: int) -> Tensor:
    """Random 64-bit integers.

    Args:
        keys (Tensor): Keys of the fields, int64, shape (N,).
        size (int): Numbers a field.

    Returns:
        Tensor: int64, shape (N, size).
    """
    return _field(_bits_kernel, keys, size, torch.int64, size)


def random_uniform(keys: Tensor, size: int) -> Tensor:
    """Uniform numbers, multiples of 2**-24.

    Args:
        keys (Tensor): Keys of the fields, int64, shape (N,).
        size (int): Numbers a field.

    Returns:
        Tensor: float32 in [0, 1), shape (N, size).
    """
    return _field(_uniform_kernel, keys, size, torch.float32, size)


def random_normal(keys: Tensor, size: int) -> Tensor:
    """Standard normal numbers.

    Args:
        keys (Tensor): Keys of the fields, int64, shape (N,).
        size (int): Numbers a field.

    Returns:
        Tensor: float32, shape (N, size).
    """
    half = (size + 1) // 2
    return _field(_normal_kernel, keys, size, torch.float32, half, half)
