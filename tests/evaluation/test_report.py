"""Records: their figures, their file, their use as a baseline."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from mmseg_robust.corruptions import Cell, get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.areas import CellCounts
from mmseg_robust.evaluation.report import (
    SCHEMA,
    build_record,
    check_writable,
    flat_metrics,
    read_baseline,
    write_record,
)

PROTOCOL = get_protocol("demo")


def record(hits: int = 50, baseline: str | None = None) -> dict[str, Any]:
    """A record in which the first of two classes has 100 pixels, the second none; clean 80 hits."""
    counts = CellCounts(len(PROTOCOL.passes), 2)
    for index, cell in enumerate(PROTOCOL.passes):
        right = 80 if index == 0 else hits - cell.severity
        areas = torch.tensor([[right, 0], [100, 0], [100, 0]])
        counts.add(index, areas, torch.tensor(cell == Cell("fog", 2)))
    other = None if baseline is None else read_baseline(baseline, PROTOCOL)
    return build_record(PROTOCOL, counts, ("a", "b"), {"seed": 7}, other)


def iou(hits: int) -> float:
    return 100 * hits / (200 - hits)


def test_figures_by_hand() -> None:
    result = record()
    assert result["protocol"]["name"] == "demo"
    assert result["run"] == {"seed": 7}
    assert result["num_images"] == 1
    assert result["clean"]["mIoU"] == pytest.approx(iou(80))
    fog = next(e for e in result["cells"] if (e["corruption"], e["severity"]) == ("fog", 2))
    assert fog["areas"] == {
        "intersect": [48, 0],
        "union": [152, 0],
        "prediction": [100, 0],
        "label": [100, 0],
    }
    assert (fog["mIoU"], fog["aAcc"], fog["mAcc"]) == pytest.approx((iou(48), 48, 48))
    assert fog["IoU"][0] == pytest.approx(iou(48))
    assert math.isnan(fog["IoU"][1])
    assert fog["nan_images"] == 1
    mean = (iou(48) + iou(46)) / 2  # severities 2 and 4 of every corruption
    assert result["corruptions"]["fog"] == {"mIoU": pytest.approx(mean)}
    assert result["groups"]["weather"] == {"mIoU": pytest.approx(mean)}
    assert result["summary"] == pytest.approx(
        {"clean": iou(80), "mean": mean, "retention": 100 * mean / iou(80)}
    )


def test_flat_metrics_are_rounded() -> None:
    metrics = flat_metrics(record())
    assert metrics["clean"] == round(iou(80), 2)
    assert {"mean", "retention", "noise", "fog"} <= metrics.keys()
    assert "mCE" not in metrics


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_record(record(), path)
    text = path.read_text()
    assert "NaN" not in text
    loaded = json.loads(text)
    assert loaded["clean"]["IoU"][1] is None
    assert loaded["cells"][3]["mIoU"] == record()["cells"][3]["mIoU"]
    assert os.listdir(path.parent) == ["record.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(record(), path)
    before = path.read_text()
    with pytest.raises(TypeError):
        write_record({"cells": [], "bad": object()}, path)
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["record.json"]


def test_errors_against_a_baseline(tmp_path: Path) -> None:
    path = str(tmp_path / "baseline.json")
    write_record(record(hits=40), path)
    result = record(hits=50, baseline=path)
    better, worse = (iou(48) + iou(46)) / 2, (iou(38) + iou(36)) / 2
    assert result["corruptions"]["fog"]["CE"] == pytest.approx(100 * (100 - better) / (100 - worse))
    relative = 100 * (iou(80) - better) / (iou(80) - worse)
    assert result["summary"]["relative_mCE"] == pytest.approx(relative)
    assert flat_metrics(result)["mCE"] == round(result["summary"]["mCE"], 2)
    assert result["baseline"] == path


def test_a_published_table_serves_as_baseline(tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    means = {name: {"mIoU": 40.0} for name in PROTOCOL.corruptions}
    subset = {
        "schema": SCHEMA,
        "protocol": {"name": "demo", "version": 1},
        "clean": {"mIoU": 80.0},
        "corruptions": means,
    }
    path.write_text(json.dumps(subset))
    baseline = read_baseline(path, PROTOCOL).figures
    assert (baseline.mean, baseline.retention) == (40, 50)
    del means["fog"]
    path.write_text(json.dumps(subset))
    with pytest.raises(InputError, match=r"lacks 'corruptions\.fog\.mIoU'"):
        read_baseline(path, PROTOCOL)


def test_what_a_baseline_tells_of_its_run(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_record(record(), path)
    baseline = read_baseline(path, PROTOCOL)
    assert (baseline.classes, baseline.num_images, baseline.seed) == (("a", "b"), 1, 7)
    stripped = {k: v for k, v in record().items() if k not in ("classes", "num_images", "run")}
    write_record(stripped, path)
    baseline = read_baseline(path, PROTOCOL)
    assert (baseline.classes, baseline.num_images, baseline.seed) == (None, None, None)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"protocol": None}, r"lacks 'protocol\.name'"),
        ({"protocol": {"name": "demo"}}, r"lacks 'protocol\.version'"),
        ({"clean": 80}, r"lacks 'clean\.mIoU'"),
        ({"clean": {"mIoU": "high"}}, r"has 'high' as 'clean\.mIoU': a score must be a number"),
        ({"clean": {"mIoU": 180}}, r"has 180 as 'clean\.mIoU'"),
        ({"corruptions": [1]}, r"lacks 'corruptions\.gaussian_blur\.mIoU'"),
        ({"classes": "road"}, "has 'road' as 'classes': it must be a list"),
    ],
)
def test_wrong_entries_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    path = tmp_path / "baseline.json"
    write_record({**record(), **changes}, path)
    with pytest.raises(InputError, match=rf"baseline\.json' {message}"):
        read_baseline(path, PROTOCOL)


def test_a_baseline_without_protocol_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_record({k: v for k, v in record().items() if k != "protocol"}, path)
    with pytest.raises(InputError, match=r"lacks 'protocol\.name'"):
        read_baseline(path, PROTOCOL)


@pytest.mark.parametrize("text", ["", "[1]", '{"schema": "other"}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other\.json"):
        read_baseline(path, PROTOCOL)


def test_other_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    old = record()
    old["protocol"]["version"] = 0
    write_record(old, path)
    with pytest.raises(InputError, match="demo version 0, this run uses demo version 1"):
        read_baseline(path, PROTOCOL)


def test_check_writable(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "o.json")
    assert (tmp_path / "new").is_dir()
    with pytest.raises(InputError, match="it is a folder"):
        check_writable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        check_writable(tmp_path / "file" / "o.json")
