"""A record as CSV, for spreadsheets and scripts, and as Markdown, for a README."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

from mmseg_robust.corruptions import Protocol
from mmseg_robust.evaluation.measures import measure_of
from mmseg_robust.evaluation.table import columns, headline, rows

_FIGURES = ("aAcc", "mAcc", "ECE", "flip_rate", "nan_images")


def to_csv(record: Mapping[str, Any]) -> str:
    """One line a cell, the clean one first, figures unrounded; what is not known is empty.

    Args:
        record (Mapping[str, Any]): A record.

    Returns:
        str: Columns ``corruption``, ``severity``, ``mIoU``, ``mIoU_low`` and ``mIoU_high`` (its
        interval), ``aAcc``, ``mAcc``, ``ECE``, ``flip_rate``, ``nan_images``, then the IoU of each
        class as ``IoU_<class>``. For a classifier ``top1_error`` in place of ``mIoU``, and neither
        ``aAcc``, ``mAcc`` nor classes.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    key, clean = measure_of(record).key, record["clean"]
    classes = [f"IoU_{name}" for name in record["classes"]] if "IoU" in clean else []
    names = [name for name in _FIGURES if name in clean]
    score = [key, f"{key}_low", f"{key}_high"]
    writer.writerow(["corruption", "severity", *score, *names, *classes])
    for entry in [clean, *record["cells"]]:
        interval = entry[f"{key}_interval"] or (None, None)
        figures = (entry[name] for name in names)
        values = [entry[key], *interval, *figures, *entry.get("IoU", ())]
        writer.writerow([entry["corruption"], entry["severity"], *map(_known, values)])
    return buffer.getvalue()


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def to_markdown(record: Mapping[str, Any], protocol: Protocol) -> str:
    """The table of the log in Markdown, under the figures that sum it up.

    Args:
        record (Mapping[str, Any]): A record.
        protocol (Protocol): Its protocol.

    Returns:
        str: A list of figures, the table, and the notes: mIoU or top-1 error in percent.
    """
    heads = columns(record, protocol)
    table = [
        _line(heads),
        _line(["---", *["---:"] * (len(heads) - 1)]),
        *(_line(row.cells) for row in rows(record, protocol)),
    ]
    notes = [f"*{note}*\n" for note in record["notes"]]
    return "\n".join(["  \n".join(headline(record)), "", *table, "", *notes])


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
