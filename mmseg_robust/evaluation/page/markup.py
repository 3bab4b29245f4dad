"""Pieces of HTML. Every function takes plain text and escapes it, unless it says otherwise."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ABSENT = "\u2013"
"""Stands where a figure is missing or is not a number."""


def escape(text: Any) -> str:
    """Text, safe in an element and in a quoted attribute."""
    return html.escape(str(text), quote=True)


def readable(name: str) -> str:
    """A corruption's or group's name as a person writes it."""
    return name.replace("_", " ")


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A figure with this many digits behind the point, or :data:`ABSENT`."""
    if value is None or not math.isfinite(value):
        return ABSENT
    value = round(value, digits) + 0.0  # adding 0 takes the sign from a zero
    return f"{value:{'+' if sign else ''}.{digits}f}"


def interval(bounds: Sequence[float | None] | None, digits: int = 2, sign: bool = False) -> str:
    """Both bounds in brackets, on one line; empty where there is no interval."""
    if bounds is None or None in bounds:
        return ""
    low, high = (number(bound, digits, sign) for bound in bounds)
    return f"[{low},\u00a0{high}]"


def percent(share: float | None) -> float | None:
    """A share of 0 to 1 in percent."""
    return None if share is None else 100 * share


def cell(text: Any, attributes: str = "") -> str:
    """A data cell; the attributes are HTML."""
    return f"<td{attributes and ' '}{attributes}>{escape(text)}</td>"


def row(name: Any, cells: Iterable[str], attributes: str = "") -> str:
    """A row with its name as header; cells and attributes are HTML."""
    header = f'<th scope="row">{escape(name)}</th>'
    return f"<tr{attributes and ' '}{attributes}>{header}{''.join(cells)}</tr>"


def table(caption: str, columns: Sequence[str], rows: Iterable[str], attributes: str = "") -> str:
    """A table in a box that scrolls by itself; rows and attributes are HTML."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table{attributes and ' '}{attributes}><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def definitions(facts: Mapping[str, Any], kind: str = "facts") -> str:
    """A list of names and what they are, of a class of style.css."""
    items = (f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    return f'<dl class="{kind}">{"".join(items)}</dl>'


def section(identifier: str, title: str, *parts: str) -> str:
    """A section with a heading; its parts are HTML."""
    return (
        f'<section id="{identifier}" aria-labelledby="{identifier}-title">'
        f'<h2 id="{identifier}-title">{escape(title)}</h2>{"".join(parts)}</section>'
    )
