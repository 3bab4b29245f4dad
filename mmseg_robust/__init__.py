"""Robustness for MMSegmentation: train for it, and measure it.

Importing the package registers its components where MMEngine is installed, so that a config needs
one line, ``custom_imports = dict(imports=['mmseg_robust'])``. Where OpenMMLab is absent,
:mod:`mmseg_robust.corruptions` works with torch and numpy alone.
"""

from __future__ import annotations

from importlib.util import find_spec

__version__ = "0.1.0"

if find_spec("mmengine") is not None:
    from mmseg_robust import compat

    # First of all: the imports below need the mended packages.
    compat.apply()

    from mmseg_robust import engine  # noqa: F401

    if find_spec("mmseg") is not None:
        from mmseg_robust import datasets, evaluation, models  # noqa: F401
