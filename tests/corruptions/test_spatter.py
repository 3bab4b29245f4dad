"""Spatter and its steps against OpenCV, and the whole against the reference's random numbers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from oracle import SIZES, batch, picture, recorded, run, share_within_one
from skimage.filters import gaussian
from torch import Tensor

from mmseg_robust.corruptions.contours import DISTANCE_UNIT, canny, chamfer_distance
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.corruptions.spatter import (
    CANNY,
    CANNY_STEPS,
    SPATTER,
    compared_counts,
    counts_at_most,
    equalised,
    relief,
    spatter,
)

SEVERITIES = range(1, 6)


def drops(size: tuple[int, int], severity: int, seed: int = 0) -> np.ndarray:
    """The liquid as grey levels, as the reference makes it."""
    mean, deviation, sigma, threshold, _ = SPATTER[severity - 1]
    noise = np.random.default_rng(seed).normal(mean, deviation, size)
    liquid = gaussian(noise, sigma=sigma)
    return (np.where(liquid < threshold, 0, liquid) * 255).astype(np.uint8)


def planes(*grey: np.ndarray) -> Tensor:
    return torch.stack([torch.from_numpy(plane) for plane in grey]).float()


@pytest.mark.parametrize("severity", [1, 2, 3])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (299, 451)])
def test_canny_equals_opencv_on_drops(severity: int, size: tuple[int, int]) -> None:
    grey = drops(size, severity)
    found = canny(planes(grey), *CANNY, CANNY_STEPS)[0]
    np.testing.assert_array_equal(found.numpy(), cv2.Canny(grey, *CANNY) > 0)


@pytest.mark.parametrize(("low", "high"), [(50, 150), (20, 400)])
def test_canny_equals_opencv_on_pictures(low: int, high: int) -> None:
    # Weak edges run far there, which takes many steps.
    grey = cv2.cvtColor(picture("odd"), cv2.COLOR_RGB2GRAY)
    found = canny(planes(grey), low, high, 300)
    np.testing.assert_array_equal(found[0].numpy(), cv2.Canny(grey, low, high) > 0)
    few = canny(planes(grey), low, high, 1)[0]
    assert (few & ~found[0]).sum() == 0
    assert few.sum() < found[0].sum()


@pytest.mark.parametrize("share", [0.0, 0.0003, 0.003, 0.05, 1.0])
@pytest.mark.parametrize("size", [(32, 32), (150, 211)])
def test_distance_equals_opencv(share: float, size: tuple[int, int]) -> None:
    marked = np.random.default_rng(1).uniform(size=(2, *size)) < share
    distance = chamfer_distance(torch.from_numpy(marked))
    assert distance.dtype == torch.int16
    for ours, mask in zip(distance, marked):
        theirs = cv2.distanceTransform(np.uint8(255) - mask.astype(np.uint8) * 255, cv2.DIST_L2, 5)
        np.testing.assert_allclose(ours / DISTANCE_UNIT, np.minimum(theirs, 20), atol=1e-5)


def test_distance_reaches_every_place_in_range() -> None:
    marked = torch.zeros(1, 61, 61, dtype=torch.bool)
    marked[0, 30, 30] = True
    theirs = cv2.distanceTransform(np.uint8(1) - marked[0].numpy().astype(np.uint8), cv2.DIST_L2, 5)
    ours = chamfer_distance(marked)[0] / DISTANCE_UNIT
    np.testing.assert_allclose(ours, np.minimum(theirs, 20), atol=1e-5)


@pytest.mark.parametrize("least", [0, 3, 20])
def test_equalisation_equals_opencv(least: int) -> None:
    # With 20 the plane has one level only, which stays.
    levels = np.random.default_rng(2).integers(least, 21, (2, 50, 61), dtype=np.uint8)
    levels[1] = np.maximum(levels[1], levels[0])
    ours = equalised(torch.from_numpy(levels))
    for plane, level in zip(ours.numpy(), levels):
        np.testing.assert_array_equal(plane, cv2.equalizeHist(level))


def test_both_ways_to_count_agree() -> None:
    levels = torch.randint(2, 21, (3, 40, 51), dtype=torch.uint8)
    counts = compared_counts(levels)
    assert torch.equal(counts, counts_at_most(levels))
    assert counts[:, -1].tolist() == [40 * 51] * 3
    assert counts[:, :2].sum() == 0


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_relief_equals_opencv(severity: int) -> None:
    edges = cv2.Canny(drops((200, 301), severity), *CANNY)
    shade = np.minimum(cv2.distanceTransform(255 - edges, cv2.DIST_L2, 5), 20)
    shade = cv2.equalizeHist(cv2.blur(shade, (3, 3)).astype(np.uint8))
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    shade = cv2.blur(cv2.filter2D(shade, cv2.CV_8U, kernel), (3, 3))
    ours = relief(chamfer_distance(torch.from_numpy(edges > 0)[None]))
    np.testing.assert_array_equal(ours[0].numpy(), shade)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_spatter_equals_the_reference(size: str, severity: int) -> None:
    image = picture(size)
    with recorded("normal") as drawn:
        theirs = run(image, "spatter", severity)
    mean, deviation = SPATTER[severity - 1][:2]
    normal = torch.from_numpy((drawn["normal"][0] - mean) / deviation).float()[None]
    ours = spatter.apply(batch(image), severity, normal)
    assert share_within_one(ours, theirs) >= 0.9999
    assert (ours != batch(image)).float().mean() > 0.01


def test_without_a_drop_the_picture_stays() -> None:
    image = picture("odd")
    images = batch(image, image)
    normal = torch.zeros(2, *image.shape[:2])
    normal[1] = torch.randn(image.shape[:2], generator=torch.Generator().manual_seed(0))
    result = spatter.apply(images, 1, normal)
    assert torch.equal(result[0], images[0])
    assert torch.equal(result[1], spatter.apply(images[1:], 1, normal[1:])[0])
    assert not torch.equal(result[1], images[1])


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 97)])
def test_a_batch_equals_its_images(severity: int, size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (3, 3, *size), dtype=torch.uint8)
    together = spatter(images, severity, [5, 6, 7])
    for place, seed in enumerate((5, 6, 7)):
        assert torch.equal(together[place], spatter(images[place, None], severity, seed)[0])


def test_drawn_noise_is_standard_normal() -> None:
    images = torch.zeros(2, 3, 200, 300, dtype=torch.uint8)
    drawing = RandomFields([1, 2], "spatter", torch.device("cpu"))
    (normal,) = spatter.draw(images, 3, drawing)
    assert normal.shape == (2, 200, 300)
    assert abs(normal.mean()) < 4 / normal.numel() ** 0.5
    assert abs(normal.var() - 1) < 4 * (2 / normal.numel()) ** 0.5
