"""The files that a run leaves behind."""

from __future__ import annotations

from pathlib import Path

from small_counts import CLASSES, PROTOCOL, random_counts

from mmseg_robust.evaluation.export import to_csv, to_markdown
from mmseg_robust.evaluation.record import build_record
from mmseg_robust.evaluation.record_files import read_counts, read_record
from mmseg_robust.evaluation.report import write_report


def test_the_files_of_a_report(tmp_path: Path) -> None:
    counts = random_counts()
    record = build_record(PROTOCOL, counts, CLASSES, {"seed": 0})
    paths = write_report(tmp_path / "new", record, counts, PROTOCOL)
    assert [path.name for path in paths] == [
        "robustness.json",
        "robustness_images.npz",
        "robustness.csv",
        "robustness.md",
    ]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    assert read_record(paths[0])["summary"] == record["summary"]
    again = build_record(PROTOCOL, read_counts(paths[1]), CLASSES, {"seed": 0})
    assert again["cells"] == record["cells"] and again["summary"] == record["summary"]
    assert paths[2].read_text() == to_csv(record)
    assert paths[3].read_text() == to_markdown(record, PROTOCOL)
