"""The auto-encoder of arXiv 2307.15461 as an MMEngine model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from mmseg_robust.augmentations.defocus_levels import SHARP, defocus_further
from mmseg_robust.augmentations.linear_latent_space import (
    CHANNELS,
    LINEARITY,
    LinearLatentNetwork,
    linearity_losses,
)
from mmseg_robust.errors import InputError


@MODELS.register_module()
class LinearLatentAutoEncoder(BaseModel):
    """Learns a latent space in which the blur levels of a scene lie on a straight line.

    Equations and defaults are in :mod:`mmseg_robust.augmentations.linear_latent_space`.

    Args:
        channels (Sequence[int]): Of the encoder's stages. Defaults to those of the paper, 64 to
            1024 in five stages.
        in_channels (int): 1 for grey images, 3 for RGB. Defaults to 3.
        linearity (str): ``'baseline'`` (a plain auto-encoder), ``'implicit'`` (the middle of two
            codes must decode to the middle level) or ``'explicit'`` (it must also be that level's
            code). Defaults to ``'explicit'``.
        data_preprocessor (dict, optional): Config of a
            :class:`~mmseg_robust.models.data_preprocessors.blur_levels.BlurLevelPreprocessor`,
            which is the default.
        init_cfg (dict, optional): As MMEngine's.

    Raises:
        InputError: If a value is not as described; when called, if the images have another number
            of channels.
    """

    def __init__(
        self,
        channels: Sequence[int] = CHANNELS,
        in_channels: int = 3,
        linearity: str = "explicit",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if linearity not in LINEARITY:
            raise InputError(
                f"linearity is {linearity!r}; it must be one of {', '.join(LINEARITY)}."
            )
        super().__init__(data_preprocessor or dict(type="BlurLevelPreprocessor"), init_cfg)
        self.network = LinearLatentNetwork(channels, in_channels)
        self.linearity = linearity

    def forward(
        self,
        inputs: Tensor | Sequence[Tensor],
        levels: Sequence[Sequence[float]] = (),
        names: Sequence[str] = (),
        mode: str = "tensor",
    ) -> Any:
        """Losses, predictions, or images once through the auto-encoder.

        Args:
            inputs (Tensor | Sequence[Tensor]): In 0..1. With ``'loss'`` triplets (l, r, t), shape
                (N, 3, C, H, W); with ``'predict'`` N stacks of L levels, each (L, C, H, W); with
                ``'tensor'`` images, (N, C, H, W).
            levels (Sequence[Sequence[float]]): For ``'predict'``: the levels of each stack,
                ascending from 0 to 16.
            names (Sequence[str]): For ``'predict'``: of the stacks.
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            Any: Losses by name; a dict a stack with ``name``, ``levels``, ``stack`` and what
            :func:`made_levels` makes; or a tensor like ``inputs``.
        """
        if mode == "loss":
            left, right, target = inputs.unbind(1)  # type: ignore[union-attr]
            return linearity_losses(self.network, left, right, target, self.linearity)
        if mode == "predict":
            scenes = zip(inputs, levels, names)
            return [
                dict(name=name, levels=own, stack=stack, **made_levels(self.network, stack, own))
                for stack, own, name in scenes
            ]
        return self.network.decode(self.network.encode(inputs), inputs.shape[-2:])  # type: ignore


def made_levels(
    network: LinearLatentNetwork, stack: Tensor, levels: Sequence[float]
) -> dict[str, Tensor]:
    """Blurs and deblurs one scene, of which all levels are known.

    Args:
        network (LinearLatentNetwork): The auto-encoder.
        stack (Tensor): In 0..1, shape (L, C, H, W).
        levels (Sequence[float]): L levels, ascending from 0 to 16.

    Returns:
        dict[str, Tensor]: ``blurred``, all levels from both ends, shape (L, C, H, W);
        ``deblurred``, the sharp level from each one between the ends and the most blurred one,
        (L - 2, C, H, W); ``deblurred_alone``, the same where the most blurred one is made of the
        image to deblur.
    """
    shares = stack.new_tensor(levels) / SHARP
    inner, onward = stack[1:-1], 1 / shares[1:-1]
    alone = [defocus_further(one[None], level) for one, level in zip(inner, levels[1:-1])]
    return dict(
        blurred=network.on_line(stack[:1], stack[-1:], shares),
        deblurred=network.on_line(stack[:1], inner, onward),
        deblurred_alone=network.on_line(torch.cat(alone), inner, onward),
    )
