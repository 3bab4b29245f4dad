"""Records and published tables as baselines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_counts import PROTOCOL, random_counts
from test_record import record

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.record_files import SCHEMA, images_path, write_counts, write_record

ROOT = Path(__file__).parents[2]


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


def test_a_published_table_is_found_by_name() -> None:
    baseline = read_baseline("segformer-b5", get_protocol("cityscapes-c"))
    assert baseline.path == "segformer-b5"
    assert round(baseline.figures.retention, 1) == 79.9
    assert baseline.counts_path is None


def test_a_record_of_version_1_serves_as_baseline() -> None:
    path = Path(__file__).with_name("data") / "version_1_plain.json"
    content = json.loads(path.read_text())
    assert content["schema_version"] == 1
    figures = read_baseline(path, get_protocol("cityscapes-c")).figures
    summary = content["summary"]
    assert (figures.clean, figures.mean) == pytest.approx((summary["clean"], summary["mean"]))
    assert figures.retention == pytest.approx(summary["retention"])


def test_what_a_baseline_tells_of_its_run(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_record(record(), path)
    baseline = read_baseline(path, PROTOCOL)
    assert (baseline.classes, baseline.num_images, baseline.seed) == (("a", "b"), 2, 7)
    assert baseline.counts_path is None
    write_counts(random_counts(), images_path(path))
    assert read_baseline(path, PROTOCOL).counts_path == tmp_path / "baseline_images.npz"
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
        ({"schema_version": 3}, "has schema version 3"),
        ({"schema": "other"}, "is no robustness record"),
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


def test_other_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    old = record()
    old["protocol"]["version"] = 0
    write_record(old, path)
    with pytest.raises(InputError, match="demo version 0, this run uses demo version 1"):
        read_baseline(path, PROTOCOL)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'segformer-b6' is neither a file nor a published"):
        read_baseline("segformer-b6", PROTOCOL)
    with pytest.raises(InputError, match="is neither a file"):
        read_baseline(tmp_path, PROTOCOL)
