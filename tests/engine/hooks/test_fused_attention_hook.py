"""The hook for fused attention in real runs: on while they last, and gone afterwards."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from mmseg.registry import MODELS
from small_models import build_backbone, runner_cfg, same, segformer_cfg, train, weights
from torch import nn

from mmseg_robust.engine.hooks import FusedAttentionHook
from mmseg_robust.errors import InputError

FUSED = dict(type="FusedAttentionHook")
SGD = dict(type="SGD", lr=0.01)


def hooks(model: nn.Module) -> int:
    """Forward pre-hooks in the whole model."""
    return sum(len(module._forward_pre_hooks) for module in model.modules())


class Watch(Hook):
    """Counts the forward pre-hooks in every iteration."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.seen: list[int] = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.seen.append(hooks(runner.model))


def near(one: Runner, other: Runner) -> None:
    states = weights(one), weights(other)
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-4, atol=1e-5)


def test_training_is_the_stock_run_up_to_rounding(tmp_path: Path) -> None:
    settings = dict(iters=2, optim_wrapper=dict(type="OptimWrapper", optimizer=SGD))
    watch = Watch()
    runner = train(tmp_path / "fused", custom_hooks=[FUSED, watch], **settings)
    stock = train(tmp_path / "stock", **settings)
    near(runner, stock)
    assert not same(weights(runner), weights(stock)), "it was other arithmetic"
    assert watch.seen == [5, 5]
    assert hooks(runner.model) == 0, "hooks must be gone"
    log = (tmp_path / "fused" / runner.timestamp / f"{runner.timestamp}.log").read_text()
    assert "FusedAttentionHook: 5 attention modules in training" in log
    saved = torch.load(tmp_path / "fused" / "iter_2.pth")["state_dict"]
    MODELS.build(segformer_cfg()).load_state_dict(saved, strict=True)


def test_ema_copies_a_model_without_hooks(tmp_path: Path) -> None:
    runner = train(tmp_path, iters=2, custom_hooks=[FUSED, dict(type="EMAHook")])
    ema = next(hook for hook in runner.hooks if isinstance(hook, EMAHook)).ema_model
    assert hooks(ema) == 0
    stored = torch.load(tmp_path / "iter_2.pth")["ema_state_dict"]
    assert stored.keys() == ema.state_dict().keys()


def stand_in(model: nn.Module) -> Any:
    """As much of a runner as the hook asks for."""
    return SimpleNamespace(model=model, logger=logging.getLogger("fused-attention"))


@pytest.mark.parametrize("phase", ["val", "test"])
def test_validation_and_testing_by_themselves(phase: str) -> None:
    runner, hook = stand_in(build_backbone("mit")), FusedAttentionHook()
    for _ in range(2):
        getattr(hook, f"before_{phase}")(runner)
        assert hooks(runner.model) == 5
        getattr(hook, f"after_{phase}")(runner)
        assert hooks(runner.model) == 0


def test_validation_in_training_leaves_it_on() -> None:
    runner, hook = stand_in(build_backbone("mit")), FusedAttentionHook()
    hook.before_train(runner)
    hook.before_val(runner)
    hook.after_val(runner)
    assert hooks(runner.model) == 5
    hook.after_train(runner)
    assert hooks(runner.model) == 0


def test_a_training_that_failed_leaves_nothing_to_the_next() -> None:
    runner, hook = stand_in(build_backbone("mit")), FusedAttentionHook()
    hook.before_train(runner)
    runner.model, failed = build_backbone("mit"), runner.model
    hook.before_test(runner)
    assert (hooks(failed), hooks(runner.model)) == (0, 5)


class Wrapper(nn.Module):
    """Holds a model as distributed training and test-time augmentation do."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def test_named_modules_inside_wrappers() -> None:
    model = nn.ModuleDict({"own": nn.MultiheadAttention(8, 2)})
    runner = stand_in(Wrapper(Wrapper(model)))
    hook = FusedAttentionHook(modules=["own"])
    hook.before_test(runner)
    assert hooks(model["own"]) == 1
    hook.after_test(runner)
    assert hooks(model) == 0


def test_a_model_without_such_attention_is_told(caplog: pytest.LogCaptureFixture) -> None:
    hook = FusedAttentionHook()
    with caplog.at_level(logging.WARNING):
        hook.before_train(stand_in(build_backbone("resnet")))
    assert "changes nothing in training: the model has no nn.MultiheadAttention" in caplog.text


def test_wrong_paths_end_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a list of module paths, but is 'backbone'"):
        FusedAttentionHook(modules="backbone")
    hook, watch = dict(FUSED, modules=["backbone.layers.0.1.0.attn"]), Watch()
    message = "is a EfficientMultiheadAttention, no nn.MultiheadAttention. The model has 'backbone"
    with pytest.raises(InputError, match=message):
        Runner(**runner_cfg(str(tmp_path), custom_hooks=[hook, watch])).train()
    assert watch.seen == []


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_amp_on_a_gpu(tmp_path: Path, dtype: str) -> None:
    wrapper = dict(type="AmpOptimWrapper", dtype=dtype, optimizer=dict(type="AdamW", lr=1e-3))
    runner = train(str(tmp_path), custom_hooks=[FUSED], optim_wrapper=wrapper)
    assert all(value.isfinite().all() for value in weights(runner).values())
