"""Merged optimizer groups: fewer of them, the same settings for each parameter, the same steps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from small_models import same, segformer_cfg, train, weights
from small_runs import fork
from torch import nn

from mmseg_robust.engine import MergedOptimWrapperConstructor  # noqa: F401  (registers)

SEGFORMER = dict(
    custom_keys=dict(
        pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0), head=dict(lr_mult=10.0)
    )
)
ADAMW = dict(type="AdamW", lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01)
SGD = dict(type="SGD", lr=1e-2, momentum=0.9, weight_decay=5e-4)
SCHEDULE = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=3),
    dict(type="PolyLR", power=1.0, by_epoch=False, begin=3, end=8),
]


def wrapper_cfg(merged: bool, **changes: Any) -> dict[str, Any]:
    cfg = dict(type="OptimWrapper", optimizer=ADAMW, paramwise_cfg=SEGFORMER, **changes)
    return dict(cfg, constructor="MergedOptimWrapperConstructor") if merged else cfg


def settings(wrapper: OptimWrapper, model: nn.Module) -> dict[str, dict[str, Any]]:
    """What the optimizer does with each parameter, by the parameter's name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    listed = [
        (names[parameter], {key: value for key, value in group.items() if key != "params"})
        for group in wrapper.optimizer.param_groups
        for parameter in group["params"]
    ]
    assert len(listed) == len(dict(listed)), "a parameter stands in two groups"
    return dict(listed)


@pytest.fixture
def segformer() -> nn.Module:
    init_default_scope("mmseg")
    return MODELS.build(segformer_cfg())


def test_every_parameter_keeps_its_settings(segformer: nn.Module) -> None:
    stock = build_optim_wrapper(segformer, wrapper_cfg(False))
    merged = build_optim_wrapper(segformer, wrapper_cfg(True))
    assert len(stock.optimizer.param_groups) == len(list(segformer.parameters()))
    assert len(merged.optimizer.param_groups) == 3  # backbone, its norms, head
    assert settings(merged, segformer) == settings(stock, segformer)


def test_groups_that_differ_in_a_further_setting_stay_apart(segformer: nn.Module) -> None:
    keys = dict(norm1=dict(lr_mult=2.0, betas=(0.5, 0.9)), norm2=dict(lr_mult=2.0))
    cfg = dict(wrapper_cfg(True), paramwise_cfg=dict(custom_keys=keys))
    groups = build_optim_wrapper(segformer, cfg).optimizer.param_groups
    assert sorted((group["lr"], group["betas"]) for group in groups) == [
        (1e-3, (0.9, 0.999)), (2e-3, (0.5, 0.9)), (2e-3, (0.9, 0.999)),
    ]  # fmt: skip


def test_without_paramwise_settings_it_is_the_default_constructor(segformer: nn.Module) -> None:
    cfg = dict(wrapper_cfg(True), paramwise_cfg=None)
    (group,) = build_optim_wrapper(segformer, cfg).optimizer.param_groups
    assert len(group["params"]) == len(list(segformer.parameters()))


@pytest.mark.parametrize("optimizer", [ADAMW, SGD], ids=lambda optimizer: optimizer["type"])
def test_training_is_that_of_the_default_constructor(tmp_path: Path, optimizer: dict) -> None:
    """To the bit, with schedules, accumulation and hooks that act on weights."""
    hooks = [
        dict(type="DAMPHook", sigma=0.1),
        dict(type="DynamicSparseTrainingHook", sparsity=0.5, interval=2, init="random"),
    ]
    runs = [
        train(
            tmp_path / str(merged),
            iters=8,
            optim_wrapper=wrapper_cfg(merged, accumulative_counts=2) | dict(optimizer=optimizer),
            param_scheduler=SCHEDULE,
            custom_hooks=copy.deepcopy(hooks),
        )
        for merged in (False, True)
    ]
    stock, merged = runs
    assert same(weights(stock), weights(merged))
    assert settings(stock.optim_wrapper, stock.model) == settings(
        merged.optim_wrapper, merged.model
    )


def test_clipping_differs_by_rounding_alone(tmp_path: Path) -> None:
    """The norm of all gradients is a sum in the order of the groups."""
    runs = [
        train(
            tmp_path / str(merged),
            iters=2,
            optim_wrapper=wrapper_cfg(merged, clip_grad=dict(max_norm=0.1)) | dict(optimizer=SGD),
        )
        for merged in (False, True)
    ]
    stock, merged = map(weights, runs)
    assert stock.keys() == merged.keys()
    for name, weight in stock.items():
        torch.testing.assert_close(merged[name], weight, rtol=1e-5, atol=1e-6, msg=name)


def one_sharded_step() -> None:
    """A step of MMEngine's ZeroRedundancyOptimizer, which keeps groups of its own."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    init_default_scope("mmseg")
    model = MODELS.build(segformer_cfg())
    optimizer = dict(ADAMW, type="ZeroRedundancyOptimizer", optimizer_type="AdamW")
    wrapper = build_optim_wrapper(model, dict(wrapper_cfg(True), optimizer=optimizer))
    assert len(wrapper.optimizer.param_groups) == 3
    before = [parameter.detach().clone() for parameter in model.parameters()]
    wrapper.update_params(sum(parameter.square().sum() for parameter in model.parameters()))
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters())]
    assert sum(changed) > len(changed) / 2  # those that start at 0 stay there


def test_a_sharded_optimizer() -> None:
    fork(one_sharded_step)


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    def run(name: str, **changes: Any) -> Any:
        hooks = [dict(type="RandomStateHook")]
        own = dict(optim_wrapper=wrapper_cfg(True), param_scheduler=SCHEDULE, custom_hooks=hooks)
        return train(tmp_path / name, **own, **changes)

    whole = run("whole", iters=8)
    run("half", iters=4)
    resumed = run("half", iters=8, resume=True)
    assert resumed.iter == 8
    assert same(weights(whole), weights(resumed))
