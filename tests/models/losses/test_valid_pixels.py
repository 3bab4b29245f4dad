"""Means over the pixels that count, and their resolution."""

from __future__ import annotations

import pytest
import torch
from view_outputs import mask

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses.valid_pixels import (
    at_least_float32,
    check_views,
    mean_over_valid,
    resize_valid,
)


def test_the_mean_is_over_pixels_of_the_batch_not_over_samples() -> None:
    values = torch.arange(24, dtype=torch.float64).view(2, 3, 4)
    valid = mask()
    assert valid[0].sum() != valid[1].sum()
    assert torch.isclose(mean_over_valid(values, valid), values[valid].mean())
    assert torch.equal(mean_over_valid(values, None), values.mean())
    assert torch.equal(mean_over_valid(values, torch.ones_like(valid)), values.mean())


def test_no_pixel_that_counts_gives_zero_with_a_graph() -> None:
    values = torch.rand(2, 3, 4, requires_grad=True)
    loss = mean_over_valid(values, torch.zeros(2, 3, 4, dtype=torch.bool))
    assert loss == 0
    loss.backward()
    assert torch.equal(values.grad, torch.zeros(2, 3, 4))


def test_what_does_not_count_may_be_anything() -> None:
    values, valid = torch.ones(1, 2, 2), torch.tensor([[[True, True], [False, False]]])
    values[0, 1] = torch.tensor([float("nan"), float("inf")])
    values.requires_grad_()
    loss = mean_over_valid(values, valid)
    assert loss == 1
    loss.backward()
    assert torch.equal(values.grad, valid * 0.5)


def test_precision() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert at_least_float32(torch.zeros(2, dtype=dtype)).dtype == torch.float32
    assert at_least_float32(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_another_resolution_takes_the_pixel_in_the_middle() -> None:
    valid = torch.zeros(1, 8, 12, dtype=torch.bool)
    valid[0, 2, 6] = True  # the middle of the cell (0, 1) of 4 x 4 pixels
    small = resize_valid(valid, (2, 3))
    assert small.dtype == torch.bool
    assert small.tolist() == [[[False, True, False], [False, False, False]]]
    assert torch.equal(resize_valid(mask((2, 6, 9)), (6, 9)), mask((2, 6, 9)))


BAD_VALID = (
    (torch.ones(2, 3, 4), "got torch.float32"),
    (torch.ones(2, 6, 8, dtype=torch.bool), r"\(2, 3, 4\).*\(2, 6, 8\).*use resize_valid"),
    (torch.ones(2, 1, 3, 4, dtype=torch.bool), r"\(2, 1, 3, 4\)"),
)


@pytest.mark.parametrize(("valid", "message"), BAD_VALID)
def test_bad_masks(valid: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mean_over_valid(torch.zeros(2, 3, 4), valid)


BAD_VIEWS = (
    ([], "got 0"),
    ([torch.zeros(2, 3)], "at least two views are needed, got 1"),
    ([torch.zeros(2, 3), torch.zeros(2, 4)], r"one shape .* got \[\(2, 3\), \(2, 4\)\]"),
    ([torch.zeros(3), torch.zeros(3)], r"\(N, C, ...\)"),
    ([torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64)], "floating point.*torch.int64"),
)


@pytest.mark.parametrize(("views", "message"), BAD_VIEWS)
def test_bad_views(views: list[torch.Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_views(views, "Logits")
