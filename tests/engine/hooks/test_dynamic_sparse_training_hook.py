"""Sparse training in real runs: off is stock, equal to a plain loop, and zeros in every way."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dist import get_rank
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import MODELS
from small_models import one_stage, runner_cfg, same, segformer_cfg, train, weights
from small_runs import fork_ranks
from sparse_reference import (
    INCLUDE,
    LAYERS,
    PlainLoop,
    Recorder,
    calm_segformer_cfg,
    settings,
)

import mmseg_robust  # noqa: F401
from mmseg_robust.engine.hooks.dynamic_sparse_training_hook import DynamicSparseTrainingHook
from mmseg_robust.engine.weights.selection import select_weights
from mmseg_robust.engine.weights.sparsity.masks import Masks
from mmseg_robust.engine.weights.sparsity.run import SparseRun
from mmseg_robust.engine.weights.sparsity.schedule import UpdateSchedule
from mmseg_robust.errors import InputError

METHODS = ("static", "set", "rigl", "mest", "granet")
SGD = dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=1e-3)
ADAMW = dict(type="AdamW", lr=1e-3, weight_decay=0.05)


def sparse(**changes):
    values = dict(type="DynamicSparseTrainingHook", sparsity=0.5, interval=2, init="random")
    return dict(values, **changes)


def hook_of(runner):
    return next(h for h in runner.hooks if isinstance(h, DynamicSparseTrainingHook))


class Zeros(Hook):
    """Checks after every iteration that inactive weights, state and averages are exactly 0."""

    priority = "LOWEST"

    def __init__(self):
        self.active = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        masks = hook_of(runner).run.masks
        averaged = [h.ema_model.module for h in runner.hooks if isinstance(h, EMAHook)]
        copies = [dict(model.named_parameters()) for model in averaged]
        for name, weight, mask in zip(masks.names, masks.parameters, masks.values):
            state = runner.optim_wrapper.optimizer.state[weight].values()
            state = [v for v in state if isinstance(v, torch.Tensor) and v.shape == weight.shape]
            for value in [weight, *state, *(copy[name] for copy in copies)]:
                assert not value[mask == 0].count_nonzero(), name
        self.active.append(masks.active())


def test_sparsity_0_is_the_stock_run_to_the_bit_over_20_iterations(tmp_path):
    stock, off = Recorder(), Recorder()
    train(tmp_path / "stock", iters=20, custom_hooks=[stock])
    train(tmp_path / "off", iters=20, custom_hooks=[off, sparse(sparsity=0)])
    assert len(off.states) == 20
    assert all(same(a, b) for a, b in zip(stock.states, off.states))
    keys = torch.load(tmp_path / "stock" / "iter_20.pth").keys()
    assert torch.load(tmp_path / "off" / "iter_20.pth").keys() == keys


WAYS = [
    *((method, SGD, 1, None, set()) for method in METHODS),
    ("rigl", ADAMW, 1, None, set()),
    ("mest", ADAMW, 1, None, set()),
    ("rigl", SGD, 2, None, set()),
    ("granet", ADAMW, 3, 0.5, set()),
    ("rigl", ADAMW, 1, 0.5, {1, 4}),
    ("set", dict(ADAMW, fused=True), 1, None, {1, 4}),
]


class Scaled(OptimWrapper):
    """What ``AmpOptimWrapper`` does with a loss scaler, on the CPU."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward()
        self._inner_count += 1

    def step(self, **kwargs):
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()


class Overflow(Hook):
    """Gives one weight an infinite gradient in some iterations."""

    def __init__(self, iterations):
        self.iterations = iterations

    def before_train(self, runner):
        weight = runner.model.backbone.layers[0][0].projection.weight
        weight.register_hook(
            lambda grad: grad * float("inf") if runner.iter in self.iterations else None
        )


