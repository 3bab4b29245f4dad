"""The page as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmseg_robust
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.page.classes import by_class
from mmseg_robust.evaluation.page.content import title_of
from mmseg_robust.evaluation.page.corruptions import by_corruption, heat_map, severity_curves
from mmseg_robust.evaluation.page.headline import headline
from mmseg_robust.evaluation.page.markup import escape
from mmseg_robust.evaluation.page.pictures import worst_images
from mmseg_robust.evaluation.page.run_facts import notes, what_was_run
from mmseg_robust.evaluation.record_entries import Record, find
from mmseg_robust.files import write_whole

STYLE = Path(__file__).with_name("style.css")


def write_page(
    path: str | Path,
    record: Record,
    baseline_record: Record | None = None,
    worst: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Writes the report of a run as one HTML file: no network, no script, light and dark.

    What the record does not have is left out, so that records of all versions, and the subsets that
    serve as baselines, can be shown.

    Args:
        path (str | Path): File to write; its folder is made.
        record (Record): The run, see :mod:`mmseg_robust.evaluation.record`.
        baseline_record (Record, optional): The run that the record was compared with, of the same
            protocol. Defaults to None.
        worst (Sequence[Mapping[str, Any]], optional): Images to show, see
            :func:`mmseg_robust.evaluation.page.pictures.worst_images`. Defaults to None.

    Raises:
        InputError: If the file cannot be written or a picture cannot be read.
    """
    text = page(record, baseline_record, worst or ())
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise InputError(f"Cannot write {str(path)!r}: {error}") from error


def page(record: Record, baseline: Record | None, worst: Sequence[Mapping[str, Any]]) -> str:
    """The text of the page; arguments as of :func:`write_page`."""
    name = escape(title_of(record))
    sections = (
        headline(record, baseline),
        notes(record),
        by_corruption(record, baseline),
        severity_curves(record, baseline),
        heat_map(record),
        by_class(record, baseline),
        worst_images(worst),
        what_was_run(record),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Robustness of {name}</title>\n"
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"<header><h1>Robustness report</h1><p><strong>{name}</strong></p>"
        f"{_subtitle(record, baseline)}</header>\n<main>\n"
        + "\n".join(filter(None, sections))
        + f"\n</main>\n<footer>mmseg_robust {escape(mmseg_robust.__version__)}</footer>\n"
        "</body>\n</html>\n"
    )


def _subtitle(record: Record, baseline: Record | None) -> str:
    name, version = find(record, "protocol", "name"), find(record, "protocol", "version")
    facts = [f"protocol {name} (version {version})"]
    images = find(record, "num_images")
    if images is not None:
        facts.append(f"{images} images")
    if baseline is not None:
        facts.append(f"baseline {title_of(baseline)}")
    return f"<p>{escape(' · '.join(facts))}</p>"
