"""AugMix without geometry.

Paper: D. Hendrycks, N. Mu, E. D. Cubuk, B. Zoph, J. Gilmer, B. Lakshminarayanan, "AugMix: A Simple
Data Processing Method to Improve Robustness and Uncertainty", ICLR 2020, arXiv 1912.02781. Read in
the official code:

    x_augmix = (1 - m) x + m sum_i w_i chain_i(x),  w ~ Dirichlet(1, 1, 1),  m ~ Beta(1, 1)

where each of three chains applies 1 to 3 operations to the 8-bit image. Each operation is drawn
from a list; its level is uniform in [0.1, severity). The list leaves out what overlaps with
ImageNet-C's test set. The project's own choice is to leave out geometry too (rotation, shears,
translations), so that labels stay; what is left:

    autocontrast   each channel stretched to 0..255
    equalize       each channel's histogram made flat
    posterize      the upper 4 - int(0.4 level) bits of a value
    solarize       values from 256 - int(25.6 level) on inverted

All four map the grey levels of a channel to others, so does a chain of them, and so does the mean
of chains. Hence, whatever the number of chains, an image is looked at twice: its grey levels are
counted, and they are looked up in one table a channel. All between happens to tables and counts of
256 entries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.augmentations.checks import check_number
from mmseg_robust.augmentations.draws import per_image
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.transfer import to_device

WIDTH = 3
"""Chains that are mixed."""
MOST_STEPS = 3
"""Operations of the longest chain."""
OPERATIONS = ("autocontrast", "equalize", "posterize", "solarize")
"""What a step may do."""
LEAST_LEVEL, FULL_LEVEL = 0.1, 10
"""Lower end of a level's range, and the level that gives an operation its full strength."""
_LEVELS = 256


class Step(NamedTuple):
    """One operation of a chain.

    Args:
        operation (str): One of ``OPERATIONS``.
        level (float): Its strength, 0.1 to 10; autocontrast and equalize have none.
    """

    operation: str
    level: float


class Mixture(NamedTuple):
    """What one image draws.

    Args:
        chains (list[list[Step]]): ``WIDTH`` chains of 1 to ``MOST_STEPS`` steps.
        weights (list[float]): w, of the chains; they add up to 1.
        share (float): m, of the mixed chains in the result.
    """

    chains: list[list[Step]]
    weights: list[float]
    share: float


@register
class AugMix(BatchAugmentation):
    """Mixes each image with three chains of operations on its grey levels.

    None of the operations is a test corruption, which is what their authors chose them for.

    Args:
        severity (float): Upper end of the operations' levels, 0.1 to 10. Defaults to 3, the
            authors' value for CIFAR (theirs for ImageNet is 1): without geometry little is left at
            level 1.

    Raises:
        InputError: If severity is out of range.
    """

    def __init__(self, severity: float = 3.0) -> None:
        self.severity = check_number(severity, "severity", LEAST_LEVEL, FULL_LEVEL)

    def draw(self, seeds: Sequence[int]) -> list[Mixture]:
        """The random part.

        Args:
            seeds (Sequence[int]): One integer an image.

        Returns:
            list[Mixture]: One an image.
        """
        fields = RandomFields(seeds, "AugMix", torch.device("cpu"))
        mixing = fields.scalars("mixing", WIDTH + 1)
        steps = fields.scalars("chains", WIDTH * (1 + 2 * MOST_STEPS))
        return [self._mixture(own, chain) for own, chain in zip(mixing, steps)]

    def _mixture(self, mixing: list[float], steps: list[float]) -> Mixture:
        """From uniform numbers in [0, 1)."""
        # Dirichlet(1, 1, 1) is exponential numbers over their sum, Beta(1, 1) is uniform.
        parts = [-math.log1p(-share) for share in mixing[:WIDTH]]
        total = sum(parts)
        count = 1 + 2 * MOST_STEPS
        chains = [self._chain(steps[count * i : count * (i + 1)]) for i in range(WIDTH)]
        return Mixture(chains, [part / total for part in parts], mixing[WIDTH])

    def _chain(self, shares: list[float]) -> list[Step]:
        length = 1 + int(shares[0] * MOST_STEPS)
        return [
            Step(
                OPERATIONS[int(shares[1 + 2 * index] * len(OPERATIONS))],
                LEAST_LEVEL + (self.severity - LEAST_LEVEL) * shares[2 + 2 * index],
            )
            for index in range(length)
        ]

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        return mix(images, self.draw(seeds))


