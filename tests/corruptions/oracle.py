"""Real pictures, the reference with recorded random numbers, and how far two results agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.compat import load_imagecorruptions
from mmseg_robust.corruptions import reference

SIZES = ("square", "wide", "odd")
"""Names of the three pictures: 512x512, 427x640 and 299x451."""


@cache
def picture(size: str) -> np.ndarray:
    """A photograph that scikit-image carries: RGB, uint8, (H, W, 3)."""
    from skimage import data

    if size == "square":
        return data.astronaut()
    return data.rocket() if size == "wide" else data.chelsea()[1:]


def batch(*images: np.ndarray) -> Tensor:
    """Pictures as the engine takes them: uint8, (N, 3, H, W)."""
    return torch.stack(
        [torch.from_numpy(np.ascontiguousarray(i.transpose(2, 0, 1))) for i in images]
    )


def functions() -> ModuleType:
    """The mended ``imagecorruptions.corruptions``."""
    load_imagecorruptions()
    import imagecorruptions.corruptions

    return imagecorruptions.corruptions


def run(image: np.ndarray, name: str, severity: int, seed: int = 0) -> np.ndarray:
    """The reference's picture, drawn from NumPy's global state at ``seed``."""
    np.random.seed(seed)
    return reference._run(image, name, severity)


@contextmanager
def recorded(*draws: str) -> Iterator[dict[str, list[Any]]]:
    """Records what the reference gets from functions of ``np.random`` while the block runs.

    Args:
        *draws (str): Names such as ``normal``, ``uniform``, ``poisson``, ``randint``.
    """
    results: dict[str, list[Any]] = {name: [] for name in draws}
    originals: dict[str, Callable] = {name: getattr(np.random, name) for name in draws}

    def spy(name: str) -> Callable:
        def draw(*args: Any, **kwargs: Any) -> Any:
            drawn = originals[name](*args, **kwargs)
            results[name].append(drawn)
            return drawn

        return draw

    for name in draws:
        setattr(np.random, name, spy(name))
    try:
        yield results
    finally:
        for name, original in originals.items():
            setattr(np.random, name, original)


def share_within_one(ours: Tensor, theirs: np.ndarray) -> float:
    """Share of values that differ by at most one grey level; ``ours`` has shape (1, 3, H, W).

    The differences must not lean to one side: rounding to the nearest in place of truncation would
    make half a grey level on average, and pass for all that.
    """
    mine = ours[0].permute(1, 2, 0).cpu().numpy().astype(int)
    assert mine.shape == theirs.shape
    apart = mine - theirs.astype(int)
    assert abs(apart.mean()) < 0.2
    return float((abs(apart) <= 1).mean())