@pytest.mark.parametrize(
    ("method", "optimizer", "accumulation", "clip", "skipped"),
    WAYS,
    ids=[
        f"{m}-{o['type']}{'-fused' * ('fused' in o)}-x{a}{'-clip' * bool(c)}{'-skips' * bool(s)}"
        for m, o, a, c, s in WAYS
    ],
)
def test_equals_a_plain_loop_to_the_bit(tmp_path, method, optimizer, accumulation, clip, skipped):
    recorder, zeros = Recorder(), Zeros()
    numbers = dict(sparsity=0.4, interval=2, drop_fraction=0.3, end=6)
    wrapper = dict(
        type=Scaled if skipped else "OptimWrapper",
        optimizer=optimizer,
        accumulative_counts=accumulation,
        clip_grad=None if clip is None else dict(max_norm=clip),
    )
    options = dict(method=method, distribution="uniform", init="magnitude", include=INCLUDE)
    if method == "granet":
        options["initial_sparsity"] = 0.2
    runner = train(
        tmp_path,
        iters=(7 + len(skipped)) * accumulation,
        model=calm_segformer_cfg(),
        optim_wrapper=wrapper,
        custom_hooks=[recorder, zeros, Overflow(skipped), sparse(**options, **numbers)],
    )
    loop = PlainLoop(
        recorder, method, optimizer, **numbers,
        accumulation=accumulation, clip=clip, skipped=skipped,
    )  # fmt: skip
    for iteration, (got, want) in enumerate(zip(recorder.states, loop.states)):
        different = [key for key in want if not torch.equal(got[key], want[key])]
        assert not different, f"iteration {iteration}: {different}"
    for iteration in skipped:
        before, after = recorder.states[iteration - 1], recorder.states[iteration]
        assert all(torch.equal(before[key], after[key]) for key in LAYERS)
    assert loop.updates == 7
    stored = torch.load(tmp_path / f"iter_{runner.iter}.pth")["sparse_training"]
    assert stored["updates"] == 7
    for mask, active in zip(stored["masks"].values(), loop.active):
        assert set(mask.flatten().nonzero().flatten().tolist()) == active
    if method != "static":
        assert len({tuple(active) for active in zeros.active}) == (1 if method in "set rigl" else 4)


def test_masks_change_at_updates_of_the_optimizer_and_not_of_micro_batches(tmp_path):
    masks = []

    class Watch(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            masks.append(torch.cat(hook_of(runner).run.masks.flat()))

    wrapper = dict(type="OptimWrapper", optimizer=ADAMW, accumulative_counts=3)
    hooks = [Watch(), sparse(method="set", end=1.0)]
    train(tmp_path, iters=14, optim_wrapper=wrapper, custom_hooks=hooks)
    changed = [i for i in range(1, 14) if not torch.equal(masks[i], masks[i - 1])]
    # Updates end in iterations 2, 5, 8, 11 and, because it is the last, 13; every second changes.
    assert changed == [5, 11]


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, method):
    common = dict(
        iters=8,
        model=calm_segformer_cfg(),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3)),
    )
    hooks = [sparse(method=method, end=1.0), dict(type="EMAHook", momentum=0.1)]
    whole = train(tmp_path / "whole", custom_hooks=[*hooks, Recorder()], **common)
    zeros = Zeros()
    start = tmp_path / "whole" / "iter_3.pth"
    resumed = train(
        tmp_path / "resumed", load_from=str(start), resume=True,
        custom_hooks=[*hooks, zeros], **common,
    )  # fmt: skip
    assert len(zeros.active) == 5
    assert same(weights(whole), weights(resumed))
    ends = [torch.load(tmp_path / run / "iter_6.pth") for run in ("whole", "resumed")]
    for part in ("state_dict", "ema_state_dict"):
        assert same(*(end[part] for end in ends))
    one, other = (end["sparse_training"] for end in ends)
    assert same(one["masks"], other["masks"])
    assert one["updates"] == other["updates"] == 6
    changed = not same(torch.load(start)["sparse_training"]["masks"], one["masks"])
    assert changed == (method != "static")


