"""Blurs against the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from oracle import SIZES, batch, functions, picture, recorded, run, share_within_one

from mmseg_robust.corruptions import blur
from mmseg_robust.corruptions.blur import gaussian_blur, motion_blur, zoom_blur
from mmseg_robust.corruptions.defocus import DEFOCUS, defocus_blur, disk_taps
from mmseg_robust.corruptions.random import RandomFields

SEVERITIES = range(1, 6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("corruption", [gaussian_blur, defocus_blur, zoom_blur])
def test_fixed_blurs_equal_the_reference(corruption, severity: int, size: str) -> None:
    image = picture(size)
    ours = corruption(batch(image), severity, 0)
    assert share_within_one(ours, run(image, corruption.name, severity)) >= 0.9999


def test_zooms_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit of a float: of grey levels, one in a million would show it."""
    monkeypatch.setattr(blur, "to_uint8", lambda values: values)
    images = batch(picture("odd"))
    before = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(zoom_blur.apply(images, 2))
    finally:
        torch.set_num_threads(before)
    assert results[0].dtype == torch.float32
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_motion_blur_equals_the_reference(severity: int, size: str) -> None:
    image = picture(size)
    with recorded("uniform") as drawn:
        theirs = run(image, "motion_blur", severity, seed=severity)
    ours = motion_blur.apply(batch(image), severity, drawn["uniform"])
    assert share_within_one(ours, theirs) >= 0.9999


@pytest.mark.parametrize("radius, soft", DEFOCUS)
def test_the_disk_is_the_reference_s(radius: int, soft: float) -> None:
    theirs = functions().disk(radius=radius, alias_blur=soft)
    half = theirs.shape[0] // 2
    ours = np.zeros_like(theirs)
    for dy, dx, weight in disk_taps(radius, soft):
        ours[dy + half, dx + half] = weight
    assert abs(ours - theirs).max() < 1e-7


def test_motion_angles_spread_evenly_within_45_degrees() -> None:
    images = torch.zeros(1000, 3, 32, 32, dtype=torch.uint8)
    fields = RandomFields(range(1000), "motion_blur", torch.device("cpu"))
    (angles,) = motion_blur.draw(images, 3, fields)
    shares = np.histogram(angles, bins=9, range=(-45, 45))[0]
    assert shares.sum() == 1000
    assert abs(shares - 1000 / 9).max() < 4 * math.sqrt(1000 / 9)
