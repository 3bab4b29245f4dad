"""CWFABackbone: the stock backbone, instrumented; CWFANeck."""

import pytest
import torch
from mmengine.hooks import EMAHook
from mmseg.registry import MODELS
from small_models import (
    BACKBONES,
    SMALL_BACKBONES,
    build_backbone,
    same,
    segformer_cfg,
    train,
    weights,
)

import mmseg_robust  # noqa: F401
from mmseg_robust.errors import InputError


def wrapped(name="mit", **changes):
    cfg = dict(BACKBONES[name], _scope_="mmseg")
    return dict(
        cfg, type="CWFABackbone", wraps=cfg["type"], **dict(dict(epsilon=3.0, begin=0), **changes)
    )


@pytest.mark.parametrize("name", SMALL_BACKBONES)
def test_returns_the_stock_backbone_with_its_keys(name):
    stock = build_backbone(name)
    torch.manual_seed(0)
    backbone = MODELS.build(wrapped(name))
    assert type(backbone) is type(stock)
    assert same(backbone.state_dict(), stock.state_dict())


@pytest.mark.parametrize("prob", [0.5, 1.0])
def test_trains_as_the_hook_does(tmp_path, prob):
    by_hook = train(
        tmp_path / "hook", custom_hooks=[dict(type="CWFAHook", epsilon=3.0, prob=prob, begin=0.5)]
    )
    model = segformer_cfg()
    model["backbone"] = wrapped(prob=prob, begin=0.5)
    by_wrapper = train(tmp_path / "wrapper", model=model, custom_hooks=[dict(type="EMAHook")])
    assert same(weights(by_hook), weights(by_wrapper))
    log = (tmp_path / "wrapper" / by_wrapper.timestamp / f"{by_wrapper.timestamp}.log").read_text()
    assert log.count("times the norm") == 4
    assert any(isinstance(hook, EMAHook) for hook in by_wrapper.hooks)


def test_evaluation_is_stock():
    torch.manual_seed(0)
    backbone = MODELS.build(wrapped()).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for got, want in zip(backbone(image), build_backbone("mit", training=False)(image)):
            assert torch.equal(got, want)


def test_works_in_a_plain_training_loop_and_draws_anew_each_pass():
    backbone = MODELS.build(wrapped("resnet", prob=0.5))
    image = torch.randn(8, 3, 64, 64)
    first, second = backbone(image)[0], backbone(image)[0]
    assert not torch.equal(first, second)


def test_a_fraction_needs_a_runner():
    backbone = MODELS.build(wrapped(begin=0.1))
    with pytest.raises(InputError, match="length of the run is not known"):
        backbone(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize("wraps", ["MixVisionTransfomer", "CWFABackbone", None])
def test_unknown_backbone(wraps):
    with pytest.raises(InputError, match="no registered backbone"):
        MODELS.build(dict(wrapped(), wraps=wraps))


@pytest.mark.parametrize("bad", [dict(epsilon=-1), dict(prob=2), dict(begin=-1), dict(stages=[4])])
def test_bad_values_end_at_build(bad):
    with pytest.raises(InputError):
        MODELS.build(wrapped(**bad))


def test_neck_augments_for_the_head_alone(tmp_path):
    neck = MODELS.build(dict(type="CWFANeck", num_stages=2, epsilon=[1.0, 2.0], prob=1.0, begin=0))
    assert neck.state_dict() == {}
    maps = torch.rand(2, 4, 8, 8), torch.rand(2, 6, 4, 4)
    for i, (got, x) in enumerate(zip(neck.train()(maps), maps)):
        shift = (got - x).mean((2, 3)).norm(dim=1)
        torch.testing.assert_close(shift, torch.full((2,), i + 1.0))
    assert all(torch.equal(a, b) for a, b in zip(neck.eval()(maps), maps))
    with pytest.raises(InputError, match="set num_stages=1"):
        neck(maps[:1])


def test_neck_in_a_run(tmp_path):
    model = dict(segformer_cfg(), neck=dict(type="CWFANeck", epsilon=3.0, begin=0.5))
    stock = train(tmp_path / "stock")
    with_neck = train(tmp_path / "neck", model=model)
    assert weights(stock).keys() == weights(with_neck).keys()
    assert not same(weights(stock), weights(with_neck))
