"""Names and families of the image corruptions.

Names and order are those of the ``imagecorruptions`` package (Michaelis et al., arXiv 1907.07484),
which took them from ImageNet-C (Hendrycks and Dietterich, ICLR 2019).
"""

from __future__ import annotations

COMMON: tuple[str, ...] = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""The 15 corruptions of ImageNet-C's benchmark set."""

EXTRA: tuple[str, ...] = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""The 4 corruptions that ImageNet-C holds back for validation."""

NAMES: tuple[str, ...] = COMMON + EXTRA
"""All 19, in the order of ``imagecorruptions``."""

CBAR: tuple[str, ...] = (
    "blue_noise_sample",
    "brownish_noise",
    "caustic_refraction",
    "checkerboard_cutout",
    "cocentric_sine_waves",
    "inverse_sparkles",
    "perlin_noise",
    "plasma_noise",
    "single_frequency_greyscale",
    "sparkles",
)
"""The ten of ImageNet-C-bar (Mintun, Kirillov and Xie, NeurIPS 2021, arXiv 2102.11273)."""

ALL_NAMES: tuple[str, ...] = NAMES + CBAR
"""The 19 and the ten."""

MAX_SEVERITY = 5
"""Severities run from 1 (weak) to this; 0 is the clean image."""

MIN_SIDE = 32
"""Least height and width in pixels of an image to corrupt, that of ``imagecorruptions``."""

GROUPS: dict[str, tuple[str, ...]] = {
    "blur": ("motion_blur", "defocus_blur", "glass_blur", "gaussian_blur"),
    "noise": ("gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"),
    "digital": ("brightness", "contrast", "saturate", "jpeg_compression"),
    "weather": ("snow", "spatter", "fog", "frost"),
    "extra": ("zoom_blur", "elastic_transform", "pixelate"),
}
"""The four groups of Cityscapes-C (SegFormer, arXiv 2105.15203, Table 5) in the table's order, and
under ``extra`` the three of the 19 that Cityscapes-C leaves out."""
