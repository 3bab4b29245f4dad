"""Loading in a thread, ahead of who takes the items."""

from __future__ import annotations

import threading
import time

import pytest

from mmseg_robust.engine.loops.cell_batches import loaded_ahead


def settled(asked: list[int]) -> list[int]:
    """What was asked for once nothing more is."""
    before: list[int] | None = None
    while before != asked:
        before = list(asked)
        time.sleep(0.05)
    return asked


def test_items_come_in_order_and_only_a_few_ahead() -> None:
    asked: list[int] = []

    def load(index: int) -> int:
        asked.append(index)
        return 10 * index

    items = loaded_ahead(load, range(3, 9))
    assert asked == []
    assert next(items) == 30
    assert settled(asked) == [3, 4, 5], "one in use, two ahead"
    assert list(items) == [40, 50, 60, 70, 80]
    assert asked == list(range(3, 9))


def test_an_error_is_raised_where_its_item_is_due() -> None:
    def load(index: int) -> int:
        if index == 1:
            raise OSError("unreadable")
        return index

    items = loaded_ahead(load, range(5))
    assert next(items) == 0
    with pytest.raises(OSError, match="unreadable"):
        next(items)


def test_who_stops_early_leaves_no_thread() -> None:
    threads = threading.active_count()
    items = loaded_ahead(lambda index: index, range(100))
    next(items)
    items.close()
    assert threading.active_count() == threads
