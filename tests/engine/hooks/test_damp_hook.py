"""DAMP in real training runs, against its algorithm written out."""

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from perturbed_runs import (
    Recorder,
    assert_equal_parameters,
    gradient_of,
    moved,
    plain_loop,
    record,
    still_cfg,
    train_ranks,
)
from small_models import runner_cfg, same, train, weights

import mmseg_robust  # noqa: F401
from mmseg_robust.engine.hooks import DAMPHook, damp_hook
from mmseg_robust.engine.weights.selection import select_weights
from mmseg_robust.errors import InputError

SGD = dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
ADAMW = dict(type="AdamW", lr=1e-2, weight_decay=0.1)


def damp(**changes):
    return dict(dict(type="DAMPHook", sigma=0.2), **changes)


def written_out(recorders, chain_rule=False):
    """Algorithm 1 of the paper: the gradient at w * xi, as it is."""

    def gradients(model, losses, iteration):
        found = []
        for recorder, loss in zip(recorders, losses):
            xi = recorder.factors[iteration]
            with moved(model, lambda name, w, xi=xi: w * xi[name] if name in xi else w):
                found.append(gradient_of(model, loss))
            if chain_rule:
                found[-1].update({name: found[-1][name] * xi[name] for name in xi})
        return found

    return gradients


