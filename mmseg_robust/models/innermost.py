"""The model inside its wrappers."""

from __future__ import annotations

from torch import nn


def innermost(model: nn.Module) -> nn.Module:
    """The segmentor or classifier inside distributed training and test-time augmentation.

    Args:
        model (nn.Module): The model, or a wrapper with a model as ``module``, however deep.

    Returns:
        nn.Module: The model.
    """
    while isinstance(inner := getattr(model, "module", None), nn.Module):
        model = inner
    return model
