"""The files of a robustness run's report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_robust.corruptions import Protocol
from mmseg_robust.evaluation.export import to_csv, to_markdown
from mmseg_robust.evaluation.record_files import images_path, write_counts, write_record
from mmseg_robust.evaluation.results import RunResult
from mmseg_robust.files import write_whole

RECORD = "robustness.json"


def write_report(
    folder: str | Path, record: Mapping[str, Any], counts: RunResult, protocol: Protocol
) -> list[Path]:
    """Writes what a run leaves behind, each file whole or not at all.

    Args:
        folder (str | Path): Where to; it is made.
        record (Mapping[str, Any]): The record of the run.
        counts (RunResult): What it was made from.
        protocol (Protocol): Its protocol.

    Returns:
        list[Path]: ``robustness.json``, the record; ``robustness_images.npz``, what each image
        left; ``robustness.csv``, a line a cell; ``robustness.md``, the table.
    """
    record_path = Path(folder) / RECORD
    counts_path = images_path(record_path)
    write_record(record, record_path)
    write_counts(counts, counts_path)
    texts = {".csv": to_csv(record), ".md": to_markdown(record, protocol)}
    paths = [record_path.with_suffix(suffix) for suffix in texts]
    for path, text in zip(paths, texts.values()):
        write_whole(path, text.encode())
    return [record_path, counts_path, *paths]
