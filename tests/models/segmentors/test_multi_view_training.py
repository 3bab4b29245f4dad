"""Multi-view training in real runs: off is stock, and it holds in every way of training."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import numpy as np
import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner
from multi_view_runs import (
    EVERYTHING,
    FMA,
    TASK,
    Record,
    batch,
    build,
    gradients,
    losses_of,
    multi_view,
    resnet_cfg,
    still_cfg,
    train_small,
)
from small_models import same, weights
from small_runs import fork_ranks

from mmseg_robust.models.auxiliary_norm import is_auxiliary

SGD = dict(type="SGD", lr=0.05)
CWFA = dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0)
NORMED = resnet_cfg(dict(still_cfg()["decode_head"], in_channels=[8, 16, 32, 64]))
"""A network with batch norms in its encoder and in a head that reads all stages."""


def record(work_dir: Path, *hooks: Any, **changes: Any) -> Record:
    recorder = Record()
    train_small(work_dir, custom_hooks=[*hooks, recorder], **changes)
    return recorder


def test_off_is_the_stock_run_to_the_bit_for_10_iterations(tmp_path: Path) -> None:
    """With dropout, so that the global random state would tell of any draw."""
    cfg = still_cfg()
    cfg["decode_head"]["dropout_ratio"] = 0.1
    off = dict(EVERYTHING, terms=[dict(FMA, weight=0), dict(TASK, weight=0.0)])
    runs = [
        record(tmp_path / str(number), iters=10, model=model)
        for number, model in enumerate((cfg, multi_view(cfg), multi_view(cfg, **off)))
    ]
    for run in runs[1:]:
        assert all(same(*states) for states in zip(run.states, runs[0].states))
        assert run.losses == runs[0].losses


def test_views_leave_the_global_random_state_alone(tmp_path: Path) -> None:
    record(tmp_path / "stock", model=still_cfg(), iters=2)
    expected = torch.rand(1), np.random.rand()
    record(tmp_path / "views", iters=2)
    assert (torch.rand(1), np.random.rand()) == expected


class Keep(Record):
    """Keeps what a plain loop needs to repeat a run, too."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        self.model = copy.deepcopy(runner.model)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.batches.append(copy.deepcopy(data_batch))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_equals_a_plain_loop(tmp_path: Path, accumulate: int) -> None:
    """Each micro-batch draws for itself, as the plain loop does, which counts its calls."""
    wrapper = dict(type="OptimWrapper", optimizer=SGD, accumulative_counts=accumulate)
    run = Keep()
    train_small(tmp_path, optim_wrapper=wrapper, custom_hooks=[run])
    optimizer = torch.optim.SGD(run.model.parameters(), lr=0.05)
    run.model.train()
    for iteration, data in enumerate(run.batches):
        (losses_of(run.model, data)[0] / accumulate).backward()
        if (iteration + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
    assert not same(run.states[0], run.states[-1])
    assert same(run.states[-1], run.model.state_dict())


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    every_two = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2))
    whole = train_small(tmp_path / "whole", default_hooks=every_two)
    start = str(tmp_path / "whole" / "iter_2.pth")
    resumed = train_small(
        tmp_path / "resumed", default_hooks=every_two, load_from=start, resume=True
    )
    assert same(weights(whole), weights(resumed))
    assert not same(weights(whole), torch.load(start)["state_dict"])


