"""Frequency maps that no model was asked for, for the tests."""

from __future__ import annotations

from typing import Any

import torch

from mmseg_robust.augmentations import FrequencyMaps, mirrored


def random_maps(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Symmetric maps that keep about half of the frequencies, bool, (count, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(count, height, width, generator=generator) < 0.3
    return maps | mirrored(maps)


def made(maps: torch.Tensor, **changes: Any) -> FrequencyMaps:
    """The maps of a segmentor's classes, but for what is changed."""
    count = len(maps)
    parts: dict[str, Any] = dict(
        classes=tuple(f"class {index}" for index in range(count)),
        found=(True,) * count,
        task="segmentation",
        source={"data": "made up"},
    )
    return FrequencyMaps(maps, **{**parts, **changes})
