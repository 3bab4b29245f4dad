"""What the tests of consistency terms share: outputs of views, and masks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def outputs(count: int, shape: tuple[int, ...] = (2, 5, 3, 4), scale: float = 2.0) -> list[Tensor]:
    """Outputs of ``count`` views in float64, with gradients."""
    generator = torch.Generator().manual_seed(count)
    return [
        (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).requires_grad_()
        for _ in range(count)
    ]


def mask(shape: tuple[int, ...] = (2, 3, 4)) -> Tensor:
    """Two thirds of the pixels count, and another number in each sample."""
    generator = torch.Generator().manual_seed(9)
    return torch.rand(shape, generator=generator) < 0.67


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of one pixel's logits."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def mean_by_pixel(values: list[tuple[bool, float]]) -> float:
    """Mean of the values whose pixel counts."""
    kept = [value for counts, value in values if counts]
    return sum(kept) / len(kept)