def test_ema_averages_all_weights_and_its_copy_is_independent(tmp_path: Path) -> None:
    ema = dict(type="EMAHook", momentum=0.5)
    run = Keep()
    runner = train_small(tmp_path, custom_hooks=[ema, run])
    hook = next(h for h in runner.hooks if isinstance(h, EMAHook))
    average = {name: p.clone() for name, p in run.model.named_parameters()}
    for step, state in enumerate(run.states):
        for name, value in average.items():
            average[name] = state[name].clone() if step == 0 else (value + state[name]) / 2
    kept = hook.ema_model.module
    for name, parameter in kept.named_parameters():
        torch.testing.assert_close(parameter, average[name])
    assert any(is_auxiliary(name) for name in average)
    # A copy of a model in training tells its own views apart, not those of the other.
    twin = copy.deepcopy(runner.model)
    loss, other = losses_of(runner.model.train(), batch()), losses_of(twin.train(), batch())
    assert torch.equal(loss[0], other[0])
    norm = twin.decode_head.fusion_conv.bn.__dict__["forward"]
    assert norm.norm is twin.decode_head.fusion_conv.bn
    assert norm.norms is twin.multi_view.head_norms


@pytest.mark.parametrize("cfg", [still_cfg(), NORMED], ids=["mit", "resnet"])
def test_gradient_checkpointing_gives_the_same_gradients(cfg: dict[str, Any]) -> None:
    """The stock code's is re-entrant: it runs a block again when the heads are through."""
    found = []
    for with_cp in (False, True):
        model = build(multi_view(cfg, **EVERYTHING)).double()
        for module in model.modules():
            if hasattr(module, "with_cp"):
                module.with_cp = with_cp
        found.append({})
        loss, _ = losses_of(model, batch())
        loss.backward()
        found[-1] = {name: p.grad for name, p in model.named_parameters()}
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, msg=name)


class Tiny(torch.nn.Module):
    """One stage, a convolution and a norm, which is little to compile."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 4), torch.nn.BatchNorm2d(4))

    def forward(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        return [self.stage(inputs)]


def tiny_cfg() -> dict[str, Any]:
    head = dict(
        type="mmseg.FCNHead", in_channels=4, in_index=0, channels=4, num_convs=0, num_classes=4,
        dropout_ratio=0.0, concat_input=False, align_corners=False,
        loss_decode=dict(type="mmseg.CrossEntropyLoss"),
    )  # fmt: skip
    terms = [dict(FMA, modules=["backbone.stage"]), *EVERYTHING["terms"][1:]]
    cfg = dict(still_cfg(), backbone=dict(type=Tiny), decode_head=head)
    return multi_view(cfg, **dict(EVERYTHING, terms=terms))


def test_runs_with_gradient_checkpointing_end_alike(tmp_path: Path) -> None:
    checkpointed = copy.deepcopy(multi_view(NORMED, **EVERYTHING))
    checkpointed["backbone"]["with_cp"] = True
    runs = [
        record(tmp_path / str(number), model=model, iters=2)
        for number, model in enumerate((multi_view(NORMED, **EVERYTHING), checkpointed))
    ]
    for name, value in runs[0].states[-1].items():
        if "running" not in name and "tracked" not in name:  # stock code updates them twice
            torch.testing.assert_close(runs[1].states[-1][name], value, rtol=1e-2, atol=1e-3)


@pytest.mark.long
def test_compiled_training_is_the_same_and_compiles_once(tmp_path: Path) -> None:
    import torch._dynamo.testing

    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    frames = []

    class Compile(Record):
        def before_train(self, runner: Runner) -> None:
            runner.model.loss = torch.compile(runner.model.loss, backend=counter)

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
            frames.append(counter.frame_count)

    torch._dynamo.reset()
    compiled = Compile()
    train_small(tmp_path / "a", model=tiny_cfg(), custom_hooks=[compiled])
    torch._dynamo.reset()
    eager = record(tmp_path / "b", model=tiny_cfg())
    assert frames[0] == frames[-1] > 0
    for name, value in eager.states[-1].items():
        torch.testing.assert_close(compiled.states[-1][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_mmengines_setting_that_compiles_the_whole_step(tmp_path: Path) -> None:
    cfg = dict(tiny_cfg(), terms=[TASK])
    setting = dict(cfg=dict(compile=dict(backend="eager")))
    compiled = record(tmp_path / "a", iters=2, model=cfg, **setting)
    eager = record(tmp_path / "b", iters=2, model=cfg)
    for name, value in eager.states[-1].items():
        torch.testing.assert_close(compiled.states[-1][name], value, rtol=1e-4, atol=1e-5)


def train_rank(folder: Path) -> None:
    """Be one rank of a distributed run and write what happened."""
    from mmengine.dist import get_rank

    drawn = []

    class Watch(Record):
        def before_train(self, runner: Runner) -> None:
            assert is_model_wrapper(runner.model)
            drawing = runner.model.module.multi_view.views
            drawing.augmentations["a"] = _Seeds(drawing.augmentations["a"], drawn)

    run = Watch()
    train_small(
        folder, custom_hooks=[run], launcher="pytorch",
        env_cfg=dict(dist_cfg=dict(backend="gloo")),
    )  # fmt: skip
    torch.save((run.states, drawn), folder / f"rank_{get_rank()}.pth")
    torch.distributed.destroy_process_group()


class _Seeds:
    """Keeps the seeds that an augmentation is called with."""

    resembles = ()

    def __init__(self, inner: Any, drawn: list) -> None:
        self.inner, self.drawn = inner, drawn

    def __call__(self, images: torch.Tensor, seeds: list[int]) -> torch.Tensor:
        self.drawn.append(list(seeds))
        return self.inner(images, seeds)


def test_two_processes_draw_by_themselves_and_end_with_equal_weights(tmp_path: Path) -> None:
    ranks = fork_ranks(train_rank, tmp_path)
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    (states, seeds), (others, other_seeds) = (
        torch.load(tmp_path / f"rank_{rank}.pth") for rank in (0, 1)
    )
    trained = {key for key in states[-1] if "running" not in key}
    assert all(torch.equal(states[-1][key], others[-1][key]) for key in trained)
    assert not torch.equal(states[0]["module.decode_head.conv_seg.weight"],
                           states[-1]["module.decode_head.conv_seg.weight"])  # fmt: skip
    flat = [seed for step in (*seeds, *other_seeds) for seed in step]
    assert len(set(flat)) == len(flat) == 2 * 4 * 2


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """What AmpOptimWrapper, which needs a GPU, does in bfloat16."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast("cpu", torch.bfloat16):
            yield


