"""What software made a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import mmseg_robust

PACKAGES = (
    "torch",
    "mmsegmentation",
    "mmpretrain",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "numpy",
    "scipy",
    "scikit-image",
    "opencv-python",
    "pillow",
    "imagecorruptions",
)
"""Packages that can change a score."""


def package_versions() -> dict[str, str]:
    """Versions of Python, the project and the packages that can change a score.

    Returns:
        dict[str, str]: By name; packages that are not installed are left out.
    """
    versions = {"python": platform.python_version(), "mmseg_robust": mmseg_robust.__version__}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
