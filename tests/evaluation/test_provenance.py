"""Versions in a record."""

from __future__ import annotations

import numpy as np
import torch

import mmseg_robust
from mmseg_robust.evaluation.provenance import package_versions


def test_versions_are_those_that_run() -> None:
    versions = package_versions()
    assert versions["mmseg_robust"] == mmseg_robust.__version__
    assert versions["torch"] == torch.__version__
    assert versions["numpy"] == np.__version__
    assert versions["imagecorruptions"] == "1.1.2"
