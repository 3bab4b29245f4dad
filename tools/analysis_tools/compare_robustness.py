"""Put robustness runs side by side: table, plot, paired differences, ranking, page.

A RUN is a robustness.json, a folder that holds one, a work folder (its newest run counts), or the
name of a published baseline. All must be of one protocol, version and set of classes, segmentors
or classifiers. Differences and mCE are relative to the first run.

Example:
    python tools/analysis_tools/compare_robustness.py work_dirs/plain work_dirs/cwfa \
        --out comparison.md comparison.csv --plot comparison.png --page cwfa.html
    python tools/analysis_tools/compare_robustness.py work_dirs/mine segformer-b5 pspnet \
        --leaderboard retention
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (first: mends what the imports below need)
from matplotlib.figure import Figure as Drawing
from prettytable import PrettyTable

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.finished_runs import Run, partial_differences, read_runs
from mmseg_robust.evaluation.page import write_page
from mmseg_robust.evaluation.side_by_side import (
    RANKINGS,
    Differences,
    Figure,
    differences,
    figures_of,
    ranked,
    record_against,
)
from mmseg_robust.files import check_writable, write_whole

COLOURS = ("#0a66c2", "#c8500a", "#0b8a5f", "#a4449a", "#8a6d00", "#8a949e", "#50b4d8", "#d94f70")
FORMATS = (".md", ".csv")
LEADERBOARD = ("clean", "mean", "retention", "mCE")
TITLES = {"retention": "retention %", "flip rate": "flip rate %"}
CSV_COLUMNS = ("run", "figure", "value", "low", "high", "difference", "diff_low", "diff_high")


@dataclass(frozen=True)
class Table:
    """A table with a title above.

    Args:
        title (str): The title.
        columns (list[str]): Heads of the columns.
        rows (list[list[str]]): The cells.
        texts (int): Columns from the left that hold words, not numbers. Defaults to 1.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    texts: int = 1

    def plain(self) -> str:
        """For the console."""
        table = PrettyTable(self.columns)
        for place, column in enumerate(self.columns):
            table.align[column] = "l" if place < self.texts else "r"
        table.add_rows(self.rows)
        return f"{self.title}\n{table.get_string()}"

    def markdown(self) -> str:
        """For a README."""
        rule = ["---"] * self.texts + ["---:"] * (len(self.columns) - self.texts)
        lines = (_markdown_line(row) for row in (self.columns, rule, *self.rows))
        return "\n".join([f"**{self.title}**", "", *lines, ""])


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def text_of(name: str, figure: Figure | None, sign: str = "") -> str:
    """A figure with its interval in brackets; nothing where there is none."""
    if figure is None or figure.value != figure.value:
        return ""
    digits = 3 if name == "ECE" else 2
    text = f"{figure.value:{sign}.{digits}f}"
    if figure.interval is None:
        return text
    return f"{text} [{figure.interval[0]:{sign}.1f}, {figure.interval[1]:{sign}.1f}]"


def side_by_side(runs: Sequence[Run]) -> Table:
    """A row a figure, a column a run."""
    found = [figures_of(run, runs[0]) for run in runs]
    names = dict.fromkeys(name for figures in found for name in figures)
    order = sorted(names, key=lambda name: name in runs[0].scores.figures.corruptions)
    rows = [
        [TITLES.get(name, name), *(text_of(name, figures.get(name)) for figures in found)]
        for name in order
    ]
    columns = ["figure", *(run.name for run in runs)]
    heading = runs[0].scores.measure.heading
    return Table(f"{heading} in percent; mCE relative to {runs[0].name}", columns, rows)


def difference_table(runs: Sequence[Run], found: Sequence[Differences]) -> Table:
    """A row a figure, a column each run but the first."""
    rows = [
        [TITLES.get(name, name), *(text_of(name, one.figures[name], "+") for one in found)]
        for name in found[0].figures
    ]
    columns = ["figure", *(run.name for run in runs[1:])]
    title = f"Difference to {runs[0].name} in points; in brackets 95 % intervals, paired by image"
    return Table(title, columns, rows)


