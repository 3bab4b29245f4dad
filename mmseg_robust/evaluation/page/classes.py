"""The section on classes."""

from __future__ import annotations

from mmseg_robust.evaluation.page.content import class_scores, difference
from mmseg_robust.evaluation.page.markup import cell, number, row, section, table
from mmseg_robust.evaluation.record_entries import Record


def by_class(record: Record, baseline: Record | None) -> str:
    """The table of IoU by class, the greatest loss first.

    Args:
        record (Record): The run.
        baseline (Record, optional): The run to compare with.

    Returns:
        str: HTML; empty where the record has no scores by class.
    """
    classes = class_scores(record)
    if not classes:
        return ""
    others = {} if baseline is None else {c.name: c for c in class_scores(baseline)}
    columns = ["class", "clean", "corrupted", "loss", "retention %"]
    if others:
        columns.append("corrupted, against the baseline")
    rows = []
    for scores in classes:
        cells = [
            cell(number(scores.clean)),
            cell(number(scores.corrupted)),
            cell(number(scores.loss)),
            cell(number(scores.retention, 1)),
        ]
        if others:
            other = others.get(scores.name)
            change = difference(scores.corrupted, other.corrupted) if other else None
            cells.append(cell(number(change, sign=True)))
        rows.append(row(scores.name, cells))
    return section(
        "classes", "By class",
        "<p>IoU in percent, the greatest loss first. Corrupted: mean over the severities of each "
        "corruption, then over the corruptions.</p>",
        table("IoU by class", columns, rows),
    )  # fmt: skip
