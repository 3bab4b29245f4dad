"""The sections on what was run, and what to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmseg_robust.corruptions import CLEAN, Cell
from mmseg_robust.evaluation.page.markup import definitions, escape, number, section
from mmseg_robust.evaluation.record_entries import Record, find

_PLACES = {
    "native": "at the image's own resolution, before any resize",
    "after_crop": "after resize and centre crop",
}
_RULES = {
    "mean_of_corruption_means": "mean over the severities of each corruption, then over the "
    "corruptions"
}


def what_was_run(record: Record) -> str:
    """Protocol, run and versions.

    Args:
        record (Record): The run.

    Returns:
        str: HTML.
    """
    run = find(record, "run") or {}
    parts = [definitions({**_protocol(record), **_scalars(run)})]
    versions = run.get("versions")
    if versions:
        parts += ["<h3>Versions</h3>", definitions(versions, "facts short")]
    return section("run", "What was run", *parts)


def _protocol(record: Record) -> dict[str, Any]:
    acts, rule = find(record, "protocol", "acts"), find(record, "protocol", "averaging")
    facts = {
        "protocol": f"{find(record, 'protocol', 'name')}, version "
        f"{find(record, 'protocol', 'version')}",
        "source of the protocol": find(record, "protocol", "source"),
        "corruptions act": _PLACES.get(acts, acts),
        "averaging": _RULES.get(rule, rule),
        "images": find(record, "num_images"),
        "source of the figures": find(record, "source"),
        "baseline": find(record, "baseline"),
        "intervals": _bootstrap(record),
    }
    return {key: value for key, value in facts.items() if value is not None}


def _bootstrap(record: Record) -> str | None:
    settings = find(record, "bootstrap")
    if not settings:
        return None
    return (
        f"bootstrap over images, {settings.get('resamples')} resamples, seed "
        f"{settings.get('seed')}, level {number(settings.get('level'))}"
    )


def _scalars(run: Mapping[str, Any]) -> dict[str, Any]:
    """What a run tells of itself, whatever it is, but for tables within it."""
    return {
        key.replace("_", " "): value
        for key, value in run.items()
        if value is not None and not isinstance(value, (Mapping, list))
    }


def notes(record: Record) -> str:
    """The record's notes, and the cells for which the model gave NaN.

    Args:
        record (Record): The run.

    Returns:
        str: HTML; empty where there is nothing to note.
    """
    lines = [*(find(record, "notes") or ())]
    for entry in [find(record, "clean") or {}, *(find(record, "cells") or ())]:
        if entry.get("nan_images"):
            place = Cell(entry.get("corruption", CLEAN.corruption), entry.get("severity", 0))
            lines.append(f"The model gave NaN for {entry['nan_images']} images of cell {place}.")
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return section("notes", "Notes", f"<ul>{items}</ul>")
