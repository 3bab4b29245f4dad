"""FMA loss against its equation, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from view_outputs import mask, outputs

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses import fma_loss

SHAPES = [(2, 5, 3, 4), (2, 12, 5), (3, 7)]


def reference(clean: np.ndarray, view: np.ndarray, normalize: bool) -> float:
    """``1 / N_l ||f(x') - f(x)||^2``, sample by sample."""
    terms = []
    for own, other in zip(clean, view):
        term = np.linalg.norm((other - own).ravel()) ** 2 / own.size
        terms.append(term / np.mean(own.ravel() ** 2) if normalize else term)
    return float(np.mean(terms))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_is_the_equation(shape: tuple[int, ...], normalize: bool) -> None:
    clean, view = outputs(2, shape)
    loss = fma_loss(clean, view, normalize)
    expected = reference(clean.detach().numpy(), view.detach().numpy(), normalize)
    assert loss.shape == ()
    assert abs(loss.item() - expected) < 1e-12


def test_gradients_are_those_of_the_equation() -> None:
    clean, view = outputs(2)
    fma_loss(clean, view, stop_gradient=False).backward()
    expected = 2 * (view - clean).detach() / view.numel()
    assert torch.allclose(view.grad, expected)
    assert torch.allclose(clean.grad, -expected)
    assert torch.autograd.gradcheck(lambda a, b: fma_loss(a, b, stop_gradient=False), (clean, view))


def test_no_gradient_passes_where_it_is_stopped() -> None:
    clean, view = outputs(2)
    fma_loss(clean, view, normalize=True).backward()
    assert clean.grad is None
    energy = clean.detach().square().mean((1, 2, 3), keepdim=True)
    assert torch.allclose(view.grad, 2 * (view - clean).detach() / view.numel() / energy)
    # The divisor is fixed in any case: the two gradients are opposite.
    clean, view = outputs(2)
    fma_loss(clean, view, normalize=True, stop_gradient=False).backward()
    assert torch.allclose(clean.grad, -view.grad)


def test_normalised_it_does_not_depend_on_the_scale() -> None:
    clean, view = outputs(2)
    assert torch.isclose(fma_loss(clean, view, True), fma_loss(clean * 50, view * 50, True))
    zero = torch.zeros(2, 5, 3, 4)
    assert fma_loss(zero, zero, True) == 0


def test_only_positions_that_count() -> None:
    clean, view = outputs(2)
    valid = mask()
    loss = fma_loss(clean, view, valid=valid)
    expected = (view - clean).square().permute(0, 2, 3, 1)[valid].mean()
    assert torch.isclose(loss, expected)
    loss.backward()
    assert (view.grad.permute(0, 2, 3, 1)[~valid] == 0).all()
    assert fma_loss(clean, view, valid=torch.zeros_like(valid)) == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    """The squares of such differences overflow float16."""
    clean, view = (own.detach().mul(500).to(dtype) for own in outputs(2))
    with torch.autocast("cpu", torch.bfloat16):
        loss = fma_loss(clean, view)
    assert loss.dtype == torch.float32
    expected = reference(clean.double().numpy(), view.double().numpy(), False)
    assert abs(loss.item() / expected - 1) < 1e-5


def test_bad_input() -> None:
    with pytest.raises(InputError, match="Features must have one shape"):
        fma_loss(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 8, 8))
    with pytest.raises(InputError, match="valid must be a bool tensor of shape"):
        fma_loss(*outputs(2), valid=mask((2, 6, 8)))
