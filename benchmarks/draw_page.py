"""Draw the benchmarks on one page, together with the bars that they are to meet.

Every figure comes from the JSON files of the benchmarks; the page says what meets its bar, what
misses it and what is not measured yet. Run it again after each benchmark.

Example:
    python benchmarks/draw_page.py
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from page_bars import FAILED, MET, MISSED, MISSING, WANTED, Row
from page_figure import draw
from page_rows import BrokenResult, Result, all_rows, number, read_results

ROOT = Path(__file__).resolve().parents[1]
RESULTS = "benchmarks/results"
HEAD = """\
# Benchmarks

Made by `python benchmarks/draw_page.py` of the files in `benchmarks/results`: write nothing here by
hand.

A *bar* is the target that was set for a part before it was built. Where several files
measure the same, all are shown: the speed of a host drifts, and how far the files lie apart is part
of the result. Ratios of steps and of attention are medians over the rounds, in which the two that
are compared take turns; those of medians and of minima stand beside them.

The plain step's peak memory in the `step_time` files of B0, B0 with short blocks, its methods and
B5 (`b5`) at batch 2 still holds its warm-up, which the script leaves out by now: the ratios of
memory in them are up to 1.4 % too low.

The evaluations, the steps in `b0_batch8`, `b0_batch8_views`, `b0_cwfa`, `b0_all` and `b5_views`,
`b5_kept_casts` and `series_cost` were measured with a card and 6 to 16 cores to themselves (16
beside stock), while other cards of the machine trained; `scaling` and `scaling_evaluation` with
both cards and all 32 cores.

CWFA adds its shift in one kernel with its making in the files `b0_cwfa`, `b0_all`, `series_cost`
and `scaling`; the others with CWFA are older. A step at batch 2 waits for the host, whose speed
drifts by a fifth and more within a run: there the ratio of the device's work says more than that of
the step.

Start and report of an evaluation take a few seconds whatever the number of images (B0: 5.6 s
outside the forward pass with 32 images, 6.4 s with 64, 24 s with 500). So the ratios of 10 and of
32 images are those of short runs, and the files `robustness_evaluation_cells` are there for their
memory alone. A ratio below or near 1 where the largest batch of the forward pass was 4, as in
`robustness_evaluation_b5` and `robustness_evaluation_slide`, says little: larger ones are faster.

The evaluations in `scaling`, `robustness_evaluation_b5` and `robustness_evaluation_slide` ran with
cuDNN's trials of algorithms on, as stock configs have it (the latter two in fp16 with casts at
each use). The trials differ from process to process, and so did the records of one GPU and of two
in `scaling`. The robustness loops turn them off since: all other evaluations are of that state, and
the records in `scaling_evaluation` are equal.

![The benchmarks with their bars](images/benchmarks.png)

In the picture the line through a point spans all ways to form its ratio. A file's name without
script and machine stands in brackets.
"""
TITLES = {
    "corruption_engine": "Corruption engine",
    "robustness_evaluation": "Robustness evaluation",
    "pass_counting": "Counting a pass",
    "step_time": "Training steps of the methods",
    "attention": "Fused attention",
    "scaling": "Several GPUs",
    "series_cost": "Steps of a results series",
    "reference_corruptions": "The reference corruptions",
}


def cell(text: str) -> str:
    """Text that cannot end a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def figure_of(row: Row) -> str:
    """The figure with its unit, if there is one."""
    if row.measured is None:
        return ""
    text = number(row.measured)
    rounded = float(text.replace(",", ""))
    if row.verdict == MISSED and row.bar is not None and row.bar.met_by(rounded):
        text = f"{row.measured:.5g}"  # rounding would hide why
    return f"{text} {row.unit}"


