"""What a page works out of a record, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.evaluation.page.content import class_scores, groups_of, summary, title_of


def entry(corruption: str, severity: int, *iou: float | None) -> dict[str, Any]:
    return {"corruption": corruption, "severity": severity, "mIoU": 1.0, "IoU": list(iou)}


def test_scores_by_class() -> None:
    record = {
        "classes": ["road", "sky", "car", "gone"],
        "clean": entry("clean", 0, 80.0, 60.0, None, 50.0),
        "cells": [
            entry("fog", 1, 60.0, 50.0, 10.0, None),
            entry("fog", 2, 40.0, None, 10.0, None),
            entry("snow", 1, 20.0, 54.0, 10.0, float("nan")),
        ],
    }
    road, sky, car, gone = class_scores(record)
    # Road: fog (60 + 40) / 2, snow 20, so 35; a flat mean over the cells would be 40.
    assert (road.name, road.corrupted, road.loss) == ("road", 35, 45)
    assert road.retention == pytest.approx(100 * 35 / 80)
    assert (sky.name, sky.corrupted) == ("sky", (50 + 54) / 2)
    assert (car.clean, car.corrupted, car.loss, car.retention) == (None, 10, None, None)
    assert (gone.name, gone.corrupted, gone.loss) == ("gone", None, None)


def test_records_without_scores_by_class() -> None:
    assert class_scores({"classes": ["road"], "clean": {"mIoU": 3.0}}) == []
    assert class_scores({}) == []


def test_groups() -> None:
    protocol = get_protocol("demo")
    entries = {name: {"mIoU": 1.0} for name in protocol.corruptions}
    known = {"protocol": {"name": "demo"}, "corruptions": entries}
    assert groups_of(known) == protocol.groups
    other = {"protocol": {"name": "demo"}, "corruptions": {"fog": {}, "new": {}}}
    assert groups_of(other) == {"all corruptions": ("fog", "new")}
    assert groups_of({}) == {}


def test_summary_of_a_published_table() -> None:
    table = {
        "clean": {"mIoU": 80.0},
        "corruptions": {"fog": {"mIoU": 30.0}, "snow": {"mIoU": 50.0}},
    }
    assert [summary(table, key) for key in ("clean", "mean", "retention")] == [80, 40, 50]
    assert summary({"summary": {"mean": 7.0}, **table}, "mean") == 7
    assert summary({}, "retention") is None


def test_titles() -> None:
    run = {"checkpoint": "work_dirs/b0/iter_4.pth", "config": "configs/b0.py"}
    assert title_of({"run": run}) == "b0/iter_4.pth"
    assert title_of({"run": {"checkpoint": None, "config": "configs/b0.py"}}) == "b0.py"
    assert title_of({"run": run, "name": "PSPNet"}) == "PSPNet"
    assert title_of({}) == "unnamed run"
