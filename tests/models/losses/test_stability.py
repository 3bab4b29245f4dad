"""Stability loss against its equations, values and gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from view_outputs import mask, mean_by_pixel, outputs, probabilities

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses import stability_loss
from mmseg_robust.models.losses.stability import DISTANCES

each_distance = pytest.mark.parametrize("distance", DISTANCES)


def one_pixel(clean: np.ndarray, view: np.ndarray, distance: str) -> float:
    """D of one pixel's outputs, class by class."""
    p, q = probabilities(clean), probabilities(view)
    if distance == "l2":
        return sum((a - b) ** 2 for a, b in zip(clean, view)) ** 0.5
    if distance == "ce":
        return -sum(a * np.log(b) for a, b in zip(p, q))
    return sum(a * np.log(a / b) for a, b in zip(p, q))


def reference(clean: Tensor, view: Tensor, valid: Tensor, distance: str) -> float:
    """Pixel by pixel in float64."""
    a, b = clean.detach().numpy(), view.detach().numpy()
    places = itertools.product(*(range(size) for size in valid.shape))
    return mean_by_pixel(
        [
            (bool(valid[n, y, x]), one_pixel(a[n, :, y, x], b[n, :, y, x], distance))
            for n, y, x in places
        ]
    )


@each_distance
def test_value_is_the_equation(distance: str) -> None:
    clean, view = outputs(2)
    for valid in (mask(), torch.ones(2, 3, 4, dtype=torch.bool)):
        loss = stability_loss(clean, view, valid, distance)
        assert loss.shape == ()
        assert abs(loss.item() - reference(clean, view, valid, distance)) < 1e-12
    assert torch.isclose(stability_loss(clean, view, None, distance), loss)


@each_distance
@pytest.mark.parametrize("stop_gradient", [False, True])
def test_gradients(distance: str, stop_gradient: bool) -> None:
    clean, view = outputs(2, (1, 3, 2, 2))
    valid = mask((1, 2, 2))

    def loss(clean: Tensor, view: Tensor) -> Tensor:
        return stability_loss(clean, view, valid, distance, stop_gradient)

    if stop_gradient:
        assert torch.autograd.gradcheck(lambda view: loss(clean, view), (view,))
        loss(clean, view).backward()
        assert clean.grad is None
    else:
        assert torch.autograd.gradcheck(loss, (clean, view))
        loss(clean, view).backward()
        assert (clean.grad.permute(0, 2, 3, 1)[~valid] == 0).all()
    assert (view.grad.permute(0, 2, 3, 1)[~valid] == 0).all()


def test_kl_is_ce_less_the_entropy_of_the_clean_prediction() -> None:
    clean, view = outputs(2)
    entropy = stability_loss(clean, clean, None, "ce")
    apart = stability_loss(clean, view, None, "ce") - stability_loss(clean, view, None, "kl")
    assert torch.isclose(apart, entropy)
    gradients = []
    for distance in ("kl", "ce"):
        clean, view = outputs(2)
        stability_loss(clean, view, None, distance, stop_gradient=True).backward()
        gradients.append(view.grad)
    assert torch.allclose(*gradients)


@each_distance
def test_equal_views(distance: str) -> None:
    """No distance, but for the entropy in 'ce', and a gradient that is finite."""
    logits = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    clean, view = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = stability_loss(clean, view, mask(), distance)
    assert (loss > 0.1) if distance == "ce" else (loss == 0)
    loss.backward()
    assert view.grad.abs().max() < 1e-6
    assert clean.grad.isfinite().all()


@each_distance
def test_no_pixel_that_counts(distance: str) -> None:
    clean, view = outputs(2)
    loss = stability_loss(clean, view, torch.zeros(2, 3, 4, dtype=torch.bool), distance)
    assert loss == 0
    loss.backward()
    assert (view.grad == 0).all() and (clean.grad == 0).all()


@each_distance
def test_classifiers(distance: str) -> None:
    clean, view = outputs(2, (4, 6))
    flat = stability_loss(clean, view, None, distance)
    as_pixels = stability_loss(clean[..., None, None], view[..., None, None], None, distance)
    assert torch.isclose(flat, as_pixels)
    some = torch.tensor([True, False, True, True])
    assert torch.isclose(
        stability_loss(clean, view, some, distance),
        stability_loss(clean[some], view[some], None, distance),
    )


@each_distance
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(distance: str, dtype: torch.dtype) -> None:
    clean, view = (own.detach().to(dtype) for own in outputs(2, scale=30.0))
    with torch.autocast("cpu", torch.bfloat16):
        loss = stability_loss(clean, view, mask(), distance)
    assert loss.dtype == torch.float32
    exact = stability_loss(clean.double(), view.double(), mask(), distance)
    assert abs(loss / exact - 1) < 1e-5


def test_bad_input() -> None:
    clean, view = outputs(2)
    with pytest.raises(InputError, match="distance is 'js'; it must be one of kl, ce, l2"):
        stability_loss(clean, view, distance="js")
    with pytest.raises(InputError, match="Logits must have one shape"):
        stability_loss(clean, view[:1])
    with pytest.raises(InputError, match="use resize_valid"):
        stability_loss(clean, view, mask((2, 6, 8)))