def table(rows: Iterable[Row]) -> str:
    """The rows of a script."""
    columns = ["what", "measured", "bar", "verdict", "more", "JSON", "machine", "torch"]
    lines = [columns, ["---"] * len(columns)]
    for row in rows:
        verdict = f"**{row.verdict}**" if row.verdict in (MISSED, FAILED) else row.verdict
        bar = "" if row.bar is None else str(row.bar)
        name = row.file if row.verdict == MISSING else f"[{row.file}](../{RESULTS}/{row.file})"
        texts = [row.what, figure_of(row), bar, verdict, row.note, name, row.machine, row.torch]
        lines.append([cell(text) for text in texts])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def short_list(title: str, rows: Sequence[Row], verdicts: Sequence[str]) -> str:
    """The rows of some verdicts, a line each, with the files that say otherwise of the same."""
    lines = []
    for row in rows:
        if row.verdict in verdicts:
            bar = "no bar" if row.bar is None else f"bar {row.bar}"
            facts = [figure_of(row) or row.verdict, bar, row.file]
            facts += [
                f"met in {other.file}"
                for other in rows
                if (other.key, other.what, other.verdict) == (row.key, row.what, MET)
            ]
            lines.append(f"- {row.what}: {'; '.join(facts)}")
    return f"## {title}\n\n" + ("\n".join(lines) or "Nothing.")


def option(name: str, value: Any) -> list[str]:
    """A setting as it is given on the command line."""
    flag = "--" + name.replace("_", "-")
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if not isinstance(value, (list, tuple)):
        return [flag, str(value)]
    if name in ("size", "forward_size"):
        return [flag, "x".join(map(str, value))]
    each = ["x".join(map(str, v)) if isinstance(v, (list, tuple)) else str(v) for v in value]
    return [flag, *each]


def settings_of(result: Result) -> dict[str, Any]:
    """The settings that a file says it was made with."""
    content = result.content
    if result.script == "corruption_engine":
        own = {k: content[k] for k in ("size", "batch", "severity", "repeats", "threads")}
        gpu = "largest_peak_over_float32_batch" in content["summary"]
        return dict(device="cuda" if gpu else "cpu", **own)
    settings = dict(content["settings"])
    if result.script == "reference_corruptions":
        return dict(size=[settings["width"], settings["height"]], repeats=settings["repeats"])
    return settings


def command(result: Result) -> str:
    """The command that made a file."""
    try:
        settings = settings_of(result)
        words = [str(settings.pop("series"))] if "series" in settings else []
        for name, value in settings.items():
            words += option(name, value)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise BrokenResult(f"{result.file} lacks its settings ({problem}).") from error
    return line_of(result.script, shlex.join(words), result.file)


def line_of(script: str, options: str, file: str) -> str:
    """A command line."""
    return " ".join(["python", f"benchmarks/{script}.py", options, "--out", f"{RESULTS}/{file}"])


def commands(results: dict[str, list[Result]], rows: Iterable[Row]) -> str:
    """How each file was made, then how those are made that are not there."""
    made = [result for own in results.values() for result in own]
    lines = [f"- `{command(result)}`" for result in made]
    files = {result.file for result in made}
    for row in rows:
        if row.verdict == MISSING and row.file not in files:
            script = next(name for name in TITLES if row.file.startswith(name))
            line = line_of(script, WANTED[row.key].options, row.file)
            lines.append(f"- not measured yet: `{' '.join(line.split())}`")
            files.add(row.file)
    return "\n".join(lines)


def page(results: dict[str, list[Result]], by_script: dict[str, list[Row]]) -> str:
    """The page as Markdown."""
    shown = {script: [r for r in rows if r.listed] for script, rows in by_script.items()}
    every = [row for rows in shown.values() for row in rows]
    parts = [
        HEAD.rstrip(),
        short_list("What misses its bar or failed", every, (MISSED, FAILED)),
        short_list("What is not measured yet", every, (MISSING,)),
        *(f"## {TITLES[script]}\n\n{table(rows)}" for script, rows in shown.items()),
        "## Commands\n\nAs the files' own settings say, on the machine of their rows.",
        commands(results, every),
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=ROOT / RESULTS, help="folder of the JSON")
    parser.add_argument(
        "--docs", type=Path, default=ROOT / "docs",
        help="where benchmarks.md and images/benchmarks.png are written",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    try:
        results = read_results(args.results)
        by_script = all_rows(results)
        text = page(results, by_script)
    except BrokenResult as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    draw([row for rows in by_script.values() for row in rows], args.docs / "images/benchmarks.png")
    (args.docs / "benchmarks.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
