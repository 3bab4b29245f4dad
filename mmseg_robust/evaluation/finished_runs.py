"""Finished runs that are to be compared: found, read back, and refused where they may not be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_robust.corruptions import Protocol, get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.baseline import Baseline, read_baseline
from mmseg_robust.evaluation.comparison import check_measure
from mmseg_robust.evaluation.published import find_baseline
from mmseg_robust.evaluation.record_files import read_record
from mmseg_robust.evaluation.report import RECORD

RUN_FOLDER = re.compile(r"\d{8}_\d{6}")  # MMEngine names the folder of a run by its time
SHOWN = 5  # classes that a message lists


@dataclass(frozen=True)
class Run:
    """A finished run, or a row of a published table.

    Args:
        name (str): Short name, unlike those of the other runs.
        record (dict[str, Any]): Its record.
        scores (Baseline): What a comparison needs of it.
    """

    name: str
    record: dict[str, Any]
    scores: Baseline


def find_record(given: str) -> Path:
    """The record that a user means.

    Args:
        given (str): A record's file, a folder that holds ``robustness.json``, a work folder (the
            newest run below it counts), or a name of a published baseline.

    Returns:
        Path: File of the record.

    Raises:
        InputError: If there is none.
    """
    folder = Path(given)
    if not folder.is_dir():
        return find_baseline(given)
    if (folder / RECORD).is_file():
        return folder / RECORD
    runs = sorted(folder.glob(f"*/{RECORD}"))  # by time, see RUN_FOLDER
    if not runs:
        raise InputError(
            f"The folder {given!r} holds no {RECORD}, nor do the folders in it: give the folder "
            "of a finished test run, or the file itself."
        )
    return runs[-1]


def read_runs(given: Sequence[str], names: Sequence[str] | None = None) -> list[Run]:
    """Reads runs, and refuses those that do not compare.

    Args:
        given (Sequence[str]): One or more, see :func:`find_record`.
        names (Sequence[str], optional): A name for each. Defaults to names made from what is given.

    Returns:
        list[Run]: The runs, all of one protocol, version, measure and set of classes.

    Raises:
        InputError: If a record is missing or damaged, if there is not one name for each run, or if
            the runs differ in protocol, measure or classes. The message says what differs.
    """
    if names is not None and (len(names) != len(given) or len(set(names)) != len(names)):
        raise InputError(f"Give {len(given)} different names, one a run, got: {', '.join(names)}.")
    files = [find_record(text) for text in given]
    records = [read_record(file) for file in files]
    protocol = _common_protocol(given, records)
    titles = _titles(given) if names is None else names
    runs = [
        Run(name, record, read_baseline(file, protocol))
        for name, record, file in zip(titles, records, files)
    ]
    for run in runs[1:]:
        check_measure(run.scores, runs[0].scores.measure)
    _check_classes(runs)
    return runs


def _titles(given: Sequence[str]) -> list[str]:
    """Folder or file name of each run; all that was given where these are alike."""
    names = []
    for text in given:
        path = Path(text).resolve()  # "." has a name, too
        if path.name == RECORD:
            path = path.parent
        if RUN_FOLDER.fullmatch(path.name):
            path = path.parent
        names.append(path.name.removesuffix(".json"))
    if len(set(names)) == len(names):
        return names
    alike = {text for text in given if list(given).count(text) > 1}
    if alike:
        raise InputError(f"A run is given twice: {', '.join(sorted(alike))}.")
    return list(given)


def _common_protocol(given: Sequence[str], records: Sequence[dict[str, Any]]) -> Protocol:
    found = []
    for record in records:
        protocol = record.get("protocol")
        protocol = protocol if isinstance(protocol, dict) else {}
        found.append(f"{protocol.get('name')} version {protocol.get('version')}")
    if len(set(found)) > 1:
        listed = ", ".join(f"{text} has {protocol}" for text, protocol in zip(given, found))
        raise InputError(
            f"The runs do not compare, their protocols differ: {listed}. Give runs of one protocol "
            "and version."
        )
    return get_protocol(found[0].rpartition(" version ")[0])


def _check_classes(runs: Sequence[Run]) -> None:
    known = [run for run in runs if run.scores.classes is not None]
    for run in known[1:]:
        ours, theirs = set(run.scores.classes or ()), set(known[0].scores.classes or ())
        if ours != theirs:
            apart = sorted(ours ^ theirs)
            more = f" and {len(apart) - SHOWN} more" if len(apart) > SHOWN else ""
            raise InputError(
                f"The runs do not compare, their classes differ: {run.name} has {len(ours)}, "
                f"{known[0].name} has {len(theirs)}; not in both are "
                f"{', '.join(apart[:SHOWN])}{more}. Give runs of one data set."
            )


def partial_differences(runs: Sequence[Run]) -> list[str]:
    """What lets runs compare only roughly: other images, seeds or generators, unknown classes.

    Args:
        runs (Sequence[Run]): Runs from :func:`read_runs`.

    Returns:
        list[str]: One sentence a difference.
    """
    found = []
    for what, attribute in {"images": "num_images", "seed": "seed", "backend": "backend"}.items():
        values = {run.name: getattr(run.scores, attribute) for run in runs}
        if len({value for value in values.values() if value is not None}) > 1:
            told = ", ".join(
                f"{name} {value}" for name, value in values.items() if value is not None
            )
            found.append(f"The runs differ in {what}: {told}. They compare only roughly.")
    unknown = [run.name for run in runs if run.scores.classes is None]
    if unknown and len(runs) > 1:
        found.append(f"The classes of {', '.join(unknown)} are not known: check that they agree.")
    return found
