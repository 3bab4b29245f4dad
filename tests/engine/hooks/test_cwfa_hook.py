"""CWFA in real training runs: off is stock, and it holds in every way of training."""

import copy

import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from mmseg.registry import MODELS
from small_models import build_backbone, one_stage, runner_cfg, same, segformer_cfg, train, weights

import mmseg_robust  # noqa: F401
from mmseg_robust.engine.hooks.cwfa_hook import CWFAHook
from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.attach import AttachedCWFA


def cwfa(**changes):
    return dict(dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0), **changes)


class Snapshots(Hook):
    """Keeps the weights after every iteration."""

    def __init__(self):
        self.states = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.states.append(weights(runner))


def history(work_dir, *hooks, **changes):
    snapshots = Snapshots()
    train(work_dir, custom_hooks=[*hooks, snapshots], **changes)
    return snapshots.states


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Weights of the stock run after each of 6 iterations."""
    return history(tmp_path_factory.mktemp("stock"))


@pytest.mark.parametrize(
    "off",
    [dict(epsilon=0), dict(prob=0), dict(begin=1.0), dict(epsilon=[0, 0, 0, 0])],
    ids=["epsilon-0", "prob-0", "never-begins", "every-epsilon-0"],
)
def test_off_is_the_stock_run_to_the_bit(tmp_path, stock, off):
    states = history(tmp_path, cwfa(**off))
    assert all(same(a, b) for a, b in zip(states, stock))


def test_every_door_takes_one_draw_for_all_stages(tmp_path):
    hook = CWFAHook(per_stage=False)
    hook.before_train(Runner(**runner_cfg(tmp_path)))
    assert hook.attached is not None and hook.attached.cwfa.per_stage is False
    assert MODELS.build(dict(type="CWFANeck", per_stage=False)).cwfa.per_stage is False
    with pytest.raises(InputError, match="per_stage is 2"):
        MODELS.build(dict(segformer_cfg()["backbone"], type="CWFABackbone", per_stage=2)
                     | dict(wraps="MixVisionTransformer"))  # fmt: skip
    with pytest.raises(InputError, match="per_stage is 2"):
        CWFAHook(per_stage=2)


def test_acts_from_begin_until_end(tmp_path, stock):
    states = history(tmp_path, cwfa(begin=2))
    assert [same(a, b) for a, b in zip(states, stock)] == [True, True] + [False] * 4
    half = history(tmp_path, cwfa(begin=0.5))
    assert [same(a, b) for a, b in zip(half, stock)] == [True] * 3 + [False] * 3
    # After `end` the run goes on as stock training does: the same as loading and training stock.
    ended = history(tmp_path, cwfa(begin=2, end=4))
    assert same(ended[3], states[3])
    assert not same(ended[4], states[4])


def test_stages_select(tmp_path, stock):
    only_last = history(tmp_path, cwfa(stages=[3], epsilon=2.0))
    per_stage = history(tmp_path, cwfa(epsilon=[0, 0, 0, 2.0], prob=1.0))
    assert not same(only_last[0], stock[0])
    assert not same(per_stage[0], only_last[0])


def test_named_modules_are_augmented_as_the_known_stages_are(tmp_path):
    paths = [f"backbone.layers.{i}.2" for i in range(4)]
    named = history(tmp_path / "named", cwfa(modules=paths), iters=2)
    known = history(tmp_path / "known", cwfa(), iters=2)
    assert same(named[1], known[1])


def test_evaluation_and_the_checkpoint_are_stock(tmp_path):
    runner = train(tmp_path, custom_hooks=[cwfa()])
    saved = torch.load(tmp_path / "iter_6.pth")["state_dict"]
    plain = MODELS.build(segformer_cfg())
    plain.load_state_dict(saved, strict=True)
    runner.model.load_state_dict(plain.state_dict(), strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(runner.model.eval()(image), plain.eval()(image))
    assert not any(m._forward_hooks for m in runner.model.modules()), "hooks must be gone"


def test_in_evaluation_during_training_the_network_is_stock():
    model = MODELS.build(segformer_cfg()).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model(image)
        attached = AttachedCWFA(model, 3.0, 1.0)
        attached.cwfa.advance(0, 0, True, "cpu")
        assert torch.equal(model(image), expected)
        model.train()
        torch.manual_seed(0)
        augmented = model(image)
        attached.detach()
        torch.manual_seed(0)
        assert not torch.equal(model(image), augmented)


def test_frozen_stages_are_augmented_too():
    """frozen_stages puts stages into evaluation mode while the network trains."""
    backbone = build_backbone("resnet", frozen_stages=4)
    assert not backbone.layer1.training
    attached = AttachedCWFA(backbone, 3.0, 1.0)
    attached.cwfa.advance(0, 0, True, "cpu")
    augmented = backbone(torch.ones(1, 3, 64, 64))[0]
    attached.detach()
    shift = (augmented - backbone(torch.ones(1, 3, 64, 64))[0]).mean((2, 3))
    torch.testing.assert_close(shift.norm(dim=1), torch.tensor([3.0]))


@pytest.mark.parametrize("name", ["mit", "swin", "twins-svt", "resnet"])
def test_gradient_checkpointing_repeats_the_draws(name):
    """Same loss and gradients with and without the re-entrant with_cp of the stock code."""

    def gradients(with_cp):
        changes = dict(drop_path_rate=0.0) if name in ("mit", "swin", "twins-svt") else {}
        if name == "mit":
            changes["drop_rate"] = 0.0
        backbone = build_backbone(name, **changes)
        for module in backbone.modules():
            if hasattr(module, "with_cp"):
                module.with_cp = with_cp
        attached = AttachedCWFA(backbone, 3.0, 0.5)
        attached.cwfa.advance(0, 0, True, "cpu")
        image = torch.randn(
            8, 3, 64, 64, generator=torch.Generator().manual_seed(1), requires_grad=True
        )
        sum(out.square().mean() for out in backbone(image)).backward()
        return {n: p.grad for n, p in backbone.named_parameters() if p.grad is not None}

    plain, checkpointed = gradients(False), gradients(True)
    assert plain.keys() == checkpointed.keys()
    for key in plain:
        torch.testing.assert_close(plain[key], checkpointed[key], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_type_of_the_features(dtype):
    backbone = build_backbone("resnet")
    attached = AttachedCWFA(backbone, 3.0, 1.0)
    attached.cwfa.advance(0, 0, True, "cpu")
    seen = []
    for out in attached.outputs:
        out.module.register_forward_hook(lambda m, a, output: seen.append(output))
    with torch.autocast("cpu", dtype):
        backbone(torch.randn(2, 3, 64, 64))
    assert {x.dtype for x in seen} == {dtype}
    assert all(x.isfinite().all() for x in seen)


def by_hook(model=None, **values):
    """A run's settings with CWFA as a hook."""
    return dict(model=model or segformer_cfg(), custom_hooks=[cwfa(**values)])


