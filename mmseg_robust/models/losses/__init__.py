"""Consistency terms between the views of a batch: pure functions on tensors."""

from mmseg_robust.models.losses.fma import fma_loss
from mmseg_robust.models.losses.jensen_shannon import jensen_shannon_loss
from mmseg_robust.models.losses.stability import stability_loss

__all__ = ["fma_loss", "jensen_shannon_loss", "stability_loss"]
