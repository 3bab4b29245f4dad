"""Training hooks."""

from mmseg_robust.engine.hooks.cwfa_hook import CWFAHook
from mmseg_robust.engine.hooks.preflight_hook import PreflightHook
from mmseg_robust.engine.hooks.random_state_hook import RandomStateHook

__all__ = ["CWFAHook", "PreflightHook", "RandomStateHook"]