def by_wrapper(model=None, **values):
    """The same with CWFA as a backbone wrapper."""
    model = model or segformer_cfg()
    wraps = model["backbone"]["type"]
    values = dict(dict(epsilon=3.0, prob=0.5, begin=0), **values)
    model["backbone"] = dict(model["backbone"], type="CWFABackbone", wraps=wraps, **values)
    return dict(model=model, custom_hooks=[])


def test_gradient_accumulation_is_the_same_by_hook_and_by_wrapper(tmp_path):
    wrapper = dict(
        type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3), accumulative_counts=3
    )
    ends = [
        weights(train(tmp_path / way.__name__, optim_wrapper=wrapper, **way()))
        for way in (by_hook, by_wrapper)
    ]
    assert same(*ends)


def test_gradient_accumulation_draws_for_each_micro_batch(tmp_path):
    seen = []

    class Watch(Hook):
        priority = "LOWEST"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            hook = next(h for h in runner.hooks if isinstance(h, CWFAHook))
            seen.append(hook.attached.cwfa._key)

    wrapper = dict(
        type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3), accumulative_counts=3
    )
    train(tmp_path, custom_hooks=[cwfa(), Watch()], optim_wrapper=wrapper)
    assert len(set(seen)) == 6


def test_ema_copies_a_network_without_hooks(tmp_path):
    runner = train(tmp_path, custom_hooks=[dict(type="EMAHook"), cwfa()])
    ema = next(h for h in runner.hooks if isinstance(h, EMAHook)).ema_model
    assert not any(m._forward_hooks for m in ema.modules())
    assert torch.load(tmp_path / "iter_6.pth")["ema_state_dict"].keys() >= {"steps"}


def test_deep_copy_of_an_attached_network_is_independent():
    model = MODELS.build(segformer_cfg()).train()
    attached = AttachedCWFA(model, 3.0, 1.0)
    attached.cwfa.advance(0, 0, True, "cpu")
    twin = copy.deepcopy(model).eval()
    hook = next(iter(twin.backbone.layers[0][2]._forward_hooks.values()))
    assert hook.owner is twin.backbone
    assert hook.cwfa is not attached.cwfa


@pytest.mark.parametrize("way", [by_hook, by_wrapper])
def test_a_resumed_run_draws_what_an_uninterrupted_one_would(tmp_path, way):
    # SGD without dropout, so that CWFA's draws are the only randomness.
    model = segformer_cfg(drop_rate=0.0, drop_path_rate=0.0)
    model["decode_head"]["dropout_ratio"] = 0.0
    every_three = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3))
    common = dict(way(model), default_hooks=every_three)
    whole = train(tmp_path / "whole", **copy.deepcopy(common))
    resumed = train(
        tmp_path / "resumed",
        load_from=str(tmp_path / "whole" / "iter_3.pth"),
        resume=True,
        **common,
    )
    assert same(weights(whole), weights(resumed))


