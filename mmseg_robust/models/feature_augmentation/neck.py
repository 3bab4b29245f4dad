"""CWFA as a neck, for backbones that cannot be instrumented."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.cwfa import CWFA, epsilon_per_stage
from mmseg_robust.models.feature_augmentation.passes import TrainingPasses
from mmseg_robust.models.feature_augmentation.schedule import Moment


@MODELS.register_module()
class CWFANeck(BaseModule):
    """Augments what the backbone hands to the head (CWFA, arXiv 2412.01941).

    Only the head sees the augmented features; the next encoder stage does not, as it does in the
    paper. Use it where neither ``CWFAHook`` nor ``CWFABackbone`` can be used. It has no parameters
    and leaves no keys in ``state_dict``; in evaluation it returns its input.

    Args:
        num_stages (int): Number of feature maps that the backbone returns.
        epsilon (float or sequence of float): Norm of the shift, or one a feature map. Default: 9.0.
        prob (float): Probability that a sample is augmented at a feature map. Default: 0.3.
        begin (int or float): First iteration, or fraction of the run. Default: 0.1.
        end (int or float, optional): Where it ends. Default: None, never.
        seed (int): Seed of the draws. Default: 0.
        per_stage (bool): Whether a sample draws anew at each stage, or once for all. Default: True.

    Raises:
        InputError: If a value is wrong.
    """

    def __init__(
        self,
        num_stages: int = 4,
        epsilon: float | Sequence[float] = 9.0,
        prob: float = 0.3,
        begin: Moment = 0.1,
        end: Moment | None = None,
        seed: int = 0,
        per_stage: bool = True,
    ) -> None:
        super().__init__()
        self.cwfa = CWFA(epsilon_per_stage(epsilon, num_stages), prob, seed, per_stage)
        names = [f"feature map {i}" for i in range(num_stages)]
        self.passes = TrainingPasses(self.cwfa, names, begin, end)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Augment the feature maps in training.

        Args:
            inputs (sequence of Tensor): ``num_stages`` maps (N, C_i, H_i, W_i).

        Returns:
            tuple[Tensor, ...]: Maps of the same shapes and types.

        Raises:
            InputError: If the backbone returns another number of maps.
        """
        if len(inputs) != len(self.cwfa.epsilon):
            raise InputError(
                f"CWFANeck is set for {len(self.cwfa.epsilon)} feature maps, but the backbone "
                f"returns {len(inputs)}: set num_stages={len(inputs)}."
            )
        if not self.training:
            return tuple(inputs)
        self.passes.prepare(inputs[0].device)
        return tuple(self.cwfa(x, i) for i, x in enumerate(inputs))
