"""The equations of DAMP, SAM and ASAM against their definitions."""

import math

import pytest
import torch

from mmseg_robust.engine.weights.multiplicative import random_factors, steepest_step


def random_tensors(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, generator=generator, dtype=dtype) for n in (40, 7)]


@pytest.mark.parametrize("sigma", [0.1, 0.4])
def test_factors_have_the_distribution_of_the_paper(sigma):
    xi = torch.empty(200_000)
    random_factors(xi, sigma, torch.Generator().manual_seed(1))
    z = (xi.double() - 1) / sigma
    # Five standard errors of each moment of a normal distribution.
    for power, want, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(z.pow(power).mean() - want) < 5 * math.sqrt(spread / len(z))
    negative = (1 + math.erf(-1 / sigma / math.sqrt(2))) / 2  # not clipped: Phi(-1 / sigma)
    assert abs((xi < 0).double().mean() - negative) < 5 * math.sqrt(negative / len(z) + 1e-12)


def test_factors_come_from_the_generator_alone():
    state = torch.get_rng_state()
    one, other = torch.empty(50), torch.empty(50)
    random_factors(one, 0.1, torch.Generator().manual_seed(3))
    random_factors(other, 0.1, torch.Generator().manual_seed(3))
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_sam_is_rho_along_the_gradient_of_all_tensors():
    gradients = random_tensors()
    whole = torch.cat(gradients)
    steps = [g.clone() for g in gradients]
    steepest_step(steps, [None, None], 0.7)
    torch.testing.assert_close(torch.cat(steps), 0.7 * whole / whole.norm())


def test_asam_is_the_steepest_step_in_its_ellipsoid():
    """Definition: e maximises g.e under ||e / T|| <= rho. No other point of the rim does better."""
    gradients, sizes = random_tensors(0), [t.abs() + 0.01 for t in random_tensors(1)]
    sizes[1] = None  # T = 1
    g = torch.cat(gradients)
    t = torch.cat([sizes[0], torch.ones(7, dtype=torch.float64)])
    steps = [x.clone() for x in gradients]
    steepest_step(steps, sizes, 2.0)
    e = torch.cat(steps)
    torch.testing.assert_close((e / t).norm(), torch.tensor(2.0, dtype=torch.float64))
    # By Cauchy and Schwarz the maximum of g.e is rho ||T g||.
    torch.testing.assert_close(g @ e, 2.0 * (t * g).norm())
    rivals = torch.randn(1000, 47, dtype=torch.float64)
    rivals = 2.0 * rivals / rivals.norm(dim=1, keepdim=True) * t
    assert (rivals @ g < g @ e).all()


def test_asam_without_eta_is_the_adversarial_form_of_damps_factors():
    """Section 3 of DAMP's paper: w + e = w * xi, ||xi - 1|| = rho, along dL / dxi = w * g."""
    w, g = random_tensors(2)[0], random_tensors(3)[0]
    w[:3] = 0
    steps = [g.clone()]
    steepest_step(steps, [w.abs()], 0.5)
    xi = 1 + 0.5 * (w * g) / (w * g).norm()
    torch.testing.assert_close(w + steps[0], w * xi)
    assert (steps[0][:3] == 0).all(), "zeros stay"


def test_does_not_depend_on_the_scale_of_the_gradients():
    gradients, sizes = random_tensors(0), [t.abs() for t in random_tensors(1)]
    steps = [g.clone() for g in gradients]
    scaled = [g * 65536 for g in gradients]
    steepest_step(steps, sizes, 1.0)
    steepest_step(scaled, sizes, 1.0)
    torch.testing.assert_close(scaled, steps)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("sized", [False, True])
def test_gradients_that_are_not_finite_give_no_step(bad, sized):
    gradients = random_tensors(dtype=torch.float32)
    gradients[1][2] = bad
    sizes = [torch.rand_like(g) for g in gradients] if sized else [None, None]
    steepest_step(gradients, sizes, 1.0)
    assert all((g == 0).all() for g in gradients)


def test_no_gradient_gives_no_step():
    gradients = [torch.zeros(4), torch.zeros(3)]
    steepest_step(gradients, [None, None], 1.0)
    assert all((g == 0).all() for g in gradients)


def test_half_precision_parameters_take_their_norm_in_float32():
    gradient = torch.full((4096,), 100.0, dtype=torch.float16)  # squares sum to 4.1e7
    steepest_step([gradient], [None], 1.0)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 1 / 64))


def test_several_data_types_share_one_norm():
    gradients = [torch.tensor([3.0]), torch.tensor([4.0], dtype=torch.float64)]
    steepest_step(gradients, [None, None], 10.0)
    assert [g.item() for g in gradients] == pytest.approx([6.0, 8.0])
