"""Hooks and loops for MMEngine's runner; importing this package registers them."""

from mmseg_robust.engine import hooks, loops

__all__ = ["hooks", "loops"]
