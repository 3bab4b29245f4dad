"""Figures in a page."""

from __future__ import annotations

import re

from mmseg_robust.evaluation.page.svg import INK, LINES, inline_svg, new_figure


def drawn(identifier: str) -> str:
    figure = new_figure(300, 100)
    axes = figure.add_axes((0.1, 0.2, 0.8, 0.7))
    axes.plot([0, 1], [0, 5], "o", color=LINES[0], clip_on=True)
    axes.text(0.5, 2, "a <b> & c", color=INK)
    return inline_svg(figure, identifier, 'says "x" & <y>')


def test_one_unit_is_one_pixel_and_text_is_text() -> None:
    svg = drawn("a")
    assert svg.startswith('<svg viewBox="0 0 300 100" role="img" ')
    assert 'aria-label="says &quot;x&quot; &amp; &lt;y&gt;"' in svg
    assert ">a &lt;b&gt; &amp; c</text>" in svg
    assert "<metadata" not in svg and "http" not in svg


def test_ids_are_the_figures_own_and_are_found() -> None:
    svg = drawn("a")
    identifiers = re.findall(r'\bid="([^"]+)"', svg)
    assert len(identifiers) == len(set(identifiers)) and all(
        i.startswith("a-") for i in identifiers
    )
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
    assert used and {one or other for one, other in used} <= set(identifiers)
    assert drawn("a") == svg
    assert not set(identifiers) & set(re.findall(r'\bid="([^"]+)"', drawn("b")))


def test_colours_follow_the_page() -> None:
    svg = drawn("a")
    assert "var(--ink)" in svg and "var(--series-1)" in svg
    assert INK not in svg and LINES[0] not in svg