def test_ema_is_the_masked_average_and_what_is_saved_and_evaluated_is_sparse(tmp_path):
    momentum = 0.2
    recorder, masks = Recorder(), []

    class Watch(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            masks.append(hook_of(runner).run.masks.stored())

    hooks = [recorder, Watch(), sparse(end=1.0), dict(type="EMAHook", momentum=momentum)]
    runner = train(tmp_path, iters=6, custom_hooks=[*hooks, Zeros()])
    expected = {name: recorder.states[0][name].clone() for name in masks[0]}
    for state, mask in list(zip(recorder.states, masks))[1:]:
        for name, value in expected.items():
            value.mul_(mask[name]).lerp_(state[name], momentum)
    checkpoint = torch.load(tmp_path / "iter_6.pth")
    for name, value in expected.items():
        torch.testing.assert_close(checkpoint["state_dict"][name], value, rtol=1e-6, atol=1e-7)
        assert not checkpoint["state_dict"][name][~masks[-1][name]].count_nonzero()
    ema = next(h for h in runner.hooks if isinstance(h, EMAHook))
    ema.before_val_epoch(runner)
    evaluated = weights(runner)
    assert all(torch.equal(evaluated[n], checkpoint["state_dict"][n]) for n in expected)


def test_the_checkpoint_loads_in_the_stock_model(tmp_path):
    runner = train(tmp_path, custom_hooks=[sparse()])
    saved = torch.load(tmp_path / "iter_6.pth")["state_dict"]
    plain = MODELS.build(segformer_cfg())
    plain.load_state_dict(saved, strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(runner.model.eval()(image), plain.eval()(image))


def test_training_leaves_nothing_behind(tmp_path):
    runner = train(tmp_path, custom_hooks=[sparse()])
    assert "step" not in vars(runner.optim_wrapper.optimizer) or not hasattr(
        runner.optim_wrapper.optimizer.step, "__wrapped__"
    )
    assert not any("sparse_mask" in vars(p) for p in runner.model.parameters())


def test_gradient_checkpointing(tmp_path):
    """Re-entrant, as the stock with_cp is; masks act after the backward pass."""
    states = []
    for with_cp in (False, True):
        cfg = calm_segformer_cfg()
        cfg["backbone"]["with_cp"] = with_cp
        hooks = [sparse(method="set"), Zeros()]
        run = train(tmp_path / str(with_cp), model=cfg, iters=4, custom_hooks=hooks,
                    optim_wrapper=dict(type="OptimWrapper", optimizer=SGD))  # fmt: skip
        states.append(weights(run))
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_compiled_runner(tmp_path):
    """MMEngine's `compile` compiles the whole train_step; the masks act outside."""
    model = one_stage(calm_segformer_cfg())
    states = []
    for cfg in ({}, dict(compile=dict(backend="eager"))):
        hooks = [sparse(method="set", interval=1), Zeros()]
        run = train(tmp_path / str(len(cfg)), iters=2, cfg=cfg, custom_hooks=hooks, model=model,
                    optim_wrapper=dict(type="OptimWrapper", optimizer=SGD))  # fmt: skip
        states.append(weights(run))
    torch._dynamo.reset()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-3, atol=1e-4)


def test_composes_with_cwfa(tmp_path):
    cwfa = dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0)
    zeros = Zeros()
    both = train(tmp_path / "both", custom_hooks=[cwfa, sparse(), zeros])
    alone = train(tmp_path / "alone", custom_hooks=[sparse()])
    assert not same(weights(both), weights(alone))
    assert len(zeros.active) == 6


