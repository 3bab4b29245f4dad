"""Batch norms that tell views apart, against stock ones that see a view at a time."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mmseg_robust.errors import InputError
from mmseg_robust.models.auxiliary_norm import add_auxiliary_norms
from mmseg_robust.models.multi_view.norms import ViewNorms

VIEWS = ("clean", "a", "b")


def norm(auxiliary: bool = False) -> nn.Sequential:
    """One norm with numbers of its own, in a module as networks hold it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm2d(4)).double()
    nn.init.uniform_(net[0].weight)
    nn.init.uniform_(net[0].bias)
    if auxiliary:
        add_auxiliary_norms(net)
        nn.init.uniform_(net[0].auxiliary_norm.weight)
    return net


def batch(views: int = len(VIEWS)) -> torch.Tensor:
    """Views of 2 samples; each view has a scale of its own."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(views, 2, 4, 3, 5, generator=generator, dtype=torch.float64)
    return (x * torch.arange(1, views + 1).view(-1, 1, 1, 1, 1)).flatten(0, 1)


def attached(net: nn.Module, joint: bool = False, auxiliary: tuple = ()) -> ViewNorms:
    norms = ViewNorms(joint, auxiliary)
    norms.attach(net)
    norms.views = VIEWS
    return norms


def test_each_view_is_a_batch_of_its_own_and_the_clean_one_is_kept() -> None:
    net, stock = norm(), norm()
    attached(net)
    x = batch().requires_grad_()
    out = net(x)
    expected = torch.cat([copy.deepcopy(stock)(view) for view in x.chunk(3)])
    assert torch.equal(out, expected)
    weights = torch.randn(out.shape, dtype=torch.float64)
    got, wanted = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (out, expected))
    torch.testing.assert_close(got, wanted)
    stock(x[:2].detach())
    for name, value in stock.state_dict().items():
        assert torch.equal(net.state_dict()[name], value), name


@pytest.mark.parametrize("order", [("a", "clean", "b"), ("a", "b", "clean")])
def test_the_clean_view_is_kept_wherever_it_stands(order: tuple) -> None:
    net, stock = norm(), norm()
    attached(net).views = order
    x = batch()
    net(x)
    stock(x.chunk(3)[order.index("clean")])
    assert torch.equal(net[0].running_var, stock[0].running_var)


def test_without_a_clean_view_the_first_is_kept() -> None:
    net, stock = norm(), norm()
    attached(net).views = ("a", "b", "c")
    net(batch())
    stock(batch().chunk(3)[0])
    assert torch.equal(net[0].running_mean, stock[0].running_mean)


def test_joint_statistics_are_those_of_one_larger_stock_batch() -> None:
    net, stock = norm(), norm()
    attached(net, joint=True)
    assert torch.equal(net(batch()), stock(batch()))
    assert torch.equal(net[0].running_var, stock[0].running_var)


@pytest.mark.parametrize("joint", [False, True])
def test_auxiliary_views_go_through_the_auxiliary_norm(joint: bool) -> None:
    net, main, other = norm(auxiliary=True), norm(auxiliary=True), norm(auxiliary=True)
    attached(net, joint, auxiliary=("a",))
    x = batch()
    clean, a, b = x.chunk(3)
    out = net(x)
    auxiliary = other[0].auxiliary_norm
    if joint:
        clean_out, b_out = main(torch.cat([clean, b])).chunk(2)
    else:
        b_out = copy.deepcopy(main)(b)
        clean_out = main(clean)
    torch.testing.assert_close(out, torch.cat([clean_out, auxiliary(a), b_out]), rtol=0, atol=0)
    assert torch.equal(net[0].running_mean, main[0].running_mean)
    assert torch.equal(net[0].auxiliary_norm.running_mean, auxiliary.running_mean)
    assert net[0].auxiliary_norm.num_batches_tracked == net[0].num_batches_tracked == 1


def test_frozen_norms_use_their_running_statistics_for_every_view() -> None:
    net, stock = norm(auxiliary=True).eval(), norm().eval()
    attached(net)
    assert torch.equal(net(batch()), stock(batch()))
    norms = attached(net, auxiliary=("b",))
    net[0].__dict__["forward"].norms = norms
    clean, a, b = net(batch()).chunk(3)
    assert torch.equal(torch.cat([clean, a]), stock(batch()[:4]))
    assert torch.equal(b, net[0].auxiliary_norm(batch()[4:]))
    assert not net[0].running_mean.any()


def test_without_views_it_is_the_stock_norm() -> None:
    net, stock = norm(), norm()
    attached(net).views = ()
    assert torch.equal(net(batch()), stock(batch()))


def test_statistics_that_are_not_tracked_stay_so() -> None:
    net = nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False))
    attached(net)
    x = torch.randn(6, 4)
    expected = torch.cat([nn.BatchNorm1d(4)(view) for view in x.chunk(3)])
    torch.testing.assert_close(net(x), expected)
    assert net[0].running_mean is None


def test_rows_that_are_no_views_are_refused() -> None:
    net = norm()
    attached(net)
    with pytest.raises(InputError, match="A batch norm gets 5 rows, which are not 3 views"):
        net(batch()[:5])


def test_a_deep_copy_is_independent() -> None:
    net = norm()
    norms = attached(net)
    twin = copy.deepcopy(net)
    net(batch())
    assert not twin[0].running_mean.any()
    norms.views = ()
    assert twin[0].__dict__["forward"].norms.views == VIEWS


def test_attaching_again_changes_nothing() -> None:
    net = norm()
    norms = attached(net)
    before = net[0].__dict__["forward"]
    norms.attach(net)
    assert net[0].__dict__["forward"] is before
