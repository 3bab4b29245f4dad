"""Jensen-Shannon consistency against its equation, values and gradients."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from view_outputs import mask, mean_by_pixel, outputs, probabilities

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses import jensen_shannon_loss


def one_pixel(views: list[np.ndarray]) -> float:
    """``1 / K sum_i KL(P_i || P_mix)``, class by class."""
    predictions = [probabilities(view) for view in views]
    mixture = np.clip(sum(predictions) / len(views), 1e-7, 1)
    divergences = [
        sum(p * math.log(p / m) for p, m in zip(own, mixture) if p > 0) for own in predictions
    ]
    return sum(divergences) / len(views)


def reference(logits: list[Tensor], valid: Tensor) -> float:
    views = [own.detach().numpy() for own in logits]
    places = itertools.product(*(range(size) for size in valid.shape))
    return mean_by_pixel(
        [
            (bool(valid[n, y, x]), one_pixel([view[n, :, y, x] for view in views]))
            for n, y, x in places
        ]
    )


@pytest.mark.parametrize("count", [2, 3, 5])
def test_value_is_the_equation(count: int) -> None:
    logits = outputs(count)
    for valid in (mask(), torch.ones(2, 3, 4, dtype=torch.bool)):
        loss = jensen_shannon_loss(logits, valid)
        assert loss.shape == ()
        assert abs(loss.item() - reference(logits, valid)) < 1e-12
    assert torch.isclose(jensen_shannon_loss(logits), loss)


def test_a_case_by_hand() -> None:
    """Two sure predictions of different classes: each is log 2 from their mean."""
    sure = torch.tensor([[50.0, 0.0]], dtype=torch.float64)
    assert abs(jensen_shannon_loss([sure, sure.flip(1)]).item() - math.log(2)) < 1e-12
    # P = (3/4, 1/4) and (1/4, 3/4), mean (1/2, 1/2): log 2 less the entropy of P.
    odds = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    expected = math.log(2) - entropy
    assert abs(jensen_shannon_loss([odds, odds.flip(1)]).item() - expected) < 1e-12


def test_the_official_sum_for_classifiers() -> None:
    """Three views, kl_div with 'batchmean', as AugMix and AFA write it."""
    logits = outputs(3, (4, 6))
    views = [own.softmax(1) for own in logits]
    mixture = torch.clamp(sum(views) / 3.0, 1e-7, 1).log()
    parts = [torch.nn.functional.kl_div(mixture, own, reduction="batchmean") for own in views]
    assert torch.isclose(jensen_shannon_loss(logits), sum(parts) / 3.0)


def test_gradients_pass_through_all_views() -> None:
    logits = outputs(3, (1, 3, 2, 2))
    valid = mask((1, 2, 2))
    assert torch.autograd.gradcheck(lambda *own: jensen_shannon_loss(own, valid), logits)
    jensen_shannon_loss(logits, valid).backward()
    for own in logits:
        assert (own.grad.permute(0, 2, 3, 1)[~valid] == 0).all()
        assert (own.grad.permute(0, 2, 3, 1)[valid] != 0).any()


def test_equal_and_order_of_views() -> None:
    logits = outputs(3)
    assert abs(jensen_shannon_loss([logits[0]] * 3).item()) < 1e-15
    assert torch.isclose(jensen_shannon_loss(logits), jensen_shannon_loss(logits[::-1]))


def test_no_pixel_that_counts() -> None:
    logits = outputs(3)
    loss = jensen_shannon_loss(logits, torch.zeros(2, 3, 4, dtype=torch.bool))
    assert loss == 0
    loss.backward()
    assert all((own.grad == 0).all() for own in logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    """Also where a prediction is so sure that the others are 0 in float32."""
    for scale in (1.0, 300.0):
        logits = [own.detach().to(dtype) for own in outputs(3, scale=scale)]
        with torch.autocast("cpu", torch.bfloat16):
            loss = jensen_shannon_loss(logits, mask())
        assert loss.dtype == torch.float32
        exact = jensen_shannon_loss([own.double() for own in logits], mask())
        assert abs(loss / exact - 1) < 1e-5


def test_bad_input() -> None:
    logits = outputs(3)
    with pytest.raises(InputError, match="at least two views are needed, got 1"):
        jensen_shannon_loss(logits[:1])
    with pytest.raises(InputError, match="Logits must have one shape"):
        jensen_shannon_loss([logits[0], logits[1][:1]])