def test_an_mmpretrain_classifier_from_custom_hooks_alone(tmp_path):
    pytest.importorskip("mmpretrain.models")
    from mmpretrain.structures import DataSample

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            generator = torch.Generator().manual_seed(index)
            image = torch.randint(0, 256, (3, 32, 32), generator=generator, dtype=torch.uint8)
            return dict(inputs=image, data_samples=DataSample().set_gt_label(index % 10))

    model = dict(
        type="mmpretrain.ImageClassifier",
        data_preprocessor=dict(
            type="mmpretrain.ClsDataPreprocessor", mean=[127.5] * 3, std=[64.0] * 3, num_classes=10
        ),
        backbone=dict(type="ResNet_CIFAR", depth=18, stem_channels=8, base_channels=8,
                      style="pytorch", num_stages=4, out_indices=(3,)),
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="LinearClsHead", num_classes=10, in_channels=64,
                  loss=dict(type="CrossEntropyLoss", loss_weight=1.0)),
    )  # fmt: skip
    zeros = Zeros()
    loader = dict(
        dataset=Images(), batch_size=8, num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=True),
        collate_fn=dict(type="default_collate"),
    )  # fmt: skip
    runner = train(
        tmp_path, model=model, train_dataloader=loader, default_scope="mmpretrain",
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(type="OptimWrapper", optimizer=SGD), custom_hooks=[sparse(), zeros],
    )  # fmt: skip
    assert len(zeros.active) == 8
    found = weights(runner)
    assert found["head.fc.weight"].count_nonzero() == found["head.fc.weight"].numel()
    assert 0.4 < (found["backbone.layer4.0.conv1.weight"] == 0).float().mean() < 1


def test_global_random_state_is_that_of_the_stock_run(tmp_path):
    train(tmp_path / "stock")
    expected = torch.rand(1), np.random.rand()
    for method in ("set", "rigl"):
        train(tmp_path / method, custom_hooks=[sparse(method=method)])
        assert (torch.rand(1), np.random.rand()) == expected


class FailOnce(Hook):
    """Lets one step of the optimizer, or one forward pass, raise."""

    def __init__(self, what):
        self.what = what

    def before_train(self, runner):
        target = runner.optim_wrapper.optimizer if self.what == "step" else runner.model.backbone
        name = self.what
        inner = getattr(target, name)

        def fail(*args, **kwargs):
            setattr(target, name, inner)
            raise RuntimeError("stop")

        setattr(target, name, fail)


@pytest.mark.parametrize("what", ["step", "forward"])
def test_a_step_that_raises_counts_for_nothing(tmp_path, what):
    hook = DynamicSparseTrainingHook(0.5, interval=2, init="random")
    runner = Runner(**runner_cfg(tmp_path, custom_hooks=[FailOnce(what), hook]))
    with pytest.raises(RuntimeError, match="stop"):
        runner.train()
    assert hook.run.stored().updates == 0
    masks = hook.run.masks
    assert not any(p[m == 0].count_nonzero() for p, m in zip(masks.parameters, masks.values))
    # A training that follows finds nothing of the one that failed.
    hook.before_train(runner)
    hook.after_train(runner)
    assert not any("sparse_mask" in vars(p) for p in runner.model.parameters())


def test_the_log_shows_densities_a_warning_and_scalars(tmp_path):
    logger = dict(
        checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=6),
        logger=dict(type="LoggerHook", interval=1),
    )
    runner = train(
        tmp_path, custom_hooks=[sparse(method="set", distribution="erk")], default_hooks=logger
    )
    log = (tmp_path / runner.timestamp / f"{runner.timestamp}.log").read_text()
    assert "Sparse training by set:\nlayer " in log
    assert "WARNING - Sparse training: the distribution leaves 21 of 33 layers dense" in log
    assert "all 33 layers" in log
    lines = Path(runner.work_dir, runner.timestamp, "vis_data", "scalars.json").read_text()
    scalars = [json.loads(line) for line in lines.splitlines()]
    assert all(line["density"] == pytest.approx(0.5, abs=1e-4) for line in scalars)
    # Changes follow updates 2 and 4; the fraction is 0.3 * (1 + cos(pi * 2 / 5)) / 2 at first.
    assert "turnover" not in scalars[0]
    assert 0 < scalars[1]["turnover"] < 0.197
    assert 0 < scalars[3]["turnover"] < scalars[1]["turnover"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(sparsity=1.0), "sparsity is 1.0"),
        (dict(method="prune"), "method is 'prune'"),
        (dict(include=["nowhere"]), "include='nowhere' matches no trainable weight"),
        (dict(sparsity=1e-7), "sparsity is 1e-07|so low that no weight would be 0"),
        (dict(sparsity=0.99999), "leaves no active weight in"),
        (dict(interval=100), "interval=100 is longer than the part of the run"),
        (dict(end=7), "end=7 lies after the last of the run's 6 optimizer updates"),
    ],
)
def test_bad_values_end_before_training(tmp_path, bad, message):
    recorder = Recorder()
    with pytest.raises(InputError, match=message):
        train(tmp_path, custom_hooks=[sparse(**bad), recorder])
    assert not getattr(recorder, "states", [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            dict(optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="Rprop", lr=0.1))),
            "cannot mask the state of the optimizer Rprop",
        ),
        (
            dict(custom_hooks=[sparse(), sparse(sparsity=0.3)]),
            "custom_hooks has DynamicSparseTrainingHook twice",
        ),
    ],
    ids=["optimizer", "twice"],
)
def test_runs_that_cannot_be_trained_so_end_before_training(tmp_path, changes, message):
    recorder = Recorder()
    changes = dict(dict(custom_hooks=[sparse()]), **changes)
    changes["custom_hooks"] = [*changes["custom_hooks"], recorder]
    with pytest.raises(InputError, match=message):
        train(tmp_path, **changes)
    assert not getattr(recorder, "states", [])


