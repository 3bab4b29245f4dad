"""What the network says about each view."""

from __future__ import annotations

import pytest
import torch

from mmseg_robust.errors import InputError
from mmseg_robust.models.multi_view.outputs import ViewOutputs, first_views, split_views


def test_nested_outputs_are_taken_apart() -> None:
    x = torch.arange(6.0).view(6, 1)
    first, second = split_views([x, (x + 1, None), dict(mask=x + 2)], 2)
    assert torch.equal(first[0], x[:3])
    assert torch.equal(second[1][0], x[3:] + 1)
    assert first[1][1] is None
    assert torch.equal(second[2]["mask"], x[3:] + 2)
    assert isinstance(first[1], tuple)


def test_first_views_of_nested_outputs() -> None:
    x = torch.arange(6.0).view(6, 1)
    kept = first_views((x, [x + 1], dict(a=x), None), 2, 3)
    assert torch.equal(kept[0], x[:4])
    assert torch.equal(kept[1][0], x[:4] + 1)
    assert torch.equal(kept[2]["a"], x[:4])
    assert kept[3] is None
    assert first_views(x, 3, 3) is x


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(5, 2), r"shape \(5, 2\) for 2 views"),
        ("text", "str"),
        (torch.tensor(1.0), "()"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(value, message) -> None:
    for function in (lambda: split_views(value, 2), lambda: first_views(value, 1, 2)):
        with pytest.raises(InputError, match=message):
            function()


@pytest.mark.parametrize("size", [(16, 16), (23, 30), (12, 15), (1, 3)])
def test_tokens_get_their_places_back(size) -> None:
    height, width = size
    maps = torch.randn(2, 3, height, width)
    valid = torch.ones(2, 32 * height - 5, 32 * width - 9, dtype=torch.bool)
    outputs = ViewOutputs(("clean",), valid=valid)
    assert torch.equal(outputs.as_map(maps.flatten(2)), maps)
    assert outputs.as_map(maps) is maps
    assert ViewOutputs(("clean",)).as_map(maps.flatten(2)).dim() == 3


def test_valid_positions_are_those_of_the_nearest_pixel() -> None:
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    valid[:, :4, :4] = False
    outputs = ViewOutputs(("clean",), valid=valid)
    expected = torch.tensor([[[False, True], [True, True]]])
    assert torch.equal(outputs.valid_at(torch.zeros(1, 3, 2, 2)), expected)
    assert outputs.valid_at(torch.zeros(1, 3)) is None
    assert ViewOutputs(("clean",)).valid_at(torch.zeros(1, 3, 2, 2)) is None