def mix(images: Tensor, mixtures: Sequence[Mixture]) -> Tensor:
    """The pure part. The chains see grey levels rounded to whole ones.

    Args:
        images (Tensor): float32 in 0..255, shape (N, 3, H, W).
        mixtures (Sequence[Mixture]): One an image.

    Returns:
        Tensor: float32 in 0..255, shape (N, 3, H, W).
    """
    levels = images.round().clamp_(0, _LEVELS - 1).to(torch.int64)
    tables = chain_tables(_counted(levels), [own.chains for own in mixtures])
    weights = [own.weights for own in mixtures]
    weight = to_device(weights, images.device, torch.float64)[:, :, None, None]
    table = (tables * weight).sum(1).to(torch.float32)
    mixed = table.gather(2, levels.flatten(2)).view(images.shape)
    return torch.lerp(images, mixed, per_image([own.share for own in mixtures], images))


def _counted(levels: Tensor) -> Tensor:
    """Histogram of each channel: int64, shape (N, 3, 256), of levels, int64, (N, 3, H, W)."""
    # Row by row first: a flat wall or sky would make a million pixels queue for one counter.
    rows = torch.zeros(*levels.shape[:3], _LEVELS, dtype=torch.int32, device=levels.device)
    one = torch.ones((1, 1, 1, 1), dtype=torch.int32, device=levels.device)
    return rows.scatter_add_(3, levels, one.expand_as(levels)).sum(2)


def chain_tables(counts: Tensor, chains: Sequence[Sequence[Sequence[Step]]]) -> Tensor:
    """What each chain makes of each grey level.

    Args:
        counts (Tensor): Histogram of each channel, int64, shape (N, 3, 256).
        chains (Sequence[Sequence[Sequence[Step]]]): ``WIDTH`` chains an image.

    Returns:
        Tensor: In 0..255, int64, shape (N, WIDTH, 3, 256).
    """
    longest = max(len(chain) for own in chains for chain in own)
    codes = [
        [[_code(chain[index] if index < len(chain) else None) for chain in own] for own in chains]
        for index in range(longest)
    ]
    coded = to_device(codes, counts.device, torch.int64)[..., None, None]
    adaptive, mask, threshold = coded.unbind(3)
    levels = torch.arange(_LEVELS, device=counts.device)
    fixed = torch.where(levels < threshold, levels, 255 - levels).bitwise_and_(mask)
    counts = counts[:, None].repeat(1, WIDTH, 1, 1)
    tables = levels.expand_as(counts)
    for index in range(longest):
        stretched, flattened = _adapted(counts, levels)
        table = torch.where(adaptive[index] == 1, stretched, fixed[index])
        table = torch.where(adaptive[index] == 2, flattened, table)
        tables = table.gather(3, tables)
        if index < longest - 1:
            counts = torch.zeros_like(counts).scatter_add_(3, table, counts)
    return tables


def _code(step: Step | None) -> tuple[int, int, int]:
    """(1 autocontrast, 2 equalize, 0 neither; mask of bits; level from which on is inverted)."""
    if step is None:
        return 0, 255, _LEVELS
    if step.operation == "posterize":
        return 0, 256 - (1 << (4 + int(step.level * 4 / FULL_LEVEL))), _LEVELS
    if step.operation == "solarize":
        return 0, 255, _LEVELS - int(step.level * _LEVELS / FULL_LEVEL)
    return 1 if step.operation == "autocontrast" else 2, 255, _LEVELS


def _adapted(counts: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Tables of autocontrast and equalize, as Pillow makes them.

    Args:
        counts (Tensor): Histograms, int64, shape (..., 256).
        levels (Tensor): 0 to 255, int64, shape (256,).

    Returns:
        tuple[Tensor, Tensor]: In 0..255, int64, of the same shape.
    """
    at_most = counts.cumsum(-1)
    total = at_most[..., -1:]
    low = (at_most == 0).sum(-1, keepdim=True)
    high = (at_most < total).sum(-1, keepdim=True)
    # In float64, truncated, step by step as Pillow (255 / x would multiply by 1 / x).
    spread = (high - low).to(torch.float64)
    scale = torch.full_like(spread, 255).div_(spread)
    stretched = (levels * scale).sub_(low * scale).to(torch.int64).clamp_(0, 255)
    stretched = torch.where(high > low, stretched, levels)

    # The pixels of the highest level are not spread over the levels below.
    size = (total - counts.gather(-1, high)).div_(255, rounding_mode="floor")
    below = (at_most - counts).add_(size.div(2, rounding_mode="floor"))
    flattened = below.div_(size.clamp(min=1), rounding_mode="floor").clamp_(max=255)
    return stretched, torch.where(size > 0, flattened, levels)
