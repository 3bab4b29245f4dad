"""What the tests of augmentations share: pictures, and one config of each class."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from small_auto_encoders import write_checkpoint
from torch import Tensor

from mmseg_robust.augmentations import build_augmentation

_FOLDER = tempfile.TemporaryDirectory()  # removed when the process ends
AUTO_ENCODER = str(write_checkpoint(Path(_FOLDER.name) / "auto_encoder.pth"))

CONFIGS: tuple[dict, ...] = (
    dict(type="GaussianNoise", sigma=(0.02, 0.3)),
    dict(type="Brightness"),
    dict(type="Contrast"),
    dict(type="Saturation"),
    dict(type="Hue"),
    dict(type="GaussianBlur"),
    dict(type="CombinedAugmentations"),
    dict(type="FourierBasis"),
    dict(type="AugMix"),
    dict(type="EngineCorruption", corruptions=["fog", "shot_noise", "pixelate"]),
    dict(type="LinearLatentBlur", checkpoint=AUTO_ENCODER),
)


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth colours with some texture, whole grey levels: float32, (count, 3, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 7, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    texture = torch.randn(count, 3, height, width, generator=generator) * 12
    return (smooth + texture).clamp(0, 255).round()


def grey(count: int, height: int = 64, width: int = 64) -> Tensor:
    """Nothing but mid-grey, far from both ends: float32, (count, 3, height, width)."""
    return torch.full((count, 3, height, width), 128.0)


def largest_gap(shares: Tensor) -> float:
    """Kolmogorov and Smirnov's distance of numbers from uniform ones, times sqrt(n).

    Above 1.95 in one case of a thousand.
    """
    ordered = shares.flatten().double().sort().values
    ranks = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    gap = torch.maximum((ranks - ordered).abs(), (ordered - ranks + 1 / len(ordered)).abs())
    return float(gap.max()) * len(ordered) ** 0.5


def check_equals(config: dict, expected: np.ndarray, images: Tensor) -> None:
    """Holds an augmentation, image i with seed i, against values that are yet to be clipped."""
    result = build_augmentation(config)(images, range(len(images)))
    assert np.abs(result.numpy() - expected.clip(0, 255)).max() < 1e-3
