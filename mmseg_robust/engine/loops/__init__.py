"""Test and validation loops."""

from mmseg_robust.engine.loops.robustness_loop import RobustnessTestLoop
from mmseg_robust.engine.loops.robustness_val_loop import RobustnessValLoop

__all__ = ["RobustnessTestLoop", "RobustnessValLoop"]
