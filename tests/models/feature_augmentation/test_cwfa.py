"""CWFA against the paper's equations written out in NumPy, and its draws."""

import math

import numpy as np
import pytest
import torch

from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.cwfa import CWFA, epsilon_per_stage
from mmseg_robust.models.feature_augmentation.draws import draw


def equations(features: np.ndarray, epsilon: float) -> np.ndarray:
    """Equations (1) to (3) of arXiv 2412.01941, one sample and channel at a time."""
    n, c, h, w = features.shape
    result = np.empty_like(features)
    for i in range(n):
        x = [
            sum(features[i, k, j, m] for j in range(h) for m in range(w)) / (h * w)
            for k in range(c)
        ]
        norm = math.sqrt(sum(v * v for v in x))
        for k in range(c):
            result[i, k] = features[i, k] + epsilon * x[k] / norm
    return result


def advanced(epsilon=(9.0,), prob=1.0, seed=0, iteration=0, rank=0, active=True, **kwargs) -> CWFA:
    cwfa = CWFA(epsilon, prob, seed)
    cwfa.advance(iteration, rank, active, "cpu", **kwargs)
    return cwfa


@pytest.mark.parametrize("layout", ["NCHW", "NLC", "NHWC"])
@pytest.mark.parametrize("epsilon", [0.5, 9.0])
def test_follows_the_equations_in_every_layout(layout, epsilon):
    features = np.random.default_rng(0).normal(0.3, 1, (3, 5, 4, 6))
    expected = torch.tensor(equations(features, epsilon), dtype=torch.float32)
    x = torch.tensor(features, dtype=torch.float32)
    if layout == "NLC":
        out = advanced((epsilon,))(x.flatten(2).transpose(1, 2), 0, layout)
        out = out.transpose(1, 2).view_as(x)
    elif layout == "NHWC":
        out = advanced((epsilon,))(x.permute(0, 2, 3, 1), 0, layout).permute(0, 3, 1, 2)
    else:
        out = advanced((epsilon,))(x, 0, layout)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "NLC", "NHWC"])
def test_gradient_passes_through_the_shift(layout):
    """The gradient that is written out, against autograd on the equations in float64."""
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    weight = torch.randn(2, 4, 3, 3)
    if layout == "NLC":
        out = advanced()(x.flatten(2).transpose(1, 2), 0, layout).transpose(1, 2).view_as(x)
    elif layout == "NHWC":
        out = advanced()(x.permute(0, 2, 3, 1), 0, layout).permute(0, 3, 1, 2)
    else:
        out = advanced()(x, 0, layout)
    (out * weight).sum().backward()

    y = x.detach().double().requires_grad_()
    mean = y.sum((2, 3)) / 9
    shifted = y + (9 * mean / (mean**2).sum(1, keepdim=True).sqrt())[:, :, None, None]
    (shifted * weight).sum().backward()
    torch.testing.assert_close(x.grad.double(), y.grad, rtol=1e-4, atol=1e-5)


def test_asleep_returns_the_very_tensor():
    x = torch.randn(2, 4, 3, 3)
    assert advanced(active=False)(x, 0) is x
    assert advanced(epsilon=(0.0,))(x, 0) is x
    assert advanced(prob=0.0)(x, 0) is x


def test_measuring_does_not_change_the_features():
    x = torch.randn(2, 4, 3, 3)
    cwfa = advanced(active=False, measure=True)
    assert torch.equal(cwfa(x, 0), x)
    assert cwfa.mean_norms[0] == pytest.approx(x.mean((2, 3)).norm(dim=1).mean().item(), rel=1e-5)


def test_zero_features_stay_zero_with_the_stock_gradient():
    x = torch.zeros(2, 4, 3, 3, requires_grad=True)
    out = advanced()(x, 0)
    out.sum().backward()
    assert torch.equal(out, torch.zeros_like(x))
    assert torch.equal(x.grad, torch.ones_like(x))


def test_features_that_are_not_finite_stay_visible():
    x = torch.ones(1, 4, 3, 3)
    x[0, 0, 0, 0] = float("nan")
    assert advanced()(x, 0).isnan().any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_type_and_does_not_overflow(dtype):
    # 256 * 256 positions of 100 sum to 6.5 million, far above fp16's 65,504.
    x = torch.full((1, 8, 256, 256), 100.0, dtype=dtype)
    out = advanced()(x, 0)
    assert out.dtype == dtype
    torch.testing.assert_close(
        out.float(), torch.full_like(out, 100 + 9 / math.sqrt(8)).float(), rtol=1e-2, atol=0
    )


