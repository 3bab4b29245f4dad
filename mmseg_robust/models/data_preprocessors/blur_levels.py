"""Blur levels on the device: from sharp images by the engine's filter, or as a stack has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor

from mmseg_robust.augmentations.defocus_levels import defocus


@MODELS.register_module()
class BlurLevelPreprocessor(BaseDataPreprocessor):
    """Makes stacks of blur levels, in 0..1, of what the blur-level data sets give.

    A sample with one plane and several levels is a sharp image: its levels are blurred here, on the
    device, all images of a level in one call. Then its margin, which the blur has looked at, is cut
    off. A sample with a plane for each level is taken as it is.
    """

    @torch.no_grad()
    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """See the class.

        Args:
            data (dict[str, Any]): Lists over samples: ``inputs``, uint8, (1 or L, K, C, H, W) with
                K crops; ``levels``, arrays of L levels; ``margin``, pixels to cut off on each side;
                ``name``.
            training (bool): Whether crops are to be joined to one batch.

        Returns:
            dict[str, Any]: In training ``inputs``, float32, shape (N, L, C, h, w), with N crops of
            all samples. Else lists over samples: ``inputs``, (L, C, h, w), ``levels`` and
            ``names``.
        """
        planes = self.cast_data(data["inputs"])
        levels = [own.tolist() for own in data["levels"]]
        with torch.autocast(planes[0].device.type, enabled=False):
            stacks = [stack / 255 for stack in _stacks(planes, levels)]
        stacks = [_without_margin(*own) for own in zip(stacks, data["margin"])]
        if training:
            return dict(inputs=torch.cat(stacks, dim=1).transpose(0, 1).contiguous())
        return dict(inputs=[own[:, 0] for own in stacks], levels=levels, names=data["name"])


def _stacks(planes: Sequence[Tensor], levels: Sequence[Sequence[float]]) -> list[Tensor]:
    """Each sample's planes, or its levels blurred of its one plane: float32, (L, K, C, H, W)."""
    made: list[list[Tensor]] = []
    wanted: dict[tuple[float, torch.Size], list[tuple[int, int]]] = {}
    for sample, (own, own_levels) in enumerate(zip(planes, levels)):
        whole = len(own) == len(own_levels)
        made.append(list(own.float()) if whole else [own[0]] * len(own_levels))
        for place, level in enumerate(() if whole else own_levels):
            wanted.setdefault((level, own.shape), []).append((sample, place))
    for (level, _), places in wanted.items():
        sharp = torch.cat([planes[sample][0] for sample, _ in places])
        blurred = defocus(sharp, level).clamp_(0, 255)
        for (sample, place), own in zip(places, blurred.split(len(sharp) // len(places))):
            made[sample][place] = own
    return [torch.stack(own) for own in made]


def _without_margin(stack: Tensor, margin: int) -> Tensor:
    height, width = stack.shape[-2:]
    return stack[..., margin : height - margin, margin : width - margin]
