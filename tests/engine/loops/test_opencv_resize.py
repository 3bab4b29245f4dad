"""The device's resize against OpenCV, which the stock pipeline uses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmseg_robust.engine.loops.opencv_resize import opencv_resize

SIZES = [
    ((37, 51), (64, 90)), ((360, 480), (512, 683)), ((683, 512), (512, 384)),
    ((100, 200), (50, 100)), ((256, 512), (512, 1024)), ((97, 131), (53, 70)),
    ((64, 64), (33, 200)), ((300, 400), (900, 41)), ((100, 101), (50, 51)), ((40, 40), (40, 40)),
]  # fmt: skip


def images(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(height * width)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized(image: np.ndarray, height: int, width: int, device: str = "cpu") -> np.ndarray:
    batch = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(device)
    return opencv_resize(batch, height, width)[0].permute(1, 2, 0).cpu().numpy()


@pytest.mark.parametrize("old, new", SIZES)
def test_it_equals_opencv_to_the_bit(old: tuple[int, int], new: tuple[int, int]) -> None:
    image = images(*old)
    expected = cv2.resize(image, new[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resized(image, *new), expected)


def test_random_sizes() -> None:
    random = np.random.default_rng(0)
    for _ in range(40):
        height, width, *new = random.integers(32, 160, 4)
        image = images(height, width)
        expected = cv2.resize(image, (new[1], new[0]), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(resized(image, *new), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("old, new", SIZES)
def test_a_gpu_gives_the_same(old: tuple[int, int], new: tuple[int, int]) -> None:
    image = images(*old)
    np.testing.assert_array_equal(resized(image, *new, "cuda"), resized(image, *new))
