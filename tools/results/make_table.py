"""Make the results table (Markdown) and the charts of a series from its records.

Numbers are means over seeds with the sample standard deviation; differences to the first run are
taken seed by seed. Runs that name another one as ``baseline`` (one of their own architecture, say)
have a table of their own, with differences to that. ECE and flips (share of pixels that are
predicted otherwise than at the next weaker severity) are those under the corruptions of the series'
protocol, in percent. Step time, device time (the kernels alone, whatever the host does between
them) and memory, over the first run's, come from what ``benchmarks/series_cost.py`` wrote.

Example:
    python tools/results/make_table.py docs/results/camvid/series.json docs/results/camvid/runs \
        --split test --plot docs/results/camvid/by_corruption.png \
        --trade-off docs/results/camvid/trade_off.png
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from mmseg_robust.corruptions.protocols import get_protocol
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.robustness_metrics import Robustness, corruption_errors

Runs = dict[str, dict[int, Robustness]]
Columns = dict[str, dict[str, dict[int, float]]]
"""Figures by column, name of the run and seed."""


def read_runs(series: dict, folder: Path, split: str) -> Runs:
    """Scores by name and seed, in the order of the series; what has no record yet is left out."""
    protocol = get_protocol(series["protocol"])
    runs: Runs = {}
    for entry in series["runs"]:
        paths = {s: folder / f"{entry['name']}.seed{s}.{split}.json" for s in entry["seeds"]}
        found = {
            seed: read_baseline(p, protocol).figures for seed, p in paths.items() if p.exists()
        }
        if found:
            runs[entry["name"]] = found
    return runs


def by_baseline(series: dict, runs: Runs) -> dict[str, Runs]:
    """The runs that are held against the same one, under its name, it first if it is there.

    Raises:
        ValueError: If a ``baseline`` is no run of the series.
    """
    baselines = {e["name"]: e.get("baseline", series["runs"][0]["name"]) for e in series["runs"]}
    named = set(baselines.values())
    if unknown := named - baselines.keys():
        raise ValueError(
            f"the baseline {', '.join(sorted(unknown))} is no run of the series; it has: "
            f"{', '.join(baselines)}"
        )
    groups: dict[str, Runs] = {}
    for first in dict.fromkeys(baselines.values()):
        others = [n for n, own in baselines.items() if own == first and n not in named]
        group = {name: runs[name] for name in [first, *others] if name in runs}
        if group:
            groups[first] = group
    return groups


def further_columns(series: dict, folder: Path, split: str) -> Columns:
    """The series' other protocols, ECE and flips, where there are records of them."""
    columns: Columns = {}

    def add(column: str, name: str, seed: int, value: float | None) -> None:
        if value is not None:
            columns.setdefault(column, {}).setdefault(name, {})[seed] = value

    for entry in series["runs"]:
        name = entry["name"]
        for seed in entry["seeds"]:
            for protocol in series.get("test_protocols", []):
                path = folder / f"{name}.seed{seed}.{split}.{protocol}.json"
                if path.exists():
                    add(protocol, name, seed, json.loads(path.read_text())["summary"]["mean"])
            path = folder / f"{name}.seed{seed}.{split}.json"
            if path.exists():
                summary = json.loads(path.read_text())["summary"]
                for column, key in (("ECE %", "ECE"), ("flips %", "flip_rate")):
                    share = summary.get(key)
                    add(column, name, seed, None if share is None else 100 * share)
    return columns


def cost_columns(results: dict[str, dict], names: list[str]) -> Columns:
    """Step time, device time and peak memory over the first of the names; one figure a run.

    None where that one was not timed: what the others are over is another run then.
    """
    ratios = {
        "step time": "ratio_by_round", "device time": "ratio_of_device", "memory": "ratio_of_peaks"
    }  # fmt: skip
    timed = {n: results[n] for n in names if n in results and "error" not in results[n]}
    if names[0] not in timed:
        return {}
    first = timed[names[0]]
    return {
        column: {name: {0: own[key] / first[key]} for name, own in timed.items()}
        for column, key in ratios.items()
        if key in first
    }


