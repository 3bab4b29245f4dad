"""Corruptions of the engine as augmentation: training on what tests are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.augmentations.base import BatchAugmentation, register
from mmseg_robust.corruptions.api import corrupt
from mmseg_robust.corruptions.choice import CellChoice
from mmseg_robust.corruptions.names import MAX_SEVERITY, MIN_SIDE
from mmseg_robust.corruptions.protocols import CLEAN


@register
class EngineCorruption(BatchAugmentation):
    """Each image gets one corruption of the engine at one severity, each with the same probability.

    Values are rounded to whole grey levels first. Those corruptions that move pixels (elastic,
    glass, zoom, caustic refraction) leave labels as they are, as everybody does.

    Args:
        corruptions (str | Sequence[str], optional): A name, or several to draw from. Defaults to
            None, the 19 common corruptions.
        severities (int | Sequence[int]): A severity, or several to draw from. Defaults to 1 to 5.
        holdout (str | Sequence[str]): Names to leave out, so that a test on them is one on unseen
            corruptions. Defaults to none.

    Raises:
        InputError: If a name or severity is unknown or nothing is left to draw from; when called,
            also if images are smaller than 32 pixels.
    """

    least_size = (MIN_SIDE, MIN_SIDE)

    def __init__(
        self,
        corruptions: str | Sequence[str] | None = None,
        severities: int | Sequence[int] = tuple(range(1, MAX_SEVERITY + 1)),
        holdout: str | Sequence[str] = (),
    ) -> None:
        self.choice = CellChoice(corruptions, severities, holdout=holdout)
        self.resembles = self.choice.names

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        """See :class:`~mmseg_robust.augmentations.base.BatchAugmentation`."""
        cells = [self.choice.draw(seed) for seed in seeds]
        # An image that draws severity 0 stays as it is under any name.
        names = [cell.corruption if cell != CLEAN else self.choice.names[0] for cell in cells]
        levels = images.round().clamp_(0, 255).to(torch.uint8)
        altered = corrupt(levels, names, [cell.severity for cell in cells], seeds)
        return altered.to(torch.float32)
