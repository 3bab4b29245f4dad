"""Auxiliary norms: stock names, stock main route, stock checkpoints in and out."""

from __future__ import annotations

import copy
from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.runner.checkpoint import load_checkpoint, save_checkpoint
from multi_view_runs import EVERYTHING, TASK, WAVES, batch, build, losses_of, small_run, still_cfg
from torch import nn

from mmseg_robust.engine.hooks import checkpoint_checks
from mmseg_robust.models.auxiliary_norm import (
    AUXILIARY,
    add_auxiliary_norms,
    copy_main_to_auxiliary,
    is_auxiliary,
    main_norms,
    without_auxiliary,
)

AFA = dict(views=dict(b=WAVES), terms=[TASK], clean_weight=0.5, auxiliary_norm=["b"])


def network(norm: type[nn.Module] = nn.BatchNorm2d) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), norm(4), nn.Sequential(norm(4), nn.LayerNorm(5)))
    for part in main_norms(net):
        nn.init.uniform_(part.weight)
        nn.init.uniform_(part.running_mean)
    return net


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.SyncBatchNorm])
def test_every_batch_norm_gets_a_pair_with_the_same_values(norm: type[nn.Module]) -> None:
    net = network(norm)
    stock = net.state_dict()
    assert add_auxiliary_norms(net) == 2
    state = net.state_dict()
    assert without_auxiliary(state).keys() == stock.keys()
    added = [key for key in state if is_auxiliary(key)]
    assert len(added) == 2 * 5
    for key in added:
        assert torch.equal(state[key], stock[key.replace(f"{AUXILIARY}.", "")])
    assert type(net[1].auxiliary_norm) is norm
    assert net[1].auxiliary_norm.weight is not net[1].weight
    assert list(main_norms(net)) == [net[1], net[2][0]]


def test_they_survive_mmengines_and_torchs_conversions() -> None:
    net = network(nn.SyncBatchNorm)
    add_auxiliary_norms(net)
    state = copy.deepcopy(net.state_dict())
    for convert in (revert_sync_batchnorm, nn.SyncBatchNorm.convert_sync_batchnorm):
        net = convert(net)
        assert net.state_dict().keys() == state.keys()
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
        assert type(net[1].auxiliary_norm) is type(net[1])


def test_frozen_norms_get_frozen_pairs() -> None:
    net = network()
    net[1].requires_grad_(False)
    add_auxiliary_norms(net)
    assert not any(p.requires_grad for p in net[1].parameters())
    assert all(p.requires_grad for p in net[2].parameters())


def test_main_values_are_copied() -> None:
    net = network()
    add_auxiliary_norms(net)
    nn.init.uniform_(net[1].weight)
    copy_main_to_auxiliary(net)
    assert torch.equal(net[1].auxiliary_norm.weight, net[1].weight)


def test_a_stock_checkpoint_fills_both_and_an_afa_one_each(tmp_path: Path) -> None:
    stock = build(still_cfg(), seed=1)
    losses_of(stock, batch())  # running statistics of its own
    save_checkpoint(dict(state_dict=stock.state_dict()), str(tmp_path / "stock.pth"))
    model = build(still_cfg(**AFA))
    for load in (
        lambda: load_checkpoint(model, str(tmp_path / "stock.pth")),
        lambda: model.load_state_dict(stock.state_dict(), strict=True),
    ):
        for parameter in model.parameters():
            nn.init.constant_(parameter, 3.0)
        load()
        for norm in main_norms(model):
            own = without_auxiliary(norm.state_dict())
            assert all(torch.equal(v, own[k]) for k, v in norm.auxiliary_norm.state_dict().items())
            assert (norm.auxiliary_norm.running_mean != 0).any()
    losses_of(model, batch())[0].backward()
    other = build(still_cfg(**AFA), seed=2)
    other.load_state_dict(model.state_dict(), strict=True)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in other.state_dict().items())


def test_initialised_weights_start_alike() -> None:
    model = build(still_cfg(**AFA))
    for norm in main_norms(model):
        nn.init.uniform_(norm.auxiliary_norm.weight)
    model.init_weights()
    for norm in main_norms(model):
        assert torch.equal(norm.weight, norm.auxiliary_norm.weight)


def test_the_main_route_is_the_stock_network_to_the_bit() -> None:
    model, stock = build(still_cfg(**EVERYTHING)), build(still_cfg())
    stock.load_state_dict(without_auxiliary(model.state_dict()))
    data = model.data_preprocessor(batch(), True)
    # In training, where statistics of the clean view alone count, and afterwards.
    for _ in range(2):
        model(**data, mode="loss")
        stock(**data, mode="loss")
    for key, value in stock.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=1e-6, atol=1e-7)
    stock.load_state_dict(without_auxiliary(model.state_dict()))
    with torch.no_grad():
        assert torch.equal(model.eval()(data["inputs"]), stock.eval()(data["inputs"]))


def test_the_checks_before_a_run_know_them(tmp_path: Path) -> None:
    """Stock checkpoint into AFA, AFA checkpoint into stock: for a start, a test, a resumed run."""
    model, stock = build(still_cfg(**AFA)).state_dict(), build(still_cfg()).state_dict()
    for wanted, stored in ((model, stock), (stock, model)):
        result = checkpoint_checks.compare(wanted, dict(state_dict=stored))
        assert result.describe() == ""
        checkpoint_checks.check_whole(result, "x.pth", "test")
        assert checkpoint_checks.check_start(result, "x.pth") == ""


def test_the_optimizer_has_them() -> None:
    from mmengine.optim import build_optim_wrapper

    model = build(still_cfg(**AFA))
    wrapper = build_optim_wrapper(
        model,
        dict(
            type="OptimWrapper",
            optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.1),
            paramwise_cfg=dict(norm_decay_mult=0.0),
        ),
    )
    decay = {
        id(p): group["weight_decay"] for group in wrapper.param_groups for p in group["params"]
    }
    for norm in main_norms(model):
        assert decay[id(norm.auxiliary_norm.weight)] == decay[id(norm.weight)] == 0


def test_runs_start_from_a_stock_checkpoint(tmp_path: Path) -> None:
    from mmengine.runner import Runner

    stock = build(still_cfg(), seed=1)
    save_checkpoint(dict(state_dict=stock.state_dict()), str(tmp_path / "stock.pth"))
    settings = dict(load_from=str(tmp_path / "stock.pth"), model=still_cfg(**AFA), iters=1)
    hooks = [dict(type="PreflightHook")]
    runner = Runner(**small_run(tmp_path / "run", custom_hooks=hooks, **settings))
    runner.train()
    first = next(main_norms(runner.model))
    assert not torch.equal(first.weight, first.auxiliary_norm.weight)
