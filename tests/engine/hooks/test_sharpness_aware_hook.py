"""SAM and ASAM in real training runs, against their algorithm written out."""

import json

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
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
from small_models import runner_cfg, same, segformer_cfg, train, weights

import mmseg_robust  # noqa: F401
from mmseg_robust.engine.hooks import SharpnessAwareHook
from mmseg_robust.engine.weights.first_pass import FirstPass
from mmseg_robust.errors import InputError

SGD = dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
ADAMW = dict(type="AdamW", lr=1e-2, weight_decay=0.1)
SAM = dict(rho=0.5)
ASAM = dict(rho=1.0, adaptive=True, eta=0.01)
# A step that is 0 in float32: with dropout and all the run must be the stock one.
TINY = dict(type="SharpnessAwareHook", rho=1e-60)


def sharp(**values):
    return dict(type="SharpnessAwareHook", **values)


def written_out(rho, adaptive=False, eta=0.0, sync=False):
    """The papers' algorithms: e = rho T^2 g / ||T g||, the gradient at w + e."""

    def gradients(model, losses, iteration):
        clean = {name: p.detach().clone() for name, p in model.named_parameters()}
        first = [gradient_of(model, loss) for loss in losses]
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        if sync:
            mean = {name: sum(g[name] for g in first) / len(first) for name in first[0]}
            first = [mean] * len(first)
        found = []
        for g, loss in zip(first, losses):
            t = {
                name: clean[name].abs() + eta
                if adaptive and name.endswith("weight")
                else torch.ones_like(clean[name])
                for name in g
            }
            norm = sum((t[name] * g[name]).square().sum() for name in g).sqrt()
            e = {name: rho * t[name] ** 2 * g[name] / norm for name in g}
            with moved(model, lambda name, w, e=e: w + e[name]):
                found.append(gradient_of(model, loss))
        for name, buffer in model.named_buffers():
            buffer.copy_(statistics[name])
        return found

    return gradients


