"""The sections on corruptions: bars, curves, heat map and table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from mmseg_robust.evaluation.measures import Measure, measure_of
from mmseg_robust.evaluation.page.charts import Bars, bar_chart, curve_chart, upper_limit
from mmseg_robust.evaluation.page.content import (
    Score,
    cells_of,
    difference,
    groups_of,
    kept,
    score,
    severities_of,
    summary,
)
from mmseg_robust.evaluation.page.markup import (
    ABSENT,
    cell,
    escape,
    interval,
    number,
    percent,
    readable,
    row,
    section,
    table,
)
from mmseg_robust.evaluation.page.svg import BASELINE, RUN
from mmseg_robust.evaluation.record_entries import Record, bounds, figure, find

COLOUR_MAP = "viridis"  # reads without colour vision, and on a light and a dark page
DARK_TEXT_FROM = 0.179  # luminance from which black has more contrast than white (WCAG 2)


def by_corruption(record: Record, baseline: Record | None) -> str:
    """The section of the bars and of the table behind them."""
    groups, measure = groups_of(record), measure_of(record)
    bars = {
        group: [
            Bars(
                readable(name),
                score(find(record, "corruptions", name), measure),
                None if baseline is None else score(find(baseline, "corruptions", name), measure),
            )
            for name in names
        ]
        for group, names in groups.items()
    }
    clean = summary(record, "clean")
    shown = [s for rows in bars.values() for b in rows for s in (b.run, b.baseline) if s]
    limit = upper_limit([*shown, Score(clean)])
    charts = [
        (group, bar_chart(rows, clean, limit, f"bars-{place}"))
        for place, (group, rows) in enumerate(bars.items())
    ]
    return section(
        "corruptions", "By corruption",
        f"<p>{_in_percent(measure)}, mean over the severities of a corruption.</p>",
        _bar_legend(clean, baseline is not None), _charts(charts), _table(record, baseline),
    )  # fmt: skip


def _in_percent(measure: Measure) -> str:
    return f"{measure.heading} in percent{' (less is better)' * measure.is_error}"


def _charts(charts: Iterable[tuple[str, str]]) -> str:
    figures = (
        f"<figure><figcaption>{escape(readable(name))}</figcaption>{svg}</figure>"
        for name, svg in charts
    )
    return f'<div class="charts">{"".join(figures)}</div>'


def _bar_legend(clean: float | None, with_baseline: bool) -> str:
    items = [("run", "this run")]
    if with_baseline:
        items.append(("baseline", "baseline"))
    if clean is not None:
        items.append(("clean", f"clean images, {number(clean, 1)}"))
    entries = (f'<li class="{name}">{escape(text)}</li>' for name, text in items)
    return f'<ul class="legend">{"".join(entries)}</ul>'


class _Column(NamedTuple):
    """A column of the table: how an entry and the baseline's are written."""

    title: str
    write: Callable[[Record, Record], str]


def _columns(record: Record, baseline: Record | None) -> list[_Column]:
    measure, clean = measure_of(record), summary(record, "clean")

    def value(entry: Record) -> float | None:
        return figure(entry, measure.key)

    columns = [
        _Column(measure.title, lambda e, _: number(value(e))),
        _Column("interval", lambda e, _: interval(score(e, measure).bounds)),
    ]
    if baseline is not None:
        columns += [
            _Column("baseline", lambda _, b: number(value(b))),
            _Column("difference", lambda e, b: number(difference(value(e), value(b)), sign=True)),
        ]
    columns += [
        _Column("retention %", lambda e, _: number(kept(measure, value(e), clean), 1)),
        _Column("CE", lambda e, _: number(figure(e, "CE"), 1)),
        _Column("relative CE", lambda e, _: number(figure(e, "relative_CE"), 1)),
        _Column("ECE", lambda e, _: number(figure(e, "ECE"), 3)),
        _Column("flips %", lambda e, _: number(percent(figure(e, "flip_rate")), 1)),
    ]
    keys = {"interval": f"{measure.key}_interval", "CE": "CE", "relative CE": "relative_CE"}
    keys.update({"ECE": "ECE", "flips %": "flip_rate"})
    entries = list((record.get("corruptions") or {}).values())
    return [
        column
        for column in columns
        if column.title not in keys or any(keys[column.title] in entry for entry in entries)
    ]