def of_these(columns: Columns, runs: Runs) -> Columns:
    """The columns that have a figure of these runs."""
    return {column: own for column, own in columns.items() if own.keys() & runs.keys()}


def spread(values: list[float], digits: int = 1) -> str:
    """Mean and sample standard deviation, or the one value there is."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def differences(own: dict[int, Robustness], first: dict[int, Robustness], score: str) -> str:
    """By how much a score is higher than the first run's, seed by seed."""
    shared = [seed for seed in own if seed in first]
    gains = (getattr(own[seed], score) - getattr(first[seed], score) for seed in shared)
    return ", ".join(f"{gain:+.1f}" for gain in gains)


def table(runs: Runs, further: Columns, cost: Columns) -> str:
    """One row a method: scores, groups, other columns, the gains over the first method by seed."""
    baseline = next(iter(runs.values()))
    groups = list(next(iter(baseline.values())).groups)
    columns = ["method", "seeds", "clean", "corrupted", "retention %", "mCE", *groups, *further]
    columns += [*cost, "clean by seed", "gain by seed"]
    rows = [columns, ["---"] * len(columns)]
    for name, by_seed in runs.items():
        scores = list(by_seed.values())
        shared = [seed for seed in by_seed if seed in baseline]
        errors = [corruption_errors(by_seed[seed], baseline[seed]).mce for seed in shared]
        row = [
            name,
            str(len(scores)),
            spread([score.clean for score in scores]),
            spread([score.mean for score in scores]),
            spread([score.retention for score in scores]),
            spread(errors) if errors else "",
            *(spread([score.groups[group] for score in scores]) for group in groups),
            *(spread(list(column.get(name, {}).values())) for column in further.values()),
            *(spread(list(column.get(name, {}).values()), 2) for column in cost.values()),
            *(
                "" if by_seed is baseline else differences(by_seed, baseline, score)
                for score in ("clean", "mean")
            ),
        ]
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plot(runs: Runs, names: list[str], path: Path) -> None:
    """Bars by corruption, a colour a method, each seed a dot; lines for the clean scores."""
    chosen = {name: runs[name] for name in names}
    first = next(iter(next(iter(chosen.values())).values()))
    corruptions = list(first.corruptions)
    colours = ("#8a8f98", "#1f77b4", "#e08214", "#2ca02c")
    width = 0.8 / len(chosen)
    figure = Figure(figsize=(11, 4.2))
    axes = figure.subplots()
    for i, (name, by_seed) in enumerate(chosen.items()):
        scores = [[r.corruptions[c] for r in by_seed.values()] for c in corruptions]
        x = [j + (i - (len(chosen) - 1) / 2) * width for j in range(len(corruptions))]
        axes.bar(x, [statistics.mean(s) for s in scores], width, color=colours[i % 4], label=name)
        for at, values in zip(x, scores):
            axes.plot([at] * len(values), values, ".", color="black", markersize=3)
        clean = statistics.mean(r.clean for r in by_seed.values())
        axes.axhline(
            clean, color=colours[i % 4], linestyle="--", linewidth=1, label=f"{name}, clean"
        )
    axes.set_xticks(
        range(len(corruptions)), [c.replace("_", " ") for c in corruptions], rotation=35, ha="right"
    )
    axes.set_ylabel("mIoU (%), mean over severities")
    axes.set_ylim(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=len(chosen), frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def plot_trade_off(runs: Runs, path: Path) -> None:
    """Corrupted over clean, a point a method with the spread of its seeds; lines of retention."""
    figure = Figure(figsize=(9, 6.4))
    axes = figure.subplots()
    points: dict[str, tuple[float, float]] = {}
    for name, by_seed in runs.items():
        clean = [score.clean for score in by_seed.values()]
        corrupted = [score.mean for score in by_seed.values()]
        points[name] = statistics.mean(clean), statistics.mean(corrupted)
        up, across = (statistics.stdev(v) if len(v) > 1 else None for v in (corrupted, clean))
        colour = "#1f77b4" if len(points) > 1 else "#d95f02"
        # Rows with one seed are hollow: they rank nothing.
        fill = colour if len(clean) > 1 else "white"
        axes.errorbar(
            *points[name], yerr=up, xerr=across, fmt="o", color=colour, mfc=fill, ecolor="#b9cfe2"
        )
    axes.margins(0.08)
    low, high = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for share in range(50, 101, 5):
        x, y = (high, high * share / 100)
        axes.plot([low, high], [low * share / 100, y], color="#dddddd", linewidth=0.8, zorder=0)
        if y > top:
            x, y = top / share * 100, top
        if y > bottom and x > low:
            axes.annotate(f"{share} %", (x, y), (3, 2), textcoords="offset points", color="#8a8f98")
    axes.set(xlim=(low, high), ylim=(bottom, top), xlabel="clean mIoU (%)")
    axes.set_ylabel("corrupted mIoU (%), mean over the protocol; grey lines: retention")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    label(axes, points)
    figure.savefig(path, dpi=110)


def label(axes: Axes, points: dict[str, tuple[float, float]]) -> None:
    """Write each point's name beside it, where it hides no other point and no other name."""
    at = {name: axes.transData.transform(point) for name, point in points.items()}
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in at.values()]
    for name, point in points.items():
        text = axes.annotate(name, point, (0, 0), textcoords="offset points", fontsize=8.5)
        size = text.get_window_extent()
        scale = axes.figure.dpi / 72
        width, height = size.width / scale, size.height / scale
        for x, y in [
            (x, y)
            for reach in (6, 16, 28)
            for y in (3, -3 - height, reach, -reach - height)
            for x in (reach, -reach - width, -width / 2)
        ]:
            text.set_position((x, y))
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(text.get_window_extent())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", type=Path)
    parser.add_argument("records", type=Path, help="folder of the records")
    parser.add_argument("--split", default="test")
    parser.add_argument("--plot", type=Path, help="PNG to draw")
    parser.add_argument(
        "--plot-runs", nargs="*", help="names of the runs in the chart; default: all"
    )
    parser.add_argument("--trade-off", type=Path, help="PNG to draw: corrupted over clean")
    parser.add_argument("--cost", type=Path, help="JSON that benchmarks/series_cost.py wrote")
    args = parser.parse_args()
    series = json.loads(args.series.read_text())
    runs = read_runs(series, args.records, args.split)
    if not runs:
        print(f"error: no records of split {args.split!r} in {args.records}", file=sys.stderr)
        return 2
    missing = [name for name in args.plot_runs or [] if name not in runs]
    if missing:
        print(
            f"error: no records of {', '.join(missing)} to plot; there are: {', '.join(runs)}",
            file=sys.stderr,
        )
        return 2
    further = further_columns(series, args.records, args.split)
    try:
        groups = by_baseline(series, runs)
    except ValueError as error:
        print(f"error: {args.series}: {error}", file=sys.stderr)
        return 2
    main_group = series["runs"][0]["name"]
    if args.trade_off and main_group not in groups:
        print(f"error: no records of {main_group} and the runs beside it to draw", file=sys.stderr)
        return 2
    timed = json.loads(args.cost.read_text())["results"] if args.cost else {}
    tables = []
    for first, group in groups.items():
        if first not in group:
            print(
                f"note: {first} has no record of split {args.split!r}; mCE and differences are to "
                f"{next(iter(group))}",
                file=sys.stderr,
            )
        cost = cost_columns(timed, list(group))
        tables.append(table(group, of_these(further, group), cost))
    print("\n\n".join(tables))
    if args.plot:
        plot(runs, args.plot_runs or list(runs), args.plot)
    if args.trade_off:
        plot_trade_off(groups[main_group], args.trade_off)
    return 0


if __name__ == "__main__":
    sys.exit(main())
