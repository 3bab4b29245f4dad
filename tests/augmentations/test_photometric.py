"""Photometric changes against their equations in NumPy, and their draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from augmentation_cases import check_equals, grey, largest_gap, pictures

from mmseg_robust.augmentations import build_augmentation

WEIGHTS = np.array([0.299, 0.587, 0.114])[:, None, None]


@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.25])
def test_brightness_is_the_equation(shift: float) -> None:
    images = pictures(2, 21, 34)
    check_equals(
        dict(type="Brightness", shift=shift), images.double().numpy() + 255 * shift, images
    )


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.9])
def test_contrast_is_the_equation(factor: float) -> None:
    images = pictures(2, 21, 34)
    values = images.double().numpy()
    mean = (values * WEIGHTS).sum(1).mean((1, 2))[:, None, None, None]
    check_equals(dict(type="Contrast", factor=factor), mean + factor * (values - mean), images)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 2.5])
def test_saturation_is_the_equation(factor: float) -> None:
    images = pictures(2, 21, 34)
    values = images.double().numpy()
    luminance = (values * WEIGHTS).sum(1, keepdims=True)
    check_equals(
        dict(type="Saturation", factor=factor), luminance + factor * (values - luminance), images
    )


@pytest.mark.parametrize("degrees", [-70.0, 0.0, 25.0, 120.0])
def test_hue_is_a_rotation_about_the_grey_axis(degrees: float) -> None:
    """Rodrigues' formula in NumPy."""
    images = pictures(2, 21, 34)
    values = images.double().numpy()
    axis, angle = np.full(3, 1 / math.sqrt(3)), math.radians(degrees)
    cross = np.cross(axis, np.eye(3)).T  # the matrix of axis x ...
    turn = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.allclose(turn @ axis, axis)
    check_equals(
        dict(type="Hue", degrees=degrees), np.einsum("ij,njhw->nihw", turn, values), images
    )


def test_hue_turns_red_to_green_and_back() -> None:
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 200
    green = build_augmentation(dict(type="Hue", degrees=120))(red, 1)
    assert torch.allclose(green, red.roll(1, dims=1), atol=1e-3)
    assert torch.allclose(
        build_augmentation(dict(type="Hue", degrees=-120))(green, 1), red, atol=1e-3
    )


@pytest.mark.parametrize("kind", ["Brightness", "Contrast", "Saturation", "Hue"])
def test_neutral_settings_change_nothing(kind: str) -> None:
    images = pictures(2, 20, 33)
    name, value = {
        "Brightness": ("shift", 0),
        "Contrast": ("factor", 1),
        "Saturation": ("factor", 1),
        "Hue": ("degrees", 0),
    }[kind]
    assert torch.equal(build_augmentation({"type": kind, name: value})(images, [1, 2]), images)


def test_parameters_are_uniform_between_their_ends() -> None:
    """Read off the pixels of two colours, which no setting drives to an end of the range."""
    images = grey(500, 2, 2)
    images[:, 0] = 158
    brightness = build_augmentation(dict(type="Brightness", shift=(-0.2, 0.3)))(images, range(500))
    assert largest_gap(((brightness[:, 1, 0, 0] - 128) / 255 + 0.2) / 0.5) < 1.95
    saturation = build_augmentation(dict(type="Saturation", factor=(0.5, 2)))(images, range(500))
    spread = (saturation[:, 0] - saturation[:, 1])[:, 0, 0] / 30
    assert largest_gap((spread - 0.5) / 1.5) < 1.95
    images = grey(500, 2, 2)
    images[..., 0] = 168
    contrast = build_augmentation(dict(type="Contrast", factor=(0.5, 2)))(images, range(500))
    spread = (contrast[..., 0] - contrast[..., 1])[:, 0, 0] / 40
    assert largest_gap((spread - 0.5) / 1.5) < 1.95
