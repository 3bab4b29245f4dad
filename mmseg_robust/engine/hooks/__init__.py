"""Training hooks."""

from mmseg_robust.engine.hooks.cwfa_hook import CWFAHook
from mmseg_robust.engine.hooks.damp_hook import DAMPHook
from mmseg_robust.engine.hooks.dynamic_sparse_training_hook import DynamicSparseTrainingHook
from mmseg_robust.engine.hooks.fused_attention_hook import FusedAttentionHook
from mmseg_robust.engine.hooks.preflight_hook import PreflightHook
from mmseg_robust.engine.hooks.random_state_hook import RandomStateHook
from mmseg_robust.engine.hooks.sharpness_aware_hook import SharpnessAwareHook

__all__ = [
    "CWFAHook",
    "DAMPHook",
    "DynamicSparseTrainingHook",
    "FusedAttentionHook",
    "PreflightHook",
    "RandomStateHook",
    "SharpnessAwareHook",
]
