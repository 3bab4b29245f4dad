"""Models that make images."""

from mmseg_robust.models.autoencoders.linear_latent import LinearLatentAutoEncoder

__all__ = ["LinearLatentAutoEncoder"]
