"""CWFA as a backbone in the model's config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn as nn
from mmengine.registry import MODELS, DefaultScope

from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.attach import AttachedCWFA
from mmseg_robust.models.feature_augmentation.passes import TrainingPasses
from mmseg_robust.models.feature_augmentation.schedule import Moment
from mmseg_robust.models.stage_outputs import ModuleSpec


class _PrepareBeforeForward:
    """Forward pre-hook of the backbone; an object, so that it can be copied with the backbone."""

    def __init__(self, passes: TrainingPasses) -> None:
        self.passes = passes

    def __call__(self, backbone: nn.Module, inputs: tuple[Any, ...]) -> None:
        if backbone.training:
            self.passes.prepare(inputs[0].device)


@MODELS.register_module(name="CWFABackbone")
def cwfa_backbone(
    wraps: str,
    epsilon: float | Sequence[float] = 9.0,
    prob: float = 0.3,
    begin: Moment = 0.1,
    end: Moment | None = None,
    stages: Sequence[int] | None = None,
    modules: Sequence[ModuleSpec] | None = None,
    seed: int = 0,
    per_stage: bool = True,
    **backbone: Any,
) -> nn.Module:
    """Build a stock backbone and augment its stage outputs in training (CWFA, arXiv 2412.01941).

    Returns the stock backbone with forward hooks, not a module that holds one: keys of
    ``state_dict`` stay the stock ones. Meant for inheritance over stock keys::

        model = dict(backbone=dict(type='CWFABackbone', wraps='MixVisionTransformer', epsilon=9.0))

    Args:
        wraps (str): Registered type of the stock backbone.
        epsilon (float or sequence of float): Norm of the shift, or one a stage. Default: 9.0, the
            paper's value for SegFormer B0 to B2 (15 for B3 to B5).
        prob (float): Probability that a sample is augmented at a stage. Default: 0.3 (paper).
        begin (int or float): First iteration, or fraction of the run, in which it acts. Default:
            0.1; the paper starts after 16,000 iterations, a tenth of SegFormer's schedule.
        end (int or float, optional): Where it ends. Default: None, never.
        stages (sequence of int, optional): Stages to augment. Default: all.
        modules (sequence of str or dict, optional): For an unknown backbone, paths relative to it.
        seed (int): Seed of the draws. Default: 0.
        per_stage (bool): Whether a sample draws anew at each stage, or once for all. Default: True.
        **backbone: The arguments of the stock backbone.

    Returns:
        nn.Module: The stock backbone, instrumented.

    Raises:
        InputError: If ``wraps`` is no registered backbone, or a CWFA value is wrong.
    """
    cfg = dict(backbone, type=wraps)
    if DefaultScope.get_current_instance() is None and "." not in str(wraps):
        cfg["_scope_"] = "mmseg"
    with MODELS.switch_scope_and_registry(cfg.get("_scope_")) as registry:
        known = isinstance(wraps, str) and registry.get(wraps) is not None
    if not known or wraps == "CWFABackbone":
        raise InputError(
            f"wraps is {wraps!r}, which is no registered backbone. Write the type of the stock "
            "config's backbone, for example wraps='MixVisionTransformer'."
        )
    network = MODELS.build(cfg)
    attached = AttachedCWFA(network, epsilon, prob, stages, modules, seed, per_stage)
    names = [output.path for output in attached.outputs]
    passes = TrainingPasses(attached.cwfa, names, begin, end)
    network.register_forward_pre_hook(_PrepareBeforeForward(passes))
    return network