def drawn(cwfa: CWFA, count: int, stage: int = 0) -> list:
    x = torch.ones(count, 3, 2, 2)
    return [not torch.equal(a, b) for a, b in zip(cwfa(x, stage), x)]


def test_draws_depend_on_seed_rank_iteration_stage_and_sample_alone():
    def draws(**kwargs):
        stage = kwargs.pop("stage", 0)
        return drawn(advanced((9.0, 9.0), 0.5, **kwargs), 64, stage)

    base = draws()
    assert draws() == base
    assert drawn(advanced((9.0, 9.0), 0.5), 10) == base[:10]
    for other in ({"seed": 1}, {"rank": 1}, {"iteration": 1}, {"stage": 1}):
        assert draws(**other) != base


def test_draw_frequency_is_prob_for_every_stage_and_uncorrelated():
    # 4 stages x 500 iterations x 16 samples; 5 standard deviations of a Bernoulli mean.
    cwfa = CWFA((1.0,) * 4, 0.3)
    rows = []
    for iteration in range(500):
        cwfa.advance(iteration, 0, True, "cpu")
        rows.append(torch.from_numpy(cwfa.drawn(16)).float())
    table = torch.stack(rows).transpose(0, 1).reshape(4, -1)
    bound = 5 * math.sqrt(0.3 * 0.7 / table.shape[1])
    assert ((table.mean(1) - 0.3).abs() < bound).all()
    correlation = torch.corrcoef(table) - torch.eye(4)
    assert correlation.abs().max() < 5 / math.sqrt(table.shape[1])
    by_sample = torch.corrcoef(table.reshape(-1, 16).T) - torch.eye(16)
    assert by_sample.abs().max() < 5 / math.sqrt(table.numel() / 16)


def test_golden_draws():
    """Fixed numbers, so that an edit of the hash cannot change a user's runs unseen."""
    cwfa = CWFA((9.0,), 0.3, seed=3)
    cwfa.advance(100, 2, True, "cpu")
    assert draw(cwfa._key, np.arange(1), np.arange(4))[0].tolist() == GOLDEN


def on_host(cwfa: CWFA, count: int) -> torch.Tensor:
    """How far each sample is shifted at each stage, as an uncompiled pass has it."""
    lengths = cwfa._shift_lengths(count)
    rows = torch.stack([lengths.there(stage) for stage in range(len(cwfa.epsilon))])
    assert [lengths.acts(stage) for stage in range(len(rows))] == rows.any(1).tolist()
    return rows


def test_draws_made_ahead_are_those_of_each_pass():
    """Over the end of a table, back, with another rank, batch size and switched off."""
    cwfa = CWFA((9.0, 4.0), 0.4, seed=2)
    passes = [(i, 0, True, 6) for i in (5, 6, 259, 260, 261, 262, 1000, 999, 6)]
    passes += [(7, 1, True, 6), (7, 1, True, 3), (8, 1, False, 3), (8, 1, True, 3)]
    for iteration, rank, active, count in passes:
        cwfa.advance(iteration, rank, active, "cpu", measure=not active)
        fresh = CWFA((9.0, 4.0), 0.4, seed=2)
        fresh.advance(iteration, rank, active, "cpu", measure=not active)
        assert torch.equal(on_host(cwfa, count), on_host(fresh, count))
        assert torch.equal(on_host(cwfa, count), cwfa._lengths_there(count))
        assert on_host(cwfa, count).any() or not active


def test_a_pass_in_inference_mode_leaves_training_alone():
    cwfa, x = advanced(), torch.randn(2, 3, 4, 4)
    with torch.inference_mode():
        expected = cwfa(x, 0)
    cwfa.advance(1, 0, True, "cpu")
    out = cwfa(x.requires_grad_(), 0)
    out.sum().backward()
    assert torch.equal(out, expected) and x.grad is not None


