"""Names and families of the common image corruptions.

Names and order are those of the ``imagecorruptions`` package (Michaelis et al., arXiv 1907.07484),
which took them from ImageNet-C (Hendrycks and Dietterich, ICLR 2019).
"""

from __future__ import annotations

import difflib

from mmseg_robust.errors import InputError

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

MAX_SEVERITY = 5
"""Severities run from 1 (weak) to this; 0 is the clean image."""

GROUPS: dict[str, tuple[str, ...]] = {
    "blur": ("motion_blur", "defocus_blur", "glass_blur", "gaussian_blur"),
    "noise": ("gaussian_noise", "impulse_noise", "shot_noise", "speckle_noise"),
    "digital": ("brightness", "contrast", "saturate", "jpeg_compression"),
    "weather": ("snow", "spatter", "fog", "frost"),
    "extra": ("zoom_blur", "elastic_transform", "pixelate"),
}
"""The four groups of Cityscapes-C (SegFormer, arXiv 2105.15203, Table 5) in the table's order, and
under ``extra`` the three of the 19 that Cityscapes-C leaves out."""


def check_name(name: str) -> str:
    """Returns the name if it is one of the 19.

    Args:
        name (str): Name of a corruption.

    Returns:
        str: The same name.

    Raises:
        InputError: If the name is unknown. The message suggests the nearest known one.
    """
    if name in NAMES:
        return name
    nearest = difflib.get_close_matches(str(name), NAMES, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise InputError(f"Unknown corruption {name!r}.{hint} Known: {', '.join(NAMES)}.")


def check_severity(severity: int) -> int:
    """Returns the severity if it is a whole number from 0 to 5.

    Args:
        severity (int): Strength of a corruption.

    Returns:
        int: The same number.

    Raises:
        InputError: If it is no integer or out of range.
    """
    whole = isinstance(severity, int) and not isinstance(severity, bool)
    if not whole or not 0 <= severity <= MAX_SEVERITY:
        raise InputError(
            f"Severity must be an integer from 0 (clean) to {MAX_SEVERITY}, got {severity!r}."
        )
    return severity