def test_several_optimizers_are_refused(tmp_path):
    hook = DynamicSparseTrainingHook(0.5)
    runner = Runner(**runner_cfg(tmp_path, custom_hooks=[hook]))
    one = OptimWrapper(torch.optim.SGD(runner.model.parameters(), lr=0.1))
    runner.optim_wrapper = OptimWrapperDict(one=one)
    with pytest.raises(InputError, match="OptimWrapperDict"):
        hook.before_train(runner)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Checkpoints of a sparse run and of a stock one."""
    folder = tmp_path_factory.mktemp("stored")
    train(folder / "sparse", iters=2, custom_hooks=[sparse(interval=1)])
    train(folder / "stock", iters=2)
    return folder


def other_head():
    model = segformer_cfg()
    model["decode_head"]["channels"] = 12
    return model


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("sparse", dict(sparsity=0.4), "sparsity=0.4 here, 0.5 in the checkpoint"),
        ("sparse", dict(method="set"), "method='set' here, 'rigl' in the checkpoint"),
        ("sparse", dict(sparsity=0), "sparsity=0 here, 0.5 in the checkpoint"),
        (
            "sparse",
            dict(model=other_head),
            "of another model: decode_head.convs.0.conv.weight has",
        ),
        ("stock", {}, "holds no masks: it is of a run without DynamicSparseTrainingHook"),
    ],
    ids=["sparsity", "method", "off", "model", "stock"],
)
def test_resuming_what_is_other_ends_before_training(tmp_path, stored, kind, changes, message):
    recorder = Recorder()
    changes = dict(dict(model=segformer_cfg), **changes)
    model = changes.pop("model")()
    with pytest.raises(InputError, match=message):
        train(
            tmp_path, iters=4, model=model, load_from=str(stored / kind / "iter_2.pth"),
            resume=True, custom_hooks=[sparse(interval=1, **changes), recorder],
        )  # fmt: skip
    assert not getattr(recorder, "states", [])


def test_the_weights_of_any_run_can_be_a_start(tmp_path, stored):
    zeros = Zeros()
    for kind, changes in (("sparse", dict(sparsity=0.4, method="set")), ("stock", {})):
        start = str(stored / kind / "iter_2.pth")
        hooks = [sparse(interval=1, **changes), zeros]
        train(tmp_path / kind, iters=2, load_from=start, custom_hooks=hooks)
    assert len(zeros.active) == 4
    # Resuming a stock run with the hook switched off is resuming it.
    start = str(stored / "stock" / "iter_2.pth")
    train(
        tmp_path / "off", iters=3, load_from=start, resume=True, custom_hooks=[sparse(sparsity=0)]
    )


def train_rank(folder):
    """One of two processes; each starts from other weights and draws."""
    torch.set_num_threads(1)
    hook, zeros = DynamicSparseTrainingHook(0.5, interval=1, init="random", end=1.0), Zeros()
    runner = train(
        folder, iters=4, launcher="pytorch", custom_hooks=[hook, zeros, Keep(folder)],
        env_cfg=dict(dist_cfg=dict(backend="gloo")), randomness=dict(seed=0, diff_rank_seed=True),
    )  # fmt: skip
    state = dict(weights=weights(runner), active=zeros.active)
    # Masks on which the ranks would not agree are those of the first.
    layers = select_weights(runner.model.module, ("linear",))
    masks = Masks(layers, runner.optim_wrapper.optimizer)
    masks.replace([torch.arange(p.numel()) % 2 == get_rank() for p in masks.parameters])
    state["replaced"] = masks.stored()
    torch.save(state, folder / f"rank_{get_rank()}.pth")


class Keep(Hook):
    """Keeps the masks of each rank after each iteration."""

    def __init__(self, folder):
        self.folder, self.masks = folder, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.masks.append(hook_of(runner).run.masks.stored())

    def after_train(self, runner):
        torch.save(self.masks, self.folder / f"masks_{get_rank()}.pth")


def test_two_processes_have_the_same_masks_and_weights(tmp_path):
    ranks = fork_ranks(train_rank, tmp_path)
    for rank in ranks:
        rank.join(120)
        assert rank.exitcode == 0
    one, other = (torch.load(tmp_path / f"rank_{rank}.pth") for rank in (0, 1))
    names = [name for name in one["weights"] if "running" not in name]
    assert all(torch.equal(one["weights"][name], other["weights"][name]) for name in names)
    assert same(one["replaced"], other["replaced"])
    assert all(mask.flatten()[0] for mask in one["replaced"].values())
    masks = [torch.load(tmp_path / f"masks_{rank}.pth") for rank in (0, 1)]
    assert all(same(a, b) for a, b in zip(*masks))
    assert not same(masks[0][0], masks[0][-1])
    assert one["active"] == other["active"] == [one["active"][0]] * 4


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("method", ["rigl", "mest", "granet"])
def test_amp_on_a_gpu(tmp_path, dtype, fused, method):
    """With float16 the first steps overflow and are skipped, with a fused optimizer too."""
    wrapper = dict(
        type="AmpOptimWrapper", dtype=dtype, optimizer=dict(ADAMW, fused=fused),
        loss_scale=dict(init_scale=2.0**40 if dtype == "float16" else 1.0),
    )  # fmt: skip
    recorder, zeros = Recorder(), Zeros()
    hooks = [sparse(method=method, interval=5), recorder, zeros]
    runner = train(tmp_path, iters=60, custom_hooks=hooks, optim_wrapper=wrapper)
    found = weights(runner)
    assert all(v.isfinite().all() for v in found.values())
    name = "decode_head.fusion_conv.conv.weight"
    states = [recorder.initial, *recorder.states]
    moved = sum(not torch.equal(a[name], b[name]) for a, b in zip(states[1:], states[2:]))
    updates = torch.load(tmp_path / "iter_60.pth")["sparse_training"]["updates"]
    assert updates in (moved, moved + 1), "the first iteration is not among those compared"
    assert (updates < 60) == (dtype == "float16")


@pytest.mark.gpu
@pytest.mark.parametrize("fused", [False, True])
def test_an_ordinary_step_does_not_wait_for_the_gpu(fused):
    model = MODELS.build(segformer_cfg()).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)
    run = SparseRun(settings(interval=100), model, optimizer, UpdateSchedule(100, 0.3, 100))
    found_inf = torch.zeros((), device="cuda") if fused else None
    for step in range(4):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        torch.cuda.set_sync_debug_mode("error" if step else "default")
        try:
            assert run.after_step(found_inf) is None
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["set", "granet"])
def test_masks_repeat_under_deterministic_algorithms_on_a_gpu(method):
    ends = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            torch.manual_seed(0)
            model = MODELS.build(segformer_cfg()).cuda()
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
            run = SparseRun(settings(method), model, optimizer, UpdateSchedule(1, 0.3, 5))
            for _ in range(5):
                for parameter in model.parameters():
                    parameter.grad = torch.randn_like(parameter)
                optimizer.step()
                assert run.after_step() is not None
            ends.append(run.masks.stored())
    finally:
        torch.use_deterministic_algorithms(False)
    assert same(*ends)