@pytest.mark.parametrize("chain_rule", [False, True])
@pytest.mark.parametrize(
    ("optimizer", "accumulate", "max_norm"),
    [(SGD, 1, None), (ADAMW, 1, None), (SGD, 2, 0.05), (ADAMW, 2, 0.05)],
)
def test_equals_a_plain_loop(tmp_path, optimizer, accumulate, max_norm, chain_rule):
    wrapper = dict(type="OptimWrapper", optimizer=optimizer, accumulative_counts=accumulate)
    if max_norm:
        wrapper["clip_grad"] = dict(max_norm=max_norm)
    hook = damp(gradient="chain_rule" if chain_rule else "perturbed")
    run = record(tmp_path, hook, double=True, iters=4, model=still_cfg(), optim_wrapper=wrapper)
    states = plain_loop([run], optimizer, written_out([run], chain_rule), accumulate, max_norm)
    assert not same(states[-1], run.initial)
    for got, want in zip(run.states, states):
        for key, value in want.items():  # with the statistics, which are those of w * xi
            torch.testing.assert_close(got[key], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("chain_rule", [False, True])
def test_two_processes(tmp_path, chain_rule):
    """Each rank has noise of its own; the ranks' gradients are averaged and the weights equal."""
    hook = damp(gradient="chain_rule" if chain_rule else "perturbed")
    wrapper = dict(type="OptimWrapper", optimizer=SGD, accumulative_counts=2)
    ranks = train_ranks(tmp_path, hook, optim_wrapper=wrapper)
    for one, other in zip(ranks[0].factors, ranks[1].factors):
        assert not any((one[name] == other[name]).any() for name in one)
    states = plain_loop(ranks, SGD, written_out(ranks, chain_rule), accumulate=2)
    for rank in ranks:
        assert_equal_parameters(rank.states[-1], states[-1], rtol=1e-9, atol=1e-12)


def test_perturbs_the_selected_weights_with_fresh_normal_noise(tmp_path):
    run = record(tmp_path, damp(sigma=0.2), iters=4)
    assert len(run.factors) == 4
    model = Runner(**runner_cfg(tmp_path)).model
    assert set(run.factors[0]) == {weight.name for weight in select_weights(model)}
    assert any(name.endswith("in_proj_weight") for name in run.factors[0])
    z = torch.stack(
        [(torch.cat([xi.flatten() for xi in step.values()]) - 1) / 0.2 for step in run.factors]
    ).double()
    count = z.shape[1]
    assert (z.mean(1).abs() < 5 / count**0.5).all()
    assert ((z.square().mean(1) - 1).abs() < 5 * (2 / count) ** 0.5).all()
    correlation = z @ z.T / count - torch.eye(4)
    correlation.fill_diagonal_(0)
    assert correlation.abs().max() < 5 / count**0.5, "each micro-batch draws for itself"


def test_filters_select(tmp_path):
    run = record(tmp_path, damp(kinds=["conv"], include=["^decode_head"], exclude=["seg"]), iters=1)
    assert run.factors[0]
    assert all("decode_head" in n and n.endswith("conv.weight") for n in run.factors[0])


def test_noise_depends_on_seed_rank_and_iteration_alone(tmp_path, monkeypatch):
    model = Runner(**runner_cfg(tmp_path, model=still_cfg())).model

    def noise(iteration, rank=0, seed=0):
        monkeypatch.setattr(damp_hook, "get_rank", lambda: rank)
        hook = DAMPHook(sigma=0.2, seed=seed)
        torch.rand(3)  # other draws do not matter
        run = Run(model, iteration)
        hook.prepare(run, model)
        hook.perturb(run, None)
        hook._restore()
        return torch.cat([xi.flatten() for _, xi in hook._factors.pairs()])

    reference = noise(5)
    assert torch.equal(noise(5), reference)
    for other in (noise(6), noise(5, rank=1), noise(5, seed=1)):
        assert (other == reference).double().mean() < 1e-3


class Run:
    """As much of a runner as the hook asks for."""

    def __init__(self, model, iteration):
        from mmengine.logging import MMLogger

        self.model, self.iter, self.logger = model, iteration, MMLogger.get_current_instance()


def test_global_random_state_is_that_of_the_stock_run(tmp_path):
    train(tmp_path / "stock")
    expected = torch.rand(1), np.random.rand()
    train(tmp_path / "damp", custom_hooks=[damp()])
    assert (torch.rand(1), np.random.rand()) == expected


def test_the_loss_in_the_log_is_that_of_the_perturbed_network(tmp_path):
    run = record(tmp_path, damp(sigma=0.4), double=True, iters=1, model=still_cfg())
    losses = []

    def gradients(model, closures, iteration):
        xi = run.factors[iteration]
        with moved(model, lambda name, w: w * xi[name] if name in xi else w):
            losses.append(closures[0]().item())
        return [{}]

    plain_loop([run], SGD, gradients)
    assert run.outputs[0]["loss"] == pytest.approx(losses[0], rel=1e-9)


def test_composes_with_cwfa(tmp_path):
    cwfa = dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0)
    both = record(tmp_path / "both", cwfa, damp())
    alone = record(tmp_path / "alone", damp())
    assert not same(both.states[0], alone.states[0])
    assert all(torch.equal(both.factors[5][n], alone.factors[5][n]) for n in alone.factors[5])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(sigma=-0.1), "sigma is -0.1; it must be a finite number of 0 or more"),
        (dict(sigma=float("inf")), "sigma is inf"),
        (dict(sigma=float("nan")), "sigma is nan"),
        (dict(sigma="0.1"), "sigma is '0.1'"),
        (dict(sigma=True), "sigma is True"),
        (dict(gradient="exact"), "gradient is 'exact'; it must be one of perturbed, chain_rule"),
        (dict(kinds=["dense"]), "kinds="),
        (dict(include=["heed"]), "include='heed' matches no trainable weight"),
        (dict(begin=-1), "begin is -1"),
        (dict(begin=10, end=5), "must come after begin"),
        (dict(seed=0.5), "seed is 0.5"),
    ],
)
def test_bad_values_end_before_training(tmp_path, bad, message):
    recorder = Recorder()
    with pytest.raises(InputError, match=message):
        Runner(**runner_cfg(tmp_path, custom_hooks=[damp(**bad), recorder])).train()
    assert recorder.states == []


@pytest.mark.gpu
def test_perturbing_never_waits_for_the_gpu(tmp_path):
    runner = Runner(**runner_cfg(tmp_path, model=still_cfg()))
    hook = DAMPHook(sigma=0.2)
    run = Run(runner.model, 0)
    hook.prepare(run, runner.model)
    before = weights(runner)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        hook.perturb(run, None)
        perturbed = [weight.detach().clone() for weight, _ in hook._factors.pairs()]
        hook._restore()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    clean = [weight.detach() for weight, _ in hook._factors.pairs()]
    assert not any(torch.equal(a, b) for a, b in zip(perturbed, clean))
    assert same(weights(runner), before)
