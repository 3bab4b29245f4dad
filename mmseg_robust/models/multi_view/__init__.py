"""Training with several views of each image: drawing, norms, terms, and what ties them up."""

from mmseg_robust.models.multi_view.terms import (
    FMATerm,
    JensenShannonTerm,
    StabilityTerm,
    TaskLossTerm,
    Term,
)

__all__ = ["FMATerm", "JensenShannonTerm", "StabilityTerm", "TaskLossTerm", "Term"]