def losses(run: Record) -> dict[str, float]:
    """Those of the first iteration, whose weights are equal whatever the precision."""
    return {name: value for name, value in run.losses[0].items() if "loss" in name}


def test_autocast(tmp_path: Path) -> None:
    """Views are drawn and terms computed in float32; the run is near the one in float32."""
    half = record(tmp_path / "a", optim_wrapper=dict(type="AutocastOptimWrapper", optimizer=SGD))
    full = record(tmp_path / "b")
    assert half.losses[0] != full.losses[0]
    assert losses(half) == pytest.approx(losses(full), rel=0.05, abs=1e-3)
    assert all(value.isfinite().all() for value in half.states[-1].values())


def test_composes_with_cwfa(tmp_path: Path) -> None:
    both = record(tmp_path / "both", CWFA)
    alone = record(tmp_path / "alone")
    assert not same(both.states[-1], alone.states[-1])
    off = record(tmp_path / "off", dict(CWFA, epsilon=0.0))
    assert same(off.states[-1], alone.states[-1])
    wrapped = dict(still_cfg(**EVERYTHING))
    wrapped["backbone"] = dict(
        wrapped["backbone"], type="CWFABackbone", wraps="MixVisionTransformer", epsilon=3.0,
        prob=0.5, begin=0,
    )  # fmt: skip
    by_wrapper = record(tmp_path / "wrapper", model=wrapped)
    assert same(by_wrapper.states[-1], both.states[-1]), "stages are read before CWFA either way"


