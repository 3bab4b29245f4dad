"""The first pass of SAM: right gradients, and nothing of it is left in the model or the run."""

import random

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg_robust.engine.weights.first_pass import FirstPass


class Model(BaseModel):
    """A shared layer, a layer that is not used, and draws from every global generator."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.unused = nn.Linear(2, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.draws = []

    def forward(self, inputs, mode="tensor"):
        self.draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
        x = self.second(torch.relu(self.first(inputs)))
        return dict(loss=(self.frozen(x) * sum(self.draws[-1])).square().mean())


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def wrapper(model):
    trained = [p for p in model.parameters() if p.requires_grad]
    return OptimWrapper(torch.optim.SGD(trained, lr=0.1))


BATCH = dict(inputs=torch.arange(12.0).view(3, 4) / 12)


def test_gradients_are_those_of_the_step(model, wrapper):
    first_pass = FirstPass(model)
    loss, gradients = first_pass.run(BATCH, wrapper)
    outputs = model.train_step(BATCH, wrapper)
    assert model.draws[0] == model.draws[1], "the step draws the same numbers"
    assert loss == outputs["loss"]
    names = {p: n for n, p in model.named_parameters()}
    assert {names[p] for p in gradients} == {"first.weight", "first.bias", "second.bias"}


def test_a_shared_weight_has_one_gradient(model, wrapper):
    _, gradients = FirstPass(model).run(BATCH, wrapper)
    factor = sum(model.draws[0])
    x = model.second(torch.relu(model.first(BATCH["inputs"])))
    expected = torch.autograd.grad((model.frozen(x) * factor).square().mean(), list(gradients))
    torch.testing.assert_close(list(gradients.values()), list(expected))


def test_model_and_gradients_stay(model, wrapper):
    parameters = dict(model.named_parameters())
    fired = []
    for parameter in parameters.values():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: fired.append(1))
            parameter.register_post_accumulate_grad_hook(lambda parameter: fired.append(1))
    FirstPass(model).run(BATCH, wrapper)
    assert fired == []
    assert all(parameters[name] is p for name, p in model.named_parameters())
    assert all(p.grad is None for p in parameters.values())
    model.first.bias.grad = accumulated = torch.ones(4)
    FirstPass(model).run(BATCH, wrapper)
    assert model.first.bias.grad is accumulated
    assert (accumulated == 1).all()


def test_a_pass_that_raises_leaves_the_model_and_the_random_state(model, wrapper):
    parameters = list(model.parameters())
    first_pass = FirstPass(model)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        first_pass.run(dict(inputs=torch.ones(3, 5)), wrapper)
    assert all(a is b for a, b in zip(model.parameters(), parameters))
    assert torch.equal(torch.rand(1), expected)


def test_the_step_takes_the_prepared_batch_once(model, wrapper):
    calls = []
    prepare = model.data_preprocessor.forward
    model.data_preprocessor.forward = lambda *args, **kw: calls.append(1) or prepare(*args, **kw)
    first_pass = FirstPass(model)
    first_pass.run(BATCH, wrapper)
    prepared = model.data_preprocessor(BATCH, True)
    assert len(calls) == 1
    assert prepared["inputs"].equal(BATCH["inputs"])
    model.data_preprocessor(BATCH, True)
    assert len(calls) == 2, "the next batch is prepared as ever"
    first_pass.run(BATCH, wrapper)
    first_pass.forget()
    model.data_preprocessor(BATCH, True)
    assert len(calls) == 4, "a batch that no step took is not given to the next"
    first_pass.close()
    model.data_preprocessor(BATCH, True)
    assert len(calls) == 5


def test_the_loss_scale_multiplies_the_gradients_alone(model, wrapper):
    loss, gradients = FirstPass(model).run(BATCH, wrapper)
    wrapper.loss_scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaled_loss, scaled = FirstPass(model).run(BATCH, wrapper)  # with the same draws
    assert scaled_loss == loss
    for parameter, gradient in gradients.items():
        assert torch.equal(scaled[parameter], gradient * 1024)
