"""Scores under corruption: counts, arithmetic, records and metrics."""

from mmseg_robust.evaluation.corruption_error_metric import CorruptionErrorMetric

__all__ = ["CorruptionErrorMetric"]
