"""Scores under corruption: counts, arithmetic, records and metrics."""

from mmseg_robust.evaluation.blur_level_metric import BlurLevelMetric
from mmseg_robust.evaluation.corruption_error_metric import CorruptionErrorMetric

__all__ = ["BlurLevelMetric", "CorruptionErrorMetric"]