def test_a_second_derivative_is_refused():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    (grad,) = torch.autograd.grad((advanced()(x, 0) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@pytest.mark.parametrize("prob", [0.0, 0.3, 0.5, 1.0])
def test_compiled_draws_are_the_host_s(prob):
    cwfa = advanced((1.0, 0.0, 3.0), prob, seed=7, iteration=41, rank=3)
    assert torch.equal(cwfa._lengths_there(33), on_host(cwfa, 33))


def test_one_draw_for_all_stages():
    """With prob 0.3 a share of 0.7 of the samples stays as it is, at every stage."""
    cwfa = CWFA((1.0, 2.0, 0.0, 3.0), 0.3, per_stage=False)
    rows = []
    for iteration in range(500):
        cwfa.advance(iteration, 0, True, "cpu")
        drawn = cwfa.drawn(16)
        assert (drawn == drawn[0]).all()
        rows.append(drawn[0])
        assert torch.equal(cwfa._lengths_there(16), on_host(cwfa, 16))
    assert abs(np.mean(rows) - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 8000)


@pytest.mark.parametrize("value", [0, 1, "False", None])
def test_bad_per_stage(value):
    with pytest.raises(InputError, match=r"per_stage is"):
        CWFA((9.0,), per_stage=value)


def test_a_stage_that_augments_no_sample_returns_the_very_tensor():
    x = torch.randn(2, 3, 4, 4)
    cwfa = CWFA((1.0,) * 4, 0.3)
    seen = set()
    for iteration in range(8):
        cwfa.advance(iteration, 0, True, "cpu")
        for stage, drawn_here in enumerate(cwfa.drawn(2).any(1)):
            assert (cwfa(x, stage) is x) == (not drawn_here)
            seen.add(bool(drawn_here))
    assert seen == {True, False}


GOLDEN = [16649282, 3408677, 711948, 7635069]


def test_global_random_state_is_untouched():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    advanced(prob=0.5)(torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)), 0)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("epsilon", [-1, math.nan, math.inf, "nine", True, None])
def test_bad_epsilon(epsilon):
    with pytest.raises(InputError, match=r"epsilon is"):
        CWFA((epsilon,))


@pytest.mark.parametrize("prob", [-0.1, 1.1, math.nan, "0.3", True])
def test_bad_prob(prob):
    with pytest.raises(InputError, match=r"prob is"):
        CWFA((9.0,), prob)


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seed(seed):
    with pytest.raises(InputError, match=r"seed is"):
        CWFA((9.0,), seed=seed)


def test_bad_features():
    with pytest.raises(InputError, match=r"got tuple"):
        advanced()((torch.zeros(1),), 0)
    with pytest.raises(InputError, match=r"2 dimensions"):
        advanced()(torch.zeros(2, 3), 0)


def test_epsilon_per_stage():
    assert epsilon_per_stage(9, 3) == [9.0, 9.0, 9.0]
    assert epsilon_per_stage([1, 2], 2) == [1.0, 2.0]
    with pytest.raises(InputError, match=r"3 values .* for 2 augmented stages"):
        epsilon_per_stage([1, 2, 3], 2)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", ["NCHW", "NLC", "NHWC"])
def test_fused_on_a_gpu_equals_plain(dtype, layout):
    torch.manual_seed(0)
    shape = {"NCHW": (6, 40, 5, 7), "NLC": (6, 35, 40), "NHWC": (6, 5, 7, 40)}[layout]
    x = torch.randn(shape).to(dtype)
    x[3] = 0
    weight = torch.randn(shape).to(dtype)
    results = []
    for device in ("cpu", "cuda"):
        cwfa = CWFA((9.0,), 0.5)
        cwfa.advance(0, 0, True, device)
        assert 0 < cwfa.drawn(6).sum() < 6
        inputs = x.detach().clone().to(device).requires_grad_()
        out = cwfa(inputs, 0, layout)
        (out * weight.to(device)).sum().backward()
        results.append((out.detach().cpu(), inputs.grad.cpu()))
    torch.testing.assert_close(*results)


@pytest.mark.gpu
def test_gpu_equals_cpu():
    x = torch.randn(64, 8, 5, 7)
    on_cpu = advanced(prob=0.5)(x, 0)
    cwfa = CWFA((9.0,), 0.5)
    cwfa.advance(0, 0, True, "cuda")
    torch.testing.assert_close(cwfa(x.cuda(), 0).cpu(), on_cpu, rtol=1e-5, atol=1e-5)
