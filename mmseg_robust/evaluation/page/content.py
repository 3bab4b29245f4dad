"""What a page needs of a record. Any part of a record may be missing, and is None or left out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import fmean
from typing import Any

from mmseg_robust.corruptions import PROTOCOLS
from mmseg_robust.evaluation.measures import Measure, measure_of
from mmseg_robust.evaluation.record_entries import Record, bounds, figure, find, known


@dataclass(frozen=True)
class Score:
    """The measure of a run in percent with its interval.

    Args:
        value (float, optional): The measure, None where it is not known.
        bounds (tuple[float, float], optional): Its interval. Defaults to None, not known.
    """

    value: float | None
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class ClassScores:
    """IoU of one class in percent.

    Args:
        name (str): Name of the class.
        clean (float, optional): On the clean images; None where the class is absent.
        corrupted (float, optional): Mean over severities, then over corruptions.
    """

    name: str
    clean: float | None
    corrupted: float | None

    @property
    def loss(self) -> float | None:
        """Points lost under corruption."""
        if self.clean is None or self.corrupted is None:
            return None
        return self.clean - self.corrupted

    @property
    def retention(self) -> float | None:
        """Corrupted over clean, in percent."""
        return ratio(self.corrupted, self.clean)


def score(entry: Record | None, measure: Measure) -> Score:
    """The measure of an entry with its interval."""
    return Score(figure(entry, measure.key), bounds(entry, f"{measure.key}_interval"))


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of those that are known."""
    found = [value for value in values if value is not None]
    return fmean(found) if found else None


def ratio(value: float | None, reference: float | None) -> float | None:
    """``100 * value / reference``, None where that has no meaning."""
    if value is None or not reference:
        return None
    return 100 * value / reference


def kept(measure: Measure, value: float | None, clean: float | None) -> float | None:
    """Share of the clean score that is kept, in percent; both as the measure states them."""
    if value is None or clean is None:
        return None
    return ratio(measure.stated(value), measure.stated(clean))


def difference(value: float | None, reference: float | None) -> float | None:
    """``value - reference``, None where one is not known."""
    return None if value is None or reference is None else value - reference


def title_of(record: Record) -> str:
    """The name of a published table's row, else the checkpoint's or the config's file name."""
    for key in (("name",), ("run", "checkpoint"), ("run", "config")):
        value = find(record, *key)
        if value:
            path = PurePath(str(value))
            # A checkpoint is called iter_4000.pth in every folder: its folder tells which.
            return "/".join(path.parts[-2:]) if key[-1] == "checkpoint" else path.name
    return "unnamed run"


def groups_of(record: Record) -> dict[str, tuple[str, ...]]:
    """Corruptions by group as the protocol has them, in one group where it is not known."""
    names = tuple(record.get("corruptions") or ())
    protocol = PROTOCOLS.get(str(find(record, "protocol", "name")))
    if protocol is not None and set(protocol.corruptions) == set(names):
        return dict(protocol.groups)
    return {"all corruptions": names} if names else {}


def cells_of(record: Record) -> dict[tuple[str, int], Record]:
    """Entries of the cells by corruption and severity."""
    return {(entry["corruption"], entry["severity"]): entry for entry in record.get("cells") or ()}


def severities_of(record: Record) -> list[int]:
    """The severities that any corruption has."""
    return sorted({severity for _, severity in cells_of(record)})


def summary(record: Record, key: str) -> float | None:
    """``clean``, ``mean`` or ``retention``, worked out where a published table has no summary."""
    stated = figure(record, "summary", key)
    if stated is not None:
        return stated
    measure = measure_of(record)
    clean = figure(record, "clean", measure.key)
    names = record.get("corruptions") or ()
    overall = mean(figure(record, "corruptions", name, measure.key) for name in names)
    return {"clean": clean, "mean": overall, "retention": kept(measure, overall, clean)}[key]


def class_scores(record: Record) -> list[ClassScores]:
    """Scores by class, the greatest loss first and classes without a score last."""
    clean = find(record, "clean", "IoU")
    if not clean:
        return []
    by_corruption: dict[str, list[Sequence[Any]]] = {}
    for (corruption, _), entry in cells_of(record).items():
        by_corruption.setdefault(corruption, []).append(entry["IoU"])
    rows = [
        ClassScores(
            name,
            known(clean[place]),
            mean(
                mean(known(scores[place]) for scores in severities)
                for severities in by_corruption.values()
            ),
        )
        for place, name in enumerate(record.get("classes") or ())
    ]
    return sorted(rows, key=lambda row: -math.inf if row.loss is None else row.loss, reverse=True)
