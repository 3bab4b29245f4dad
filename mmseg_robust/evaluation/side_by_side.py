"""Finished runs side by side: their figures, how far each is from the first, their ranking."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.comparison import PairedDifference, paired_difference
from mmseg_robust.evaluation.finished_runs import Run
from mmseg_robust.evaluation.measures import Measure
from mmseg_robust.evaluation.record_entries import bounds, figure
from mmseg_robust.evaluation.record_files import read_counts
from mmseg_robust.evaluation.robustness_metrics import Robustness, corruption_errors

RANKINGS = ("retention", "mean", "mCE")
"""Figures to rank by."""

# Notes of a record on a baseline that it had, or had not, when it was made.
_NOTES_ON_BASELINE = ("No baseline", "No interval of the difference")


@dataclass(frozen=True)
class Figure:
    """A figure with its interval.

    Args:
        value (float): The figure; NaN where it has no meaning.
        interval (tuple[float, float], optional): Its interval. Defaults to None, not known.
    """

    value: float
    interval: tuple[float, float] | None = None


def figures_of(run: Run, first: Run) -> dict[str, Figure]:
    """All figures of a run as its measure states them, in percent but for ECE.

    Args:
        run (Run): The run.
        first (Run): The run that mCE is relative to.

    Returns:
        dict[str, Figure]: ``clean``, ``mean``, ``retention``, ``mCE``, where the record has them
        ``ECE`` and ``flip rate``, then ``[group]`` and each corruption.
    """
    scores, record, measure = run.scores.figures, run.record, run.scores.measure
    errors = corruption_errors(scores, first.scores.figures)
    values = {
        "clean": measure.stated(scores.clean),
        "mean": measure.stated(scores.mean),
        "retention": scores.retention,
    }
    figures = {
        name: Figure(value, bounds(record, "summary", f"{name}_interval"))
        for name, value in values.items()
    }
    figures["mCE"] = Figure(errors.mce)
    for name, key, scale in (("ECE", "ECE", 1), ("flip rate", "flip_rate", 100)):
        value = figure(record, "summary", key)
        if value is not None:
            figures[name] = Figure(scale * value)
    parts = {f"[{name}]": ("groups", name) for name in scores.groups}
    parts.update({name: ("corruptions", name) for name in scores.corruptions})
    for title, (part, name) in parts.items():
        interval = bounds(record, part, name, f"{measure.key}_interval")
        figures[title] = Figure(measure.stated(getattr(scores, part)[name]), interval)
    return figures


@dataclass(frozen=True)
class Differences:
    """How far a run is above another, as their measure states it.

    Args:
        figures (dict[str, Figure]): Percentage points by ``clean``, ``mean``, ``retention`` and
            corruption.
        note (str, optional): Why there are no intervals. Defaults to None.
    """

    figures: dict[str, Figure]
    note: str | None = None


def differences(run: Run, first: Run) -> Differences:
    """Differences of two runs, with intervals where both left their counts by image.

    Args:
        run (Run): The run.
        first (Run): The run that is subtracted.

    Returns:
        Differences: The differences.
    """
    measure = run.scores.measure
    values = dict(_minus(run.scores.figures, first.scores.figures, measure))
    try:
        paired = _paired(run, first)
    except InputError as error:
        note = f"No intervals for {run.name} minus {first.name}: {error}"
        return Differences({name: Figure(value) for name, value in values.items()}, note)
    intervals = {"retention": paired.retention.interval}
    parts = {"clean": paired.clean, "mean": paired.mean, **paired.corruptions}
    for name, part in parts.items():
        intervals[name] = measure.stated_change_interval(part.interval)
    return Differences(
        {name: Figure(value, _known(intervals[name])) for name, value in values.items()}
    )


def _minus(run: Robustness, first: Robustness, measure: Measure) -> Iterator[tuple[str, float]]:
    for name in ("clean", "mean"):
        yield name, measure.stated_change(getattr(run, name) - getattr(first, name))
    yield "retention", run.retention - first.retention
    for name, score in run.corruptions.items():
        yield name, measure.stated_change(score - first.corruptions[name])


def _paired(run: Run, first: Run) -> PairedDifference:
    for one in (run, first):
        if one.scores.counts_path is None:
            raise InputError(f"{one.name} has no counts by image beside its record.")
    assert run.scores.counts_path is not None and first.scores.counts_path is not None
    protocol = get_protocol(run.record["protocol"]["name"])
    return paired_difference(
        protocol, read_counts(run.scores.counts_path), read_counts(first.scores.counts_path)
    )


def _known(interval: tuple[float, float]) -> tuple[float, float] | None:
    return None if math.isnan(interval[0]) else interval


def ranked(runs: Sequence[Run], key: str) -> list[Run]:
    """Runs from the best to the worst.

    Args:
        runs (Sequence[Run]): The runs; mCE is relative to the first.
        key (str): One of :data:`RANKINGS`.

    Returns:
        list[Run]: The runs; those whose figure has no meaning come last.
    """

    measure = runs[0].scores.measure
    less_is_better = key == "mCE" or (key == "mean" and measure.is_error)

    def place(run: Run) -> float:
        value = figures_of(run, runs[0])[key].value
        return math.inf if math.isnan(value) else value if less_is_better else -value

    return sorted(runs, key=place)


def record_against(run: Run, other: Run) -> dict[str, Any]:
    """A run's record with another run as its baseline, in place of one that it may have had.

    Args:
        run (Run): The run.
        other (Run): The run to compare with.

    Returns:
        dict[str, Any]: A record of its own.
    """
    record = deepcopy(run.record)
    errors = corruption_errors(run.scores.figures, other.scores.figures)
    found = differences(run, other)
    for name, entry in record["corruptions"].items():
        if name in errors.ce:
            entry.update(CE=errors.ce[name], relative_CE=errors.relative_ce[name])
    chosen = {name: found.figures[name] for name in ("mean", "retention")}
    summary = record.setdefault("summary", {})
    summary.update(
        mCE=errors.mce,
        relative_mCE=errors.relative_mce,
        difference={name: change.value for name, change in chosen.items()},
        difference_interval={name: change.interval for name, change in chosen.items()},
    )
    record["baseline"] = other.name
    notes = [n for n in record.get("notes", ()) if not n.startswith(_NOTES_ON_BASELINE)]
    record["notes"] = notes + ([found.note] if found.note else [])
    return record
