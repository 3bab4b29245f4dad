"""The figures that a reader looks for first."""

from __future__ import annotations

from mmseg_robust.evaluation.measures import measure_of
from mmseg_robust.evaluation.page.content import difference, summary
from mmseg_robust.evaluation.page.markup import escape, interval, number, percent, section
from mmseg_robust.evaluation.record_entries import Record, bounds, figure, find

_MCE = "error under corruption over that of the baseline; below 100 is better than it"
_ECE = "calibration error under corruption: how far confidence lies from accuracy; 0 is best"
_MEAN = "mean over the severities of each corruption, then over the corruptions"


def headline(record: Record, baseline: Record | None) -> str:
    """The section of the headline figures.

    Args:
        record (Record): The run.
        baseline (Record, optional): The run to compare with.

    Returns:
        str: HTML. Figures that the record does not have are left out.
    """
    measure = measure_of(record)
    score = "accuracy" if measure.is_error else measure.title
    retention = f"corrupted {score} over clean {score}"
    cards = [
        _score_card(f"Clean {measure.title}", "", "clean", record, baseline),
        _score_card(f"Corrupted {measure.title}", _MEAN, "mean", record, baseline),
        _score_card("Retention", retention, "retention", record, baseline),
        _error_card(record),
        _calibration_card(record),
        _flip_card(record),
    ]
    return section("figures", "Figures", f'<dl class="cards">{"".join(filter(None, cards))}</dl>')


def _card(title: str, value: str, meaning: str, *details: str) -> str:
    lines = "".join(f"<dd>{escape(detail)}</dd>" for detail in details if detail)
    if meaning:
        lines += f'<dd class="meaning">{escape(meaning)}</dd>'
    return f'<div><dt>{escape(title)}</dt><dd class="value">{escape(value)}</dd>{lines}</div>'


def _score_card(title: str, meaning: str, key: str, record: Record, baseline: Record | None) -> str:
    value = summary(record, key)
    unit = " %" if key == "retention" else ""
    return _card(
        title,
        number(value) + unit,
        meaning,
        _interval_line(record, f"{key}_interval"),
        "" if baseline is None else _against(key, record, value, baseline),
    )


def _interval_line(record: Record, key: str) -> str:
    limits = bounds(record, "summary", key)
    if limits is None:
        return ""
    level = figure(record, "bootstrap", "level")
    percentage = "" if level is None else f"{number(100 * level, 0)}\u00a0% "
    return f"{percentage}interval {interval(limits)}"


def _against(key: str, record: Record, value: float | None, baseline: Record) -> str:
    change = number(difference(value, summary(baseline, key)), sign=True)
    limits = interval(bounds(record, "summary", "difference_interval", key), sign=True)
    return " ".join(filter(None, (change, limits, "against the baseline")))


def _error_card(record: Record) -> str | None:
    if find(record, "summary", "mCE") is None:
        return None
    relative = figure(record, "summary", "relative_mCE")
    return _card(
        "mCE",
        number(figure(record, "summary", "mCE")),
        _MCE,
        "" if relative is None else f"relative {number(relative)}",
    )


def _calibration_card(record: Record) -> str | None:
    value = figure(record, "summary", "ECE")
    if value is None:
        return None
    clean = figure(record, "summary", "clean_ECE")
    return _card(
        "ECE",
        number(value, 3),
        _ECE,
        "" if clean is None else f"clean {number(clean, 3)}",
    )


def _flip_card(record: Record) -> str | None:
    value = figure(record, "summary", "flip_rate")
    if value is None:
        return None
    meaning = f"{measure_of(record).counted} whose prediction changes from one severity to the next"
    return _card("Flip rate", f"{number(percent(value))} %", meaning)