@pytest.mark.long
def test_compiled_training_is_right_and_compiles_a_bounded_number_of_times():
    """The iteration changes every pass; a Python counter would compile again until the limit."""
    import torch._dynamo.testing

    model = build_backbone(  # of two stages, a layer each, because tracing is slow
        "mit", drop_rate=0.0, drop_path_rate=0.0, num_stages=2, num_layers=[1, 1],
        num_heads=[1, 2], patch_sizes=[7, 3], strides=[4, 2], sr_ratios=[8, 4], out_indices=(0, 1),
    )  # fmt: skip
    attached = AttachedCWFA(model, 3.0, 0.5)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=counter)
    image = torch.randn(4, 3, 64, 64)
    frames = []
    for iteration in range(12):
        attached.cwfa.advance(iteration, 0, iteration >= 4, "cpu", measure=iteration == 0)
        expected = model(image)
        for got, want in zip(compiled(image), expected):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
        frames.append(counter.frame_count)
    assert frames[-1] == frames[0], "neither the iteration nor the switch compiles again"
    torch._dynamo.reset()


@pytest.mark.long
@pytest.mark.parametrize("way", [by_hook, by_wrapper])
def test_compiled_runner(tmp_path, way):
    """MMEngine's own `compile` setting compiles the whole train_step."""
    sgd = dict(
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01)), iters=2
    )
    settings = way(one_stage(segformer_cfg()), begin=1)
    hooks = settings.pop("custom_hooks")
    compile_cfg = dict(cfg=dict(compile=dict(backend="eager")))
    compiled = history(tmp_path / "a", *hooks, **compile_cfg, **settings, **sgd)
    eager = history(tmp_path / "b", cwfa(begin=1), model=one_stage(segformer_cfg()), **sgd)
    stock = history(tmp_path / "c", model=one_stage(segformer_cfg()), **sgd)
    assert not same(eager[-1], stock[-1])
    for got, want in zip(compiled, eager):
        for key, value in got.items():
            torch.testing.assert_close(value, want[key], rtol=1e-4, atol=1e-5)


def test_logs_the_norms_beside_epsilon(tmp_path):
    runner = train(tmp_path, custom_hooks=[cwfa(epsilon=[1, 2, 3, 4], begin=3)])
    log = (tmp_path / runner.timestamp / f"{runner.timestamp}.log").read_text()
    lines = [line for line in log.splitlines() if "times the norm" in line]
    assert len(lines) == 4
    assert "backbone.layers.2.2: norm" in lines[2]
    assert "epsilon 3" in lines[2]


def test_global_random_state_is_that_of_the_stock_run(tmp_path):
    """Even with epsilon, the stock draws (dropout, data order) are those of the stock run."""
    train(tmp_path / "stock")
    expected = torch.rand(1), np.random.rand()
    train(tmp_path / "cwfa", custom_hooks=[cwfa()])
    assert (torch.rand(1), np.random.rand()) == expected


def test_begin_after_the_end_of_the_run_warns_in_the_log(tmp_path):
    runner = train(tmp_path, custom_hooks=[cwfa(begin=16000)])
    log = (tmp_path / runner.timestamp / f"{runner.timestamp}.log").read_text()
    assert "WARNING - CWFA will never act: it begins at iteration 16000, but the run ends" in log


def test_a_named_module_that_is_not_called_ends_the_run(tmp_path):
    with pytest.raises(InputError, match=r"module 'backbone.layers.0' was not called"):
        train(tmp_path, custom_hooks=[cwfa(modules=["backbone.layers.0"])])


def test_a_training_that_failed_leaves_nothing_to_the_next(tmp_path):
    class Fail(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            raise RuntimeError("stop")

    hook = CWFAHook(epsilon=3.0, begin=0)
    runner = Runner(**runner_cfg(tmp_path, custom_hooks=[hook, Fail()]))
    with pytest.raises(RuntimeError, match="stop"):
        runner.train()
    hook.before_train(runner)
    assert [len(out.module._forward_hooks) for out in hook.attached.outputs] == [1] * 4


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(epsilon=-1), "epsilon is -1"),
        (dict(epsilon="big"), "epsilon is 'big'"),
        (dict(prob=1.5), "prob is 1.5"),
        (dict(begin=-3), "begin is -3"),
        (dict(begin=10, end=5), "must come after begin"),
        (dict(stages=[7]), "Stage index 7 is out of range"),
        (dict(epsilon=[1, 2]), "2 values"),
        (dict(modules=["backbone.nowhere"]), "no module 'backbone.nowhere'"),
    ],
)
def test_bad_values_end_before_training(tmp_path, bad, message):
    snapshots = Snapshots()
    with pytest.raises(InputError, match=message):
        Runner(**runner_cfg(tmp_path, custom_hooks=[cwfa(**bad), snapshots])).train()
    assert snapshots.states == []


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_amp_on_a_gpu(tmp_path, dtype):
    wrapper = dict(type="AmpOptimWrapper", dtype=dtype, optimizer=dict(type="AdamW", lr=1e-3))
    runner = train(tmp_path, custom_hooks=[cwfa(epsilon=9.0)], optim_wrapper=wrapper)
    assert all(v.isfinite().all() for v in weights(runner).values())
