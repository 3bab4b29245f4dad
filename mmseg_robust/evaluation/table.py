"""The record of a robustness run as a table in the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from prettytable import PrettyTable

from mmseg_robust.corruptions import Cell, Protocol


def log_record(record: Mapping[str, Any], protocol: Protocol, logger: Any) -> None:
    """Logs a record's table, and the cells for which the model gave NaN.

    Args:
        record (Mapping[str, Any]): A record.
        protocol (Protocol): Its protocol.
        logger (Any): A logger, or a name of one that ``mmengine.logging.print_log`` knows.
    """
    print_log(f"\n{format_table(record, protocol)}", logger)
    for entry in [record["clean"], *record["cells"]]:
        if entry["nan_images"]:
            print_log(
                f"The model gave NaN for {entry['nan_images']} images of cell "
                f"{Cell(entry['corruption'], entry['severity'])}; where the logits of a pixel hold "
                "NaN, argmax picks its class.",
                logger,
                logging.WARNING,
            )


def format_table(record: Mapping[str, Any], protocol: Protocol) -> str:
    """The record as a plain table with a line that sums it up.

    Args:
        record (Mapping[str, Any]): A record.
        protocol (Protocol): Its protocol.

    Returns:
        str: Several lines of text. Scores are mIoU in percent.
    """
    severities = sorted({cell.severity for cell in protocol.cells})
    with_errors = record["baseline"] is not None
    table = PrettyTable(["corruption", *(f"s{s}" for s in severities), "mean"])
    table.align = "r"
    table.align["corruption"] = "l"
    blank = [""] * len(severities)
    table.add_row(["clean", *blank, _digits(record["clean"]["mIoU"])], divider=True)
    scores = {(e["corruption"], e["severity"]): e["mIoU"] for e in record["cells"]}
    for group, names in protocol.groups.items():
        for name in names:
            row = [_digits(scores.get((name, s))) for s in severities]
            table.add_row([name, *row, _digits(record["corruptions"][name]["mIoU"])])
        mean = _digits(record["groups"][group]["mIoU"])
        table.add_row([f"[{group}]", *blank, mean], divider=True)
    table.add_row(["mean", *blank, _digits(record["summary"]["mean"])])
    if with_errors:
        table.add_column("CE", _error_column(record, protocol), align="r")
    return f"{table.get_string()}\n{_headline(record)}"


def _error_column(record: Mapping[str, Any], protocol: Protocol) -> list[str]:
    column = [""]
    for names in protocol.groups.values():
        column += [_digits(record["corruptions"][name]["CE"]) for name in names]
        column.append("")
    return [*column, _digits(record["summary"]["mCE"])]


def _headline(record: Mapping[str, Any]) -> str:
    summary, protocol = record["summary"], record["protocol"]
    text = (
        f"{protocol['name']} (version {protocol['version']}), {record['num_images']} images: "
        f"clean {_digits(summary['clean'])}, corrupted {_digits(summary['mean'])}, "
        f"retention {_digits(summary['retention'])} %"
    )
    if "mCE" in summary:
        text += (
            f", mCE {_digits(summary['mCE'])}, relative mCE {_digits(summary['relative_mCE'])} "
            f"against {record['baseline']}"
        )
    return text


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
