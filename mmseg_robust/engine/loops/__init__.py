"""Test loops."""

from mmseg_robust.engine.loops.robustness_loop import RobustnessTestLoop

__all__ = ["RobustnessTestLoop"]