@pytest.mark.parametrize("method", [SAM, ASAM], ids=["sam", "asam"])
@pytest.mark.parametrize(
    ("optimizer", "accumulate", "max_norm"),
    [(SGD, 1, None), (ADAMW, 1, None), (SGD, 2, 0.05), (ADAMW, 2, 0.05)],
)
def test_equals_a_plain_loop(tmp_path, optimizer, accumulate, max_norm, method):
    wrapper = dict(type="OptimWrapper", optimizer=optimizer, accumulative_counts=accumulate)
    if max_norm:
        wrapper["clip_grad"] = dict(max_norm=max_norm)
    run = record(
        tmp_path, sharp(**method), double=True, iters=4, model=still_cfg(), optim_wrapper=wrapper
    )
    states = plain_loop([run], optimizer, written_out(**method), accumulate, max_norm)
    for got, want in zip(run.states, states):
        for key, value in want.items():  # with the statistics, which are those of the first pass
            # Biases before a norm have gradients of 1e-17, which AdamW divides by its eps of 1e-8.
            torch.testing.assert_close(got[key], value, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("method", "sync", "ddp"),
    [(SAM, False, {}), (SAM, True, {}), (ASAM, False, dict(find_unused_parameters=True))],
    ids=["sam", "sync", "asam"],
)
def test_two_processes(tmp_path, method, sync, ddp):
    """Each rank climbs by its own gradient, or all by the mean; the weights stay equal."""
    cfg = dict(model_wrapper_cfg=dict(type="MMDistributedDataParallel", **ddp))
    wrapper = dict(type="OptimWrapper", optimizer=SGD, accumulative_counts=2)
    ranks = train_ranks(tmp_path, sharp(sync=sync, **method), optim_wrapper=wrapper, cfg=cfg)
    states = plain_loop(ranks, SGD, written_out(sync=sync, **method), accumulate=2)
    for rank in ranks:
        assert_equal_parameters(rank.states[-1], states[-1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("with_cp", [False, True], ids=["", "with-cp"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_first_pass_leaves_no_trace(tmp_path, accumulate, with_cp):
    """Dropout as in the step; statistics and random numbers as in the stock run, to the bit."""
    wrapper = dict(
        type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3), accumulative_counts=accumulate
    )
    common = dict(model=segformer_cfg(with_cp=with_cp), optim_wrapper=wrapper, iters=5)
    stock = record(tmp_path / "stock", **common)
    expected = torch.rand(1)
    run = record(tmp_path / "sam", TINY, **common)
    assert all(same(a, b) for a, b in zip(run.states, stock.states))
    assert torch.equal(torch.rand(1), expected)
    # Both passes drew the same dropout, or the losses would differ.
    assert {outputs["sharpness"] for outputs in run.outputs} == {0.0}
    assert [o["clean_loss"] for o in run.outputs] == [o["loss"] for o in stock.outputs]


@pytest.mark.parametrize(
    ("accumulate", "expected"),
    [(1, [True, False, False, True, False, False]), (2, [True, True, False, False, False, False])],
)
def test_interval_counts_updates(tmp_path, accumulate, expected):
    wrapper = dict(type="OptimWrapper", optimizer=SGD, accumulative_counts=accumulate)
    run = record(tmp_path, sharp(interval=3, **SAM), optim_wrapper=wrapper)
    assert ["sharpness" in outputs for outputs in run.outputs] == expected


def test_may_begin_between_two_micro_batches(tmp_path):
    wrapper = dict(type="OptimWrapper", optimizer=SGD, accumulative_counts=2)
    run = record(tmp_path, sharp(begin=1, **SAM), iters=4, optim_wrapper=wrapper)
    assert ["sharpness" in outputs for outputs in run.outputs] == [False, True, True, True]


class Snoop(Hook):
    """Keeps the parameters that each forward pass meets: the first pass, the step's, and so on."""

    def __init__(self):
        self.met = []

    def before_train(self, runner):
        model = runner.model
        model.backbone.register_forward_pre_hook(
            lambda *_: self.met.append({n: p.detach().clone() for n, p in named})
        )
        named = list(model.named_parameters())

    def steps(self):
        """How far the parameters are apart in the two passes of each iteration."""
        return [
            {name: second[name] - first[name] for name in first}
            for first, second in zip(self.met[::2], self.met[1::2])
        ]


def length(step):
    return sum(part.square().sum() for part in step.values()).sqrt().item()


def test_all_parameters_move_by_rho_in_all(tmp_path):
    snoop = Snoop()
    record(tmp_path, snoop, sharp(**SAM), double=True, iters=3, model=still_cfg())
    assert [length(step) for step in snoop.steps()] == pytest.approx([0.5] * 3, rel=1e-9)
    assert all((part != 0).any() for part in snoop.steps()[1].values())


@pytest.mark.parametrize("method", [SAM, ASAM], ids=["sam", "asam"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bool])
def test_a_sparse_mask_keeps_its_zeros(tmp_path, method, dtype):
    """And the length of the step is that of the active weights."""
    name = "backbone.layers.0.0.projection.weight"

    class Prune(Hook):
        priority = "HIGH"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            weight = dict(runner.model.named_parameters())[name]
            with torch.no_grad():
                weight[:4] = 0
            mask = torch.ones_like(weight, dtype=dtype)
            mask[:4] = 0
            weight.sparse_mask = mask

    snoop = Snoop()
    record(tmp_path, Prune(), snoop, sharp(**method), double=True, iters=2, model=still_cfg())
    for step in snoop.steps():
        assert (step[name][:4] == 0).all()
        assert (step[name][4:] != 0).any()
        if method is SAM:
            assert length(step) == pytest.approx(0.5, rel=1e-9)


def test_a_first_pass_that_is_not_finite_gives_a_plain_step(tmp_path, monkeypatch):
    stock = record(tmp_path / "stock", iters=2)
    run = FirstPass.run

    def overflow(self, batch, optim_wrapper):
        loss, gradients = run(self, batch, optim_wrapper)
        next(iter(gradients.values())).view(-1)[0] = float("inf")
        return loss, gradients

    monkeypatch.setattr(FirstPass, "run", overflow)
    plain = record(tmp_path / "overflow", sharp(**ASAM), iters=2)
    assert all(same(a, b) for a, b in zip(plain.states, stock.states))


def test_frozen_and_unused_parameters(tmp_path):
    """Frozen ones do not move; such that the loss does not depend on have no gradient."""

    class Freeze(Hook):
        priority = "HIGH"

        def before_run(self, runner):
            runner.model.backbone.layers[0].requires_grad_(False)
            runner.model.unused = torch.nn.Linear(2, 2)

    snoop = Snoop()
    run = record(tmp_path, Freeze(), snoop, sharp(**SAM), iters=2)
    for name in ("backbone.layers.0.0.projection.weight", "unused.weight"):
        assert all(torch.equal(met[name], run.initial[name]) for met in snoop.met)


def test_logs_sharpness_and_both_losses(tmp_path):
    logger = dict(logger=dict(type="LoggerHook", interval=1))
    runner = train(
        tmp_path, iters=3, custom_hooks=[sharp(rho=0.1)], default_hooks=logger,
        log_processor=dict(by_epoch=False),
    )  # fmt: skip
    hub = MessageHub.get_current_instance()
    loss, clean, sharpness = (
        hub.get_scalar(f"train/{name}").data[0] for name in ("loss", "clean_loss", "sharpness")
    )
    assert sharpness == pytest.approx(loss - clean, abs=1e-6)
    assert (sharpness > 0).all()
    scalars = tmp_path / runner.timestamp / "vis_data" / "scalars.json"
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert [line["sharpness"] for line in lines] == pytest.approx(list(sharpness))
    assert all("clean_loss" in line for line in lines)


def test_composes_with_cwfa(tmp_path):
    """Its shifts are the same in both passes: with a tiny rho the run is that of CWFA alone."""
    cwfa = dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0)
    alone = record(tmp_path / "alone", cwfa)
    both = record(tmp_path / "both", cwfa, TINY)
    assert all(same(a, b) for a, b in zip(both.states, alone.states))


def test_a_parameter_that_is_used_from_elsewhere_is_refused(tmp_path):
    class Bypass(Hook):
        priority = "HIGH"

        def before_train(self, runner):
            bias = runner.model.decode_head.conv_seg.bias
            runner.model.decode_head.conv_seg.register_forward_hook(
                lambda module, arguments, output: output + bias.sum()
            )

    wrapper = dict(type="OptimWrapper", optimizer=SGD, accumulative_counts=2)
    for begin in (0, 1):  # without gradients, and with such that accumulate
        with pytest.raises(InputError, match=r"uses its parameter decode_head\.conv_seg\.bias"):
            record(tmp_path, Bypass(), sharp(begin=begin, **SAM), optim_wrapper=wrapper)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(rho=-0.1), "rho is -0.1; it must be a finite number of 0 or more"),
        (dict(rho=float("inf")), "rho is inf"),
        (dict(rho="0.1"), "rho is '0.1'"),
        (dict(rho=0.1, adaptive=True, eta=-1), "eta is -1"),
        (dict(rho=0.1, eta=0.01), "only ASAM has an eta: set adaptive=True"),
        (dict(rho=0.1, interval=0), "interval is 0; it must be an integer of 1 or more"),
        (dict(rho=0.1, interval=1.5), "interval is 1.5"),
        (dict(rho=0.1, begin=2.0), "begin is 2.0"),
    ],
)
def test_bad_values_end_before_training(tmp_path, bad, message):
    recorder = Recorder()
    with pytest.raises(InputError, match=message):
        Runner(**runner_cfg(tmp_path, custom_hooks=[sharp(**bad), recorder])).train()
    assert recorder.states == []


@pytest.mark.gpu
@pytest.mark.parametrize("method", [SAM, ASAM], ids=["sam", "asam"])
def test_climbing_never_waits_for_the_gpu(tmp_path, method, monkeypatch):
    runner = Runner(**runner_cfg(tmp_path, model=still_cfg()))
    hook = SharpnessAwareHook(**method)
    hook.prepare(runner, runner.model)
    gradients = {p: torch.randn_like(p) for p in runner.model.parameters()}
    loss = torch.ones((), device="cuda")
    monkeypatch.setattr(hook._first_pass, "run", lambda *_: (loss, gradients))
    before = weights(runner)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        hook.perturb(runner, None)
        moved_by = [group.flat.clone() for group, _, _ in hook._groups]
        hook.observe(dict(loss=loss))
        hook._restore()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(step.isfinite().all() and (step != 0).any() for step in moved_by)
    assert same(weights(runner), before)
