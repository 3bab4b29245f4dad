"""Hooks, loops and an optimizer constructor for MMEngine's runner; importing registers them."""

from mmseg_robust.engine import hooks, loops
from mmseg_robust.engine.merged_groups import MergedOptimWrapperConstructor

__all__ = ["MergedOptimWrapperConstructor", "hooks", "loops"]
