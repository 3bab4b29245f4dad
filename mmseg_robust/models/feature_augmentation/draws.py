"""Which samples CWFA augments: integer hashes, equal on the host and on any device."""

from __future__ import annotations

import math
from typing import Any

import torch

RANGE = 2**24
"""Draws are integers from 0 to ``RANGE - 1``."""

_MASK32 = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF
# Odd constants that spread stages and samples over the 32-bit range before hashing.
_STAGE_STEP = 0x85EBCA6B
_SAMPLE_STEP = 0x9E3779B1


def draw(key: int | torch.Tensor, stages: Any, samples: Any) -> Any:
    """One number for each stage and sample, from a key alone.

    Args:
        key (int or Tensor): From :func:`hash_words`; a scalar int64 tensor on a device.
        stages (np.ndarray or Tensor): Indexes of stages, int64, shape (S,).
        samples (np.ndarray or Tensor): Indexes of samples in the batch, int64, shape (N,).

    Returns:
        np.ndarray or Tensor: int64, uniform in 0..``RANGE - 1``, shape (S, N).
    """
    start = stages[:, None] * _STAGE_STEP + key
    return _hash32((samples * _SAMPLE_STEP + start) & _MASK32) >> 8


def threshold(prob: float) -> int:
    """The number that a draw is below with a probability.

    Args:
        prob (float): Probability, in [0, 1].

    Returns:
        int: 0 to ``RANGE``.
    """
    return math.ceil(prob * RANGE)


def _hash32(x: Any) -> Any:
    """A bijective mix of 32-bit integers held in int64 (multiply and xor-shift, two rounds)."""
    # Products may wrap around in int64; their low 32 bits, all that is kept, stay right.
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK32
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK32
    return x ^ (x >> 16)


def hash_words(*words: int) -> int:
    """Hash integers into one of 32 bits on the host (SplitMix64's finaliser, chained).

    Args:
        *words (int): Any integers.

    Returns:
        int: 0 to 2**32 - 1.
    """
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & _MASK64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK64
        state ^= state >> 31
    return state >> 32
