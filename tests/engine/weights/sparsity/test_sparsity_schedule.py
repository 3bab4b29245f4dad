"""When masks change, and the counting of updates that took place."""

import math

import pytest
import torch

from mmseg_robust.engine.weights.sparsity.schedule import (
    UpdateCounter,
    UpdateSchedule,
    resolve_schedule,
)
from mmseg_robust.errors import InputError


def test_updates_are_due_every_interval_up_to_the_end():
    schedule = UpdateSchedule(10, 0.3, 35)
    due, at = [], 0
    while (at := schedule.next_after(at)) is not None:
        due.append(at)
    assert due == [10, 20, 30]
    assert schedule.last == 30
    assert schedule.next_after(14) == 20, "a resumed run goes on between two changes"
    assert schedule.next_after(20) == 30


def test_fraction_falls_by_a_cosine_to_0_at_the_end():
    schedule = UpdateSchedule(10, 0.3, 40)
    for update in range(0, 41, 10):
        expected = 0.3 / 2 * (1 + math.cos(math.pi * update / 40))
        assert schedule.fraction(update) == pytest.approx(expected)
    assert schedule.fraction(40) == 0


def test_surplus_and_pruning_reach_their_ends_at_the_last_change():
    schedule = UpdateSchedule(10, 0.3, 35)
    assert schedule.surplus(0) == 1
    assert 0 < schedule.surplus(20) < schedule.surplus(10) < 1
    assert schedule.surplus(30) == 0
    assert schedule.pruned(0) == 0
    assert schedule.pruned(15) == pytest.approx(1 - 0.5**3)
    assert schedule.pruned(30) == 1


@pytest.mark.parametrize(
    ("end", "iterations", "accumulation", "expected"),
    [(0.75, 100, 1, 75), (0.75, 100, 4, 19), (1.0, 10, 3, 4), (60, 100, 1, 60)],
)
def test_the_end_is_in_optimizer_updates(end, iterations, accumulation, expected):
    assert resolve_schedule(1, 0.3, end, iterations, accumulation).end == expected


@pytest.mark.parametrize(
    ("interval", "end", "message"),
    [
        (100, 0.5, "interval=100 is longer than the part of the run in which masks change, 50"),
        (10, 101, "end=101 lies after the last of the run's 100 optimizer updates"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_an_error(interval, end, message):
    with pytest.raises(InputError, match=message):
        resolve_schedule(interval, 0.3, end, 100, 1)


def test_counter_without_a_scaler_never_looks_at_a_tensor():
    counter = UpdateCounter(3)
    counter.add(None)
    assert counter.reached(4)
    assert not counter.reached(5)
    assert counter.value() == 4


def test_counter_leaves_out_what_a_fused_optimizer_skipped():
    counter = UpdateCounter()
    reached = []
    for skipped in (1, 0, 0, 1, 0, 0):
        counter.add(torch.tensor(float(skipped)))
        reached.append(counter.reached(3))
    # Six calls, updates at the 2nd, 3rd, 5th and 6th.
    assert reached == [False, False, False, False, True, True]
    assert counter.value() == 4


def test_counter_reads_the_device_about_once_a_change(monkeypatch):
    reads = []
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda self: reads.append(1) or item(self))
    counter, changes, due = UpdateCounter(), 0, 20
    for call in range(200):
        counter.add(torch.tensor(float(call % 50 == 7)))
        if counter.reached(due):
            changes, due = changes + 1, due + 20
    assert changes == 9, "196 updates"
    assert len(reads) <= changes + 5