def leaderboard(runs: Sequence[Run], key: str) -> Table:
    """A row a run, the best first."""
    rows = []
    for place, run in enumerate(ranked(runs, key), 1):
        figures = figures_of(run, runs[0])
        rows.append([str(place), run.name, *(text_of(n, figures[n]) for n in LEADERBOARD)])
    protocol = runs[0].record["protocol"]
    title = (
        f"Ranked by {key}: {protocol['name']} version {protocol['version']}; "
        f"mCE relative to {runs[0].name}; {runs[0].scores.measure.title} in percent"
    )
    return Table(title, ["place", "run", *(TITLES.get(n, n) for n in LEADERBOARD)], rows, 2)


def as_csv(runs: Sequence[Run], found: Sequence[Differences]) -> str:
    """A line a figure of a run, unrounded; what is not known is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for place, run in enumerate(runs):
        changes = found[place - 1].figures if place else {}
        for name, figure in figures_of(run, runs[0]).items():
            writer.writerow([run.name, name, *_numbers(figure), *_numbers(changes.get(name))])
    return buffer.getvalue()


def _numbers(figure: Figure | None) -> list[float | None]:
    if figure is None or figure.value != figure.value:
        return [None, None, None]
    return [figure.value, *(figure.interval or (None, None))]


def plot(runs: Sequence[Run], path: Path) -> None:
    """Bars by corruption with intervals, a colour a run, a line for its clean score.

    Raises:
        InputError: If the kind of file is unknown.
    """
    names = list(runs[0].scores.figures.corruptions)
    drawing = Drawing(figsize=(max(9.0, 0.24 * len(names) * (len(runs) + 1)), 4.4))
    axes = drawing.subplots()
    width = 0.84 / len(runs)
    for place, run in enumerate(runs):
        colour = COLOURS[place % len(COLOURS)]
        figures = figures_of(run, runs[0])
        x = [i + (place - (len(runs) - 1) / 2) * width for i in range(len(names))]
        axes.bar(x, [figures[name].value for name in names], width, color=colour, label=run.name)
        for at, name in zip(x, names):
            interval = figures[name].interval
            if interval is not None:
                axes.plot([at, at], interval, color="black", linewidth=0.8)
        axes.axhline(figures["clean"].value, color=colour, linestyle="--", linewidth=1)
    titles = [name.replace("_", " ") for name in names]
    axes.set_xticks(range(len(names)), titles, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0)
    axes.set_ylabel(f"{runs[0].scores.measure.heading} (%); dashed: clean")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=4, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    try:
        drawing.savefig(path, dpi=120, bbox_inches="tight")
    except (OSError, ValueError) as error:  # a ValueError tells of an unknown extension
        raise InputError(f"Cannot write {str(path)!r}: {error}") from error


def compare(args: argparse.Namespace) -> None:
    """Do what the command line asks for.

    Raises:
        InputError: If an option or a run is wrong.
    """
    for path in args.out:
        if path.suffix not in FORMATS:
            raise InputError(f"--out takes {' or '.join(FORMATS)} files, got {str(path)!r}.")
    for path in filter(None, (*args.out, args.plot, args.page)):
        check_writable(path)
    runs = read_runs(args.runs, args.names)
    if args.page is not None and len(runs) < 2:
        raise InputError("--page shows the first run against the second: give two runs.")
    found = [differences(run, runs[0]) for run in runs[1:]]
    warnings = partial_differences(runs)
    if args.leaderboard:
        tables = [leaderboard(runs, args.leaderboard)]
    else:
        tables = [side_by_side(runs)]
        tables += [difference_table(runs, found)] if found else []
        warnings += [one.note for one in found if one.note]
    print("\n\n".join(table.plain() for table in tables))
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for path in args.out:
        lines = [*(table.markdown() for table in tables), *(f"*{note}*\n" for note in warnings)]
        write_whole(
            path, ("\n".join(lines) if path.suffix == ".md" else as_csv(runs, found)).encode()
        )
    if args.plot is not None:
        plot(runs, args.plot)
    if args.page is not None:
        write_page(args.page, record_against(runs[0], runs[1]), runs[1].record)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="what to compare, see above")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="a name for each run")
    parser.add_argument(
        "--out", nargs="+", type=Path, default=[], metavar="FILE",
        help="Markdown (.md): the tables; CSV (.csv): a line a figure of a run, unrounded",
    )  # fmt: skip
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="bars by corruption, .png or .svg"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="the report of the first run against the second"
    )
    parser.add_argument(
        "--leaderboard", choices=RANKINGS, help="rank the runs, the best first, by this"
    )
    args = parser.parse_args(arguments)
    try:
        compare(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
