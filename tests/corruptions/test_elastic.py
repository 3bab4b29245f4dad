"""Elastic transform against the reference's own displacements."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import SIZES, batch, picture, recorded, run, share_within_one

from mmseg_robust.corruptions.elastic import elastic_transform


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", range(1, 6))
def test_elastic_transform_equals_the_reference(severity: int, size: str) -> None:
    image = picture(size)
    with recorded("uniform") as drawn:
        theirs = run(image, "elastic_transform", severity)
    uniform = np.stack(drawn["uniform"]) / (0.005 * image.shape[0])
    ours = elastic_transform.apply(batch(image), severity, torch.from_numpy(uniform)[None])
    assert share_within_one(ours, theirs) >= 0.999
