"""Hold the engine's scores of one model against those of a reference generator, cell by cell.

The first record was made with ``test_cfg.backend=engine``, the others with
``test_cfg.backend=imagecorruptions`` and as many seeds: what differs between these is chance alone.
A cell agrees when it lies within --cell points of the references' mean, or within three of their
sample standard deviations; the protocol agrees when its mean lies within --mean points.

Example:
    python tools/results/compare_generators.py docs/results/model_level/engine_seed0.json \
        docs/results/model_level/reference_seed*.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPREADS = 3


@dataclass(frozen=True)
class Cell:
    """mIoU of a cell by both generators, in percent."""

    name: str
    engine: float
    reference: float
    spread: float

    @property
    def difference(self) -> float:
        return self.engine - self.reference

    def agrees(self, points: float) -> bool:
        """Whether the difference is small, or no more than chance makes between seeds."""
        return abs(self.difference) <= max(points, SPREADS * self.spread)


def identity(record: dict[str, Any]) -> dict[str, Any]:
    """What all records must share."""
    run = {what: record["run"].get(what) for what in ("config", "checkpoint", "fp16", "attention")}
    cells = [(cell["corruption"], cell["severity"]) for cell in record["cells"]]
    shared = {what: record[what] for what in ("protocol", "classes", "num_images")}
    return {**shared, **run, "cells": cells}


def refuse_unlike(records: dict[str, dict[str, Any]]) -> None:
    """Ends with a message where the records do not differ by generator and seed alone."""
    first, *others = records
    expected, seeds = identity(records[first]), dict[int, str]()
    for name in others:
        for what, here in identity(records[name]).items():
            if here != expected[what]:
                sys.exit(f"error: {name} has another {what} than {first}: {here}, {expected[what]}")
        run = records[name]["run"]
        if run["backend"] == records[first]["run"]["backend"]:
            sys.exit(f"error: {name} was made by the same generator as {first}")
        if run["seed"] in seeds:
            sys.exit(f"error: {name} has the seed of {seeds[run['seed']]}, {run['seed']}")
        seeds[run["seed"]] = name


def cells(engine: dict[str, Any], references: list[dict[str, Any]]) -> list[Cell]:
    """The corrupted cells, in the protocol's order."""
    made = []
    for index, cell in enumerate(engine["cells"]):
        scores = [record["cells"][index]["mIoU"] for record in references]
        name = f"{cell['corruption']} {cell['severity']}"
        mean, spread = statistics.mean(scores), statistics.stdev(scores)
        made.append(Cell(name, cell["mIoU"], mean, spread))
    return made


def table(engine: dict[str, Any], references: list[dict[str, Any]]) -> str:
    """A row a corruption: means over severities, and the cell that differs most."""
    rows = ["| corruption | engine | reference | difference | cell that differs most |"]
    rows.append("| --- | ---: | ---: | ---: | --- |")
    by_cell = cells(engine, references)
    for name, own in engine["corruptions"].items():
        mean = statistics.mean(record["corruptions"][name]["mIoU"] for record in references)
        most = max(
            (cell for cell in by_cell if cell.name.rsplit(" ", 1)[0] == name),
            key=lambda cell: abs(cell.difference),
        )
        rows.append(
            f"| {name} | {own['mIoU']:.2f} | {mean:.2f} | {own['mIoU'] - mean:+.2f} "
            f"| {most.difference:+.2f} at {most.name.rsplit(' ', 1)[1]} |"
        )
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", type=Path, help="record of the engine")
    parser.add_argument("references", type=Path, nargs="+", help="two or more of the reference")
    parser.add_argument("--cell", type=float, default=0.7, help="points of mIoU")
    parser.add_argument("--mean", type=float, default=0.2, help="points of mIoU")
    args = parser.parse_args(arguments)
    if len(args.references) < 2:
        parser.error("one reference has no spread between seeds: give two or more")
    paths = [str(path) for path in (args.engine, *args.references)]
    if len(set(paths)) < len(paths):
        parser.error("a record is named twice")
    records = {path: json.loads(Path(path).read_text()) for path in paths}
    refuse_unlike(records)
    engine, *references = records.values()
    print(table(engine, references))
    by_cell = cells(engine, references)
    outside = [cell for cell in by_cell if not cell.agrees(args.cell)]
    means = [record["summary"]["mean"] for record in references]
    difference = engine["summary"]["mean"] - statistics.mean(means)
    print(
        f"\nmean over the protocol: engine {engine['summary']['mean']:.3f}, reference "
        f"{statistics.mean(means):.3f} ({min(means):.3f} to {max(means):.3f}), "
        f"difference {difference:+.3f}"
    )
    for cell in outside:
        print(
            f"outside: {cell.name}: {cell.difference:+.2f}, between seeds ± {cell.spread:.2f}",
            file=sys.stderr,
        )
    print(f"{len(by_cell) - len(outside)} of {len(by_cell)} cells agree")
    return 1 if outside or abs(difference) > args.mean else 0


if __name__ == "__main__":
    sys.exit(main())