@pytest.mark.parametrize(
    ("hook", "strength"),
    [
        (dict(type="DAMPHook"), "sigma"),
        (dict(type="SharpnessAwareHook"), "rho"),
        (dict(type="SharpnessAwareHook", adaptive=True), "rho"),
        (dict(type="DynamicSparseTrainingHook", method="rigl", interval=2), "sparsity"),
    ],
)
def test_composes_with_the_weight_methods(
    tmp_path: Path, hook: dict[str, Any], strength: str
) -> None:
    alone = record(tmp_path / "alone")
    off = record(tmp_path / "off", dict(hook, **{strength: 0.0}))
    assert same(off.states[-1], alone.states[-1])
    on = record(tmp_path / "on", dict(hook, **{strength: 0.4}))
    assert not same(on.states[-1], alone.states[-1])
    assert all(value.isfinite().all() for value in on.states[-1].values())


class FirstStep(Hook):
    """Keeps weights and batch of the first step."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter == 0:
            self.weights, self.batch = weights(runner), copy.deepcopy(data_batch)


def test_sam_draws_the_same_views_in_both_passes(tmp_path: Path) -> None:
    """A step of SAM is the one that is written out here, views of the iteration in each pass."""
    first, recorder, rho = FirstStep(), Record(), 0.3
    sam = dict(type="SharpnessAwareHook", rho=rho)
    train_small(tmp_path, iters=1, custom_hooks=[sam, first, recorder])
    model = build(still_cfg(**EVERYTHING))
    model.load_state_dict(first.weights)
    named = dict(model.named_parameters())

    def gradient() -> dict[str, torch.Tensor]:
        model.multi_view.views._calls = 0  # outside a run passes count as iterations
        return gradients(model, losses_of(model, copy.deepcopy(first.batch))[0])

    up = gradient()
    norm = torch.stack([g.square().sum() for g in up.values()]).sum().sqrt()
    with torch.no_grad():
        for name, g in up.items():
            named[name] += rho * g / norm
    step = gradient()
    learning_rate = 0.05
    for name, value in first.weights.items():
        if name in step:
            expected = value - learning_rate * step[name]
            torch.testing.assert_close(recorder.states[0][name], expected, rtol=0, atol=1e-6)
    moved = [(recorder.states[0][n] - first.weights[n]).abs().max() for n in step]
    assert max(moved) > 1e-3


def test_the_log_says_at_the_start_what_test_corruptions_are_trained_on(tmp_path: Path) -> None:
    runner = train_small(tmp_path, iters=2)
    log = (tmp_path / runner.timestamp / f"{runner.timestamp}.log").read_text()
    (noise,) = (line for line in log.splitlines() if "view 'a' (GaussianNoise)" in line)
    assert "gaussian_noise, impulse_noise, shot_noise, speckle_noise; protocols" in noise
    assert noise.endswith("without any of them: cbar")
    assert "WARNING - Test corruptions that resemble" in log


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_amp_on_a_gpu(tmp_path: Path, dtype: str) -> None:
    wrapper = dict(type="AmpOptimWrapper", dtype=dtype, optimizer=SGD)
    run = record(tmp_path / "amp", optim_wrapper=wrapper)
    assert all(value.isfinite().all() for value in run.states[-1].values())
    full = record(tmp_path / "full")
    assert losses(run) == pytest.approx(losses(full), rel=0.05, abs=1e-3)


@pytest.mark.gpu
def test_the_host_does_not_wait_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """But in the stock code, whose accuracy indexes by a mask."""
    from mmseg.models.decode_heads import decode_head

    monkeypatch.setattr(decode_head, "accuracy", lambda *args, **kwargs: 0.0)
    model = build(multi_view(NORMED, **EVERYTHING)).cuda()
    data = model.data_preprocessor(batch(), True)
    for mode in ("default", "error"):  # the first step makes what is kept on the device
        torch.cuda.set_sync_debug_mode(mode)
        try:
            losses = model(**data, mode="loss")
            sum(value for name, value in losses.items() if "loss" in name).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
