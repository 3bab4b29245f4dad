"""A corrupted copy of a data set on disk: made, continued after a stop, and checked."""

from mmseg_robust.datasets.corrupted_tree.convert import Order, Outcome, convert
from mmseg_robust.datasets.corrupted_tree.records import Recipe
from mmseg_robust.datasets.corrupted_tree.verify import verify

__all__ = ["Order", "Outcome", "Recipe", "convert", "verify"]
