"""Batch augmentations in torch: altered copies of images for training with several views.

RGB, float32 in 0..255, any device; one seed an image; pixels keep their places. Nothing here knows
OpenMMLab.
"""

from mmseg_robust.augmentations.augmix import AugMix
from mmseg_robust.augmentations.base import (
    AUGMENTATIONS,
    BatchAugmentation,
    build_augmentation,
    register,
)
from mmseg_robust.augmentations.combined import CombinedAugmentations
from mmseg_robust.augmentations.dominant_frequencies import DominantFrequencies
from mmseg_robust.augmentations.engine_corruption import EngineCorruption
from mmseg_robust.augmentations.fourier_basis import FourierBasis
from mmseg_robust.augmentations.frequency_maps import (
    FrequencyMaps,
    keep_frequencies,
    mirrored,
)
from mmseg_robust.augmentations.gaussian_blur import GaussianBlur
from mmseg_robust.augmentations.gaussian_noise import GaussianNoise
from mmseg_robust.augmentations.guard import overlap
from mmseg_robust.augmentations.labels import classes_in
from mmseg_robust.augmentations.linear_latent_blur import LinearLatentBlur
from mmseg_robust.augmentations.photometric import Brightness, Contrast, Hue, Saturation

__all__ = [
    "AUGMENTATIONS",
    "AugMix",
    "BatchAugmentation",
    "Brightness",
    "CombinedAugmentations",
    "Contrast",
    "DominantFrequencies",
    "EngineCorruption",
    "FourierBasis",
    "FrequencyMaps",
    "GaussianBlur",
    "GaussianNoise",
    "Hue",
    "LinearLatentBlur",
    "Saturation",
    "build_augmentation",
    "classes_in",
    "keep_frequencies",
    "mirrored",
    "overlap",
    "register",
]
