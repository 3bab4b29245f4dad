"""Zeros in weights and optimizer state, and optimizers whose state is not understood."""

import copy

import pytest
import torch
from torch import nn

from mmseg_robust.engine.weights.selection import select_weights
from mmseg_robust.engine.weights.sparsity.masks import Masks
from mmseg_robust.engine.weights.sparsity.optimizer_state import check_optimizer
from mmseg_robust.errors import InputError

KNOWN = {
    "SGD": dict(lr=0.1),
    "SGD-momentum": dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam-amsgrad": dict(lr=0.1, amsgrad=True),
    "AdamW": dict(lr=0.1),
    "AdamW-fused": dict(lr=0.1, fused=True),
    "NAdam": dict(lr=0.1),
    "RAdam": dict(lr=0.1),
    "RMSprop": dict(lr=0.1, momentum=0.9, centered=True),
    "Adadelta": dict(lr=0.1),
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
    )


def build(name, model):
    return getattr(torch.optim, name.split("-")[0])(model.parameters(), **KNOWN[name])


def train_step(model, optimizer, seed=0):
    generator = torch.Generator().manual_seed(seed)
    model(torch.randn(4, 3, 8, 8, generator=generator)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def halves(masks):
    """A mask with every second entry active, in logical order."""
    return [torch.arange(p.numel()) % 2 == 0 for p in masks.parameters]


@pytest.mark.parametrize("name", KNOWN)
def test_inactive_weights_and_state_are_0_after_each_step(name):
    model = network()
    optimizer = build(name, model)
    weights = select_weights(model, ("conv", "linear"))
    before = copy.deepcopy(optimizer.state_dict())
    check_optimizer(optimizer, weights[0].parameter)
    assert optimizer.state_dict() == before, "the try-out leaves no trace"
    masks = Masks(weights, optimizer)
    masks.replace(halves(masks))
    masks.apply()
    shaped = 0
    for step in range(3):
        train_step(model, optimizer, step)
        masks.apply()
        for weight, mask in zip(masks.parameters, masks.values):
            state = [v for v in optimizer.state[weight].values() if isinstance(v, torch.Tensor)]
            for value in [weight, *(v for v in state if v.shape == weight.shape)]:
                shaped += 1
                assert not value[mask == 0].count_nonzero()
                assert value[mask == 1].count_nonzero() > 0.9 * mask.sum()
    assert shaped > 3 * 2 or name == "SGD"


def test_memory_formats_and_logical_order():
    model = network().to(memory_format=torch.channels_last)
    optimizer = build("SGD-momentum", model)
    masks = Masks(select_weights(model, ("conv",)), optimizer)
    masks.replace(halves(masks))
    (mask,), (weight,) = masks.values, masks.parameters
    assert mask.stride() == weight.stride()
    assert torch.equal(mask.flatten(), (torch.arange(weight.numel()) % 2 == 0).float())
    assert torch.equal(masks.flat()[0], halves(masks)[0])


def test_state_that_an_optimizer_replaces_is_found_again():
    model = network()
    optimizer = build("AdamW", model)
    masks = Masks(select_weights(model, ("linear",)), optimizer)
    masks.replace(halves(masks))
    train_step(model, optimizer)
    masks.apply()
    # What loading a state does: other tensors in place of the known ones.
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    (weight,), (mask,) = masks.parameters, masks.values
    train_step(model, optimizer)
    masks.apply()
    assert not optimizer.state[weight]["exp_avg"][mask == 0].count_nonzero()


def test_the_lists_are_gathered_once(monkeypatch):
    model = network()
    optimizer = build("AdamW", model)
    masks = Masks(select_weights(model, ("conv", "linear")), optimizer)
    kept = []
    for step in range(3):
        train_step(model, optimizer, step)
        masks.apply()
        kept.append(masks._targets)
    assert len(kept[0]) == 2 * 3
    assert kept[0] is kept[1] is kept[2]


def test_replace_counts_what_has_grown_and_the_attribute_follows():
    model = network()
    optimizer = build("SGD", model)
    masks = Masks(select_weights(model, ("linear",)), optimizer)
    (weight,) = masks.parameters
    mask = vars(weight)["sparse_mask"]
    assert masks.replace(halves(masks)).item() == 0
    assert vars(weight)["sparse_mask"] is mask
    assert masks.active() == [weight.numel() // 2]
    other = halves(masks)[0].roll(1)
    assert masks.replace([other]).item() == weight.numel() // 2
    masks.release()
    assert "sparse_mask" not in vars(weight)


def test_apply_to_another_copy():
    model = network()
    masks = Masks(select_weights(model, ("linear",)), build("SGD", model))
    twin = copy.deepcopy(model)
    masks.replace(halves(masks))
    masks.apply_to(twin)
    assert torch.equal(twin[4].weight, model[4].weight * masks.values[0])
    assert twin[0].weight.count_nonzero() == twin[0].weight.numel()


class Unfamiliar(torch.optim.Optimizer):
    """Keeps state of another shape, or that does not start at 0."""

    def __init__(self, params, state):
        super().__init__(params, dict(lr=0.1))
        self.make = state

    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight]["memory"] = self.make(weight)


class Wrapping(torch.optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.inner = torch.optim.SGD(params, lr=0.1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: torch.optim.Adafactor(p), r"'row_var' has the shape \(128, 1\) for a weight"),
        (lambda p: torch.optim.Rprop(p), "'step_size' does not start at 0"),
        (lambda p: torch.optim.LBFGS(p), "could not be tried out"),
        (lambda p: Unfamiliar(p, lambda w: torch.zeros(len(w))), "'memory' has the shape"),
        (lambda p: Unfamiliar(p, torch.ones_like), "'memory' does not start at 0"),
        (Wrapping, "wraps another optimizer"),
    ],
    ids=["adafactor", "rprop", "lbfgs", "shape", "start", "wrapping"],
)
def test_an_optimizer_whose_state_is_not_understood_is_refused(make, reason):
    model = network()
    optimizer = make(list(model.parameters()))
    with pytest.raises(InputError, match=f"cannot mask the state of the optimizer.*{reason}"):
        check_optimizer(optimizer, model[0].weight)


def test_state_of_another_kind_that_shows_up_later_is_an_error():
    model = network()
    late = Unfamiliar(model.parameters(), torch.zeros_like)
    masks = Masks(select_weights(model, ("linear",)), late)
    late.make = lambda w: torch.zeros(len(w))
    late.step()
    with pytest.raises(InputError, match="'memory' has the shape"):
        masks.apply()
