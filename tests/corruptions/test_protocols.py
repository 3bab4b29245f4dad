"""Protocols: their cells, and published tables through our averaging."""

from __future__ import annotations

import pytest

from mmseg_robust.corruptions import CBAR, COMMON, GROUPS, NAMES, PROTOCOLS, Cell, get_protocol
from mmseg_robust.errors import InputError

CELLS = {
    "cityscapes-c": 72,
    "ade20k-c": 72,
    "all-19x5": 95,
    "fan-1to3": 57,
    "robodet-15x5": 75,
    "imagenet-c": 75,
    "cbar": 50,
    "cityscapes-c-light": 8,
    "demo": 12,
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_cells_and_groups_agree(name: str) -> None:
    protocol = get_protocol(name)
    assert protocol.name == name
    assert len(protocol.cells) == len(set(protocol.cells)) == CELLS[name]
    assert protocol.passes == (Cell("clean", 0), *protocol.cells)
    members = [member for names in protocol.groups.values() for member in names]
    assert sorted(members) == sorted(protocol.corruptions)
    assert set(members) <= set(CBAR if name == "cbar" else NAMES)
    assert {cell for c in protocol.corruptions for cell in protocol.cells_of(c)} == set(
        protocol.cells
    )


def test_cityscapes_c_is_the_rule_of_segformer() -> None:
    protocol = get_protocol("cityscapes-c")
    left_out = {"zoom_blur", "elastic_transform", "pixelate"}
    assert set(protocol.corruptions) == set(NAMES) - left_out
    for name in protocol.corruptions:
        last = 3 if name in GROUPS["noise"] else 5
        assert [cell.severity for cell in protocol.cells_of(name)] == list(range(1, last + 1))


def test_the_others() -> None:
    assert set(get_protocol("all-19x5").corruptions) == set(NAMES)
    assert {cell.severity for cell in get_protocol("fan-1to3").cells} == {1, 2, 3}
    assert get_protocol("robodet-15x5").corruptions == COMMON
    assert get_protocol("imagenet-c").acts == "after_crop"
    assert {p.acts for p in PROTOCOLS.values() if p.name != "imagenet-c"} == {"native"}
    assert set(get_protocol("cbar").corruptions) == set(CBAR)
    assert "no standard" in get_protocol("ade20k-c").source


def test_a_pass_is_compared_with_the_next_weaker_one() -> None:
    protocol = get_protocol("cityscapes-c")
    for index, cell in enumerate(protocol.passes):
        weaker = protocol.passes[protocol.weaker_pass(index)]
        expected = (cell.corruption, cell.severity - 1) if cell.severity > 1 else ("clean", 0)
        assert weaker == expected
    fog = get_protocol("demo").passes.index(Cell("fog", 2))  # the demo has severities 2 and 4
    assert get_protocol("demo").weaker_pass(fog) == 0
    assert get_protocol("demo").weaker_pass(fog + 1) == fog


def test_an_unknown_protocol_lists_all() -> None:
    with pytest.raises(InputError) as caught:
        get_protocol("cityscape-c")
    assert "Did you mean 'cityscapes-c'?" in str(caught.value)
    assert all(name in str(caught.value) for name in PROTOCOLS)
