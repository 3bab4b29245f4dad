"""Put CWFA on the stage outputs of a network by forward hooks, and take it off again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn as nn
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from mmseg_robust.models.feature_augmentation.cwfa import CWFA, epsilon_per_stage
from mmseg_robust.models.stage_outputs import (
    ModuleSpec,
    StageOutput,
    find_backbone,
    find_stage_outputs,
)


class _AugmentStage:
    """Forward hook of one stage.

    The owner's training flag decides, not the stage's own: ``frozen_stages`` puts stages into
    evaluation mode while the network trains. An object and not a closure, so that a deep copy of
    the network (as ``EMAHook`` makes) gets hooks that look at the copy.
    """

    def __init__(self, cwfa: CWFA, stage: int, layout: str | None, owner: nn.Module) -> None:
        self.cwfa = cwfa
        self.stage = stage
        self.layout = layout
        self.owner = owner

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if not self.owner.training:
            return None
        return self.cwfa(output, self.stage, self.layout)


class AttachedCWFA:
    """CWFA on the stage outputs of a model.

    Attributes:
        cwfa (CWFA): What augments; ``advance`` it before each training iteration.
        outputs (list[StageOutput]): Where it is attached.

    Args:
        model (nn.Module): A model with a ``backbone``, or a backbone.
        epsilon (float or sequence of float): Norm of the shift, or one a stage.
        prob (float): Probability that a sample is augmented at a stage.
        stages (sequence of int, optional): Stages to augment. Default: all.
        modules (sequence of str or dict, optional): Module paths for an unknown backbone, see
            :func:`~mmseg_robust.models.stage_outputs.find_stage_outputs`.
        seed (int): Seed of the draws.
        per_stage (bool): Whether a sample draws anew at each stage, or once for all. Default: True.

    Raises:
        InputError: If a value is wrong or the stage outputs cannot be found.
    """

    def __init__(
        self,
        model: nn.Module,
        epsilon: float | Sequence[float],
        prob: float,
        stages: Sequence[int] | None = None,
        modules: Sequence[ModuleSpec] | None = None,
        seed: int = 0,
        per_stage: bool = True,
    ) -> None:
        self.outputs: list[StageOutput] = find_stage_outputs(model, stages, modules)
        self.cwfa = CWFA(epsilon_per_stage(epsilon, len(self.outputs)), prob, seed, per_stage)
        owner = model if modules is not None else find_backbone(model)
        self._handles: list[RemovableHandle] = [
            out.module.register_forward_hook(_AugmentStage(self.cwfa, i, out.layout, owner))
            for i, out in enumerate(self.outputs)
        ]

    def detach(self) -> None:
        """Remove the forward hooks; the network is stock again."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
