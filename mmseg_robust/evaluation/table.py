"""The record of a robustness run as a table in the log."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log
from prettytable import PrettyTable

from mmseg_robust.corruptions import Cell, Protocol
from mmseg_robust.evaluation.measures import measure_of


def log_record(record: Mapping[str, Any], protocol: Protocol, logger: Any) -> None:
    """Logs a record's table, its notes, and the cells for which the model gave NaN.

    Args:
        record (Mapping[str, Any]): A record.
        protocol (Protocol): Its protocol.
        logger (Any): A logger, or a name of one that ``mmengine.logging.print_log`` knows.
    """
    print_log(f"\n{format_table(record, protocol)}", logger)
    for note in record["notes"]:
        print_log(note, logger)
    for entry in [record["clean"], *record["cells"]]:
        if entry["nan_images"]:
            print_log(
                f"The model gave NaN for {entry['nan_images']} images of cell "
                f"{Cell(entry['corruption'], entry['severity'])}; {measure_of(record).if_nan}.",
                logger,
                logging.WARNING,
            )


def format_table(record: Mapping[str, Any], protocol: Protocol) -> str:
    """The record as a plain table with lines that sum it up, at most 100 characters wide.

    Args:
        record (Mapping[str, Any]): A record.
        protocol (Protocol): Its protocol.

    Returns:
        str: Several lines of text: mIoU or top-1 error in percent.
    """
    table = PrettyTable(columns(record, protocol))
    table.align = "r"
    table.align["corruption"] = "l"
    for row in rows(record, protocol):
        table.add_row(list(row.cells), divider=row.ends_block)
    return "\n".join([table.get_string(), *headline(record)])


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        cells (tuple[str, ...]): One text a column.
        ends_block (bool): Whether a line is drawn below. Defaults to False.
    """

    cells: tuple[str, ...]
    ends_block: bool = False


def columns(record: Mapping[str, Any], protocol: Protocol) -> list[str]:
    """Heads of the columns: severities, their mean with its interval, and CE with a baseline.

    Args:
        record (Mapping[str, Any]): A record.
        protocol (Protocol): Its protocol.

    Returns:
        list[str]: The heads.
    """
    severities = [f"s{severity}" for severity in record["severities"]]
    errors = [] if record["baseline"] is None else ["CE"]
    return ["corruption", *severities, "mean", "95 %", *errors]


def rows(record: Mapping[str, Any], protocol: Protocol) -> list[Row]:
    """The clean images, the corruptions by group with the group's mean, and the mean.

    Args:
        record (Mapping[str, Any]): A record.
        protocol (Protocol): Its protocol.

    Returns:
        list[Row]: The rows, see :func:`columns`.
    """
    severities, summary = list(record["severities"]), record["summary"]
    blank, key = [None] * len(severities), measure_of(record).key
    figures = {(e["corruption"], str(e["severity"])): e[key] for e in record["cells"]}

    def row(name: str, by_severity: list, entry: Mapping[str, Any], ends: bool = False) -> Row:
        texts = [digits(value) for value in (*by_severity, entry[key])]
        errors = [] if record["baseline"] is None else [digits(entry.get("CE"))]
        return Row((name, *texts, _span(entry[f"{key}_interval"]), *errors), ends)

    found = [row("clean", blank, record["clean"], True)]
    for group, names in protocol.groups.items():
        for name in names:
            by_severity = [figures.get((name, severity)) for severity in severities]
            found.append(row(name, by_severity, record["corruptions"][name]))
        found.append(row(f"[{group}]", blank, record["groups"][group], True))
    mean = {
        key: summary["mean"],
        f"{key}_interval": summary["mean_interval"],
        "CE": summary.get("mCE"),
    }
    by_severity = [entry[key] for entry in record["severities"].values()]
    return [*found, row("mean", by_severity, mean)]


def headline(record: Mapping[str, Any]) -> list[str]:
    """The figures that sum a record up, with their intervals in brackets.

    Args:
        record (Mapping[str, Any]): A record.

    Returns:
        list[str]: A few lines.
    """
    summary, protocol, measure = record["summary"], record["protocol"], measure_of(record)
    clean, mean, retention = (
        f"{digits(summary[name])}{unit}{_brackets(summary[f'{name}_interval'])}"
        for name, unit in (("clean", ""), ("mean", ""), ("retention", " %"))
    )
    what = f"{protocol['name']} (version {protocol['version']}), {record['num_images']} images: "
    scores = f"clean {clean}, corrupted {mean},"
    # A score needs no name, an error does.
    first = [f"{what}{measure.title}", scores] if measure.is_error else [what + scores]
    lines = [*first, f"retention {retention}"]
    shares = {"ECE clean": "clean_ECE", "ECE corrupted": "ECE", "flip rate": "flip_rate"}
    known = [
        f"{name} {digits(summary[key], 4)}"
        for name, key in shares.items()
        if summary[key] is not None and not math.isnan(summary[key])
    ]
    if known:
        lines.append(", ".join(known))
    if "mCE" in summary:
        lines += _against(record["baseline"], summary)
    if summary["mean_interval"] is not None:
        lines.append("In brackets: 95 % bootstrap intervals over images.")
    return lines


def _against(baseline: str, summary: Mapping[str, Any]) -> list[str]:
    intervals = summary.get("difference_interval", {})
    mean, retention = (
        f"{summary['difference'][name]:+.2f}{_brackets(intervals.get(name), '+')}"
        for name in ("mean", "retention")
    )
    return [
        f"mCE {digits(summary['mCE'])}, relative mCE {digits(summary['relative_mCE'])}, "
        f"corrupted {mean}, retention {retention}",
        f"against {baseline}",
    ]


def digits(value: float | None, count: int = 2) -> str:
    """A figure for a table.

    Args:
        value (float, optional): The figure.
        count (int): Digits behind the point. Defaults to 2.

    Returns:
        str: Its digits; nothing where there is none.
    """
    return "" if value is None else f"{value:.{count}f}"


def _span(interval: list[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.1f}-{interval[1]:.1f}"


def _brackets(interval: list[float] | None, sign: str = "") -> str:
    if interval is None:
        return ""
    return f" [{interval[0]:{sign}.2f}, {interval[1]:{sign}.2f}]"