def _table(record: Record, baseline: Record | None) -> str:
    columns = _columns(record, baseline)
    rows = []
    for group, names in groups_of(record).items():
        if find(record, "groups", group) is not None:
            rows.append(_row("groups", group, columns, record, baseline, 'class="group"'))
        rows += [_row("corruptions", name, columns, record, baseline) for name in names]
    titles = ["corruption", *(column.title for column in columns)]
    return table("Figures by corruption; groups are means over their corruptions", titles, rows)


def _row(
    kind: str,
    name: str,
    columns: list[_Column],
    record: Record,
    baseline: Record | None,
    attributes: str = "",
) -> str:
    entry = find(record, kind, name) or {}
    other = find(baseline, kind, name) or {}
    texts = [column.write(entry, other) for column in columns]
    if kind == "groups":  # which have no CE
        texts = ["" if text == ABSENT else text for text in texts]
    return row(readable(name), map(cell, texts), attributes)


def severity_curves(record: Record, baseline: Record | None) -> str:
    """The section of the curves; empty where the record has no cells."""
    cells, measure = cells_of(record), measure_of(record)
    if not cells:
        return ""
    clean = score(find(record, "clean"), measure)
    overall = {"this run": _overall(record), "baseline": _overall(baseline)}
    overall = {name: curve for name, curve in overall.items() if curve}
    groups = {
        group: {
            readable(name): {
                0: clean,
                **{s: score(entry, measure) for (c, s), entry in cells.items() if c == name},
            }
            for name in names
        }
        for group, names in groups_of(record).items()
    }
    every = [overall, *groups.values()]
    scores = [s for curves in every for curve in curves.values() for s in curve.values()]
    limit = upper_limit(scores)
    bands = "Bands are intervals." if any(s.bounds for s in scores) else ""
    charts = [
        (group, curve_chart(curves, limit, f"curves-{place}"))
        for place, (group, curves) in enumerate(groups.items())
    ]
    if "this run" in overall:
        svg = curve_chart(overall, limit, "curves-all", (RUN, BASELINE))
        charts.insert(0, ("all corruptions", svg))
    return section(
        "severities", "By severity",
        f"<p>{_in_percent(measure)} by severity. {bands}</p>", _charts(charts),
    )  # fmt: skip


def _overall(record: Record | None) -> dict[int, Score]:
    severities = find(record, "severities") or {}
    if record is None or not severities:
        return {}
    clean = Score(summary(record, "clean"), bounds(record, "summary", "clean_interval"))
    measure = measure_of(record)
    return {0: clean, **{int(s): score(entry, measure) for s, entry in severities.items()}}


def heat_map(record: Record) -> str:
    """The section of the heat map, a table of coloured cells; empty where there are no cells."""
    cells, severities = cells_of(record), severities_of(record)
    if not cells:
        return ""
    clean, measure = summary(record, "clean"), measure_of(record)
    rows = []
    for names in groups_of(record).values():
        for place, name in enumerate(names):
            entries = [cells.get((name, s)) for s in severities]
            entries.append(find(record, "corruptions", name))
            shown = [_heat(score(entry, measure), clean, measure) for entry in entries]
            rows.append(row(readable(name), shown, 'class="first"' if place == 0 else ""))
    return section(
        "cells", "All cells",
        f"<p>{measure.heading} in percent; the colour shows how much of the clean "
        f"{'accuracy' if measure.is_error else 'score'} is kept: "
        f'<span class="scale" style="background:{_gradient()}">0 % to 100 %</span></p>',
        table(
            f"{measure.heading} by corruption and severity",
            ["corruption", *(f"severity {s}" for s in severities), "mean"],
            rows,
            'class="heat"',
        ),
    )  # fmt: skip


def _heat(value: Score, clean: float | None, measure: Measure) -> str:
    share = kept(measure, value.value, clean)
    if share is None:
        return cell(number(value.value, 1) if value.value is not None else "")
    background, text = _colours(share / 100)
    title = interval(value.bounds)
    attributes = f'style="background:{background};color:{text}"'
    return cell(number(value.value, 1), attributes + (f' title="interval {title}"' * bool(title)))


def _colours(share: float) -> tuple[str, str]:
    """Background and text colour for a share of 0 to 1."""
    import matplotlib  # here, as in svg.py

    rgb = matplotlib.colormaps[COLOUR_MAP](min(max(share, 0.0), 1.0))[:3]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    background = "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)
    return background, "#000" if luminance >= DARK_TEXT_FROM else "#fff"


def _gradient() -> str:
    stops = ",".join(_colours(place / 8)[0] for place in range(9))
    return f"linear-gradient(90deg,{stops})"
