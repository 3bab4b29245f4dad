"""The rows of the page of benchmarks, made of the files in ``benchmarks/results``.

``SCRIPT_more.json`` is what ``SCRIPT.py`` wrote; every file of a script gives rows, whatever
the rest of its name. Wanted figures that no file has become rows without a figure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from page_bars import WANTED, Row

WHOLE_TEST = dict(variant=0, images=500, protocol="cityscapes-c", mode="whole", size=[2048, 1024])
"""Settings of the evaluation whose minutes have a bar."""
STEP_BATCH = 2
"""Images of the training steps that have a bar."""


class BrokenResult(ValueError):
    """A results file that cannot be read; the message names it."""


@dataclass(frozen=True)
class Result:
    """A results file: its name, the script that wrote it and what it says."""

    file: str
    script: str
    content: dict[str, Any]

    @property
    def machine(self) -> str:
        """What it was measured on."""
        own = self.content["machine"] if "machine" in self.content else self.content["device"]
        if isinstance(own, dict):
            return str(own["processor"])
        return own or f"CPU, {self.content['threads']} threads"

    @property
    def torch(self) -> str:
        """Version of PyTorch."""
        return str(self.content["versions"]["torch"])

    @property
    def tag(self) -> str:
        """What tells it from the other files of its script."""
        return Path(self.file).stem[len(self.script) + 1 :].removesuffix("_h200")


def read_result(path: Path, script: str) -> Result:
    """Reads a file, or says what is wrong with it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BrokenResult(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BrokenResult(f"{path} holds a {type(content).__name__}, not an object.")
    return Result(path.name, script, content)


def read_results(folder: Path) -> dict[str, list[Result]]:
    """The files of each script, by name; files of no script are left out."""
    paths = sorted(folder.glob("*.json"))
    return {
        script: [read_result(path, script) for path in paths if path.stem.startswith(script)]
        for script in SCRIPTS
    }


def engine_rows(result: Result) -> Iterator[Row]:
    """The corruption engine: on a GPU its times, floor and memory, on a CPU its share."""
    content, unit = result.content, "ms an image"
    summary, rows = content["summary"], content["corruptions"]
    size = "x".join(map(str, content["size"]))
    setting = f"{size}, batch {content['batch']}, severity {content['severity']}"
    on_gpu = "largest_peak_over_float32_batch" in summary
    if on_gpu:
        if "mean_of_19_ms" in summary:
            mean = summary["mean_of_19_ms"]
            yield Row("engine.mean", f"mean over the 19; {setting}", unit, mean)
        slowest = max(rows, key=lambda name: rows[name]["median_ms"])
        what = f"slowest of all {len(rows)}"
        yield Row("engine.slowest", what, unit, rows[slowest]["median_ms"], slowest)
        key = "peak_over_float32_batch"
        largest = max(rows, key=lambda name: rows[name][key])
        what = "most memory of a call beside the batch"
        yield Row("engine.memory", what, "float32 batches", rows[largest][key], largest)
        yield Row("engine.floor", "floor: a copy of the batch", unit, content["floor_ms"])
        for name, own in rows.items():
            row = Row("engine.slowest", name, unit, own["median_ms"], panel="engine", label=name)
            yield replace(row, listed=False)
    if "times_faster" in summary:
        own, theirs = summary["sum_of_19_ms"], summary["reference_sum_of_19_ms"]
        key = "" if on_gpu else "engine.cpu"
        note = f"{number(own)} of {number(theirs)} ms; the reference has one core"
        yield Row(key, f"sum over the 19; {setting}", "of the reference's", own / theirs, note)


def evaluation_rows(result: Result) -> Iterator[Row]:
    """The evaluation loop beside the bare forward pass and beside stock."""
    content, settings = result.content, result.content["settings"]
    own = content["loop"]["seconds"]
    outside = own - content["forward"]["seconds"]
    name = f"B{settings['variant']}, {settings['images']} images, {content['passes']} passes"
    name += ", fp16" if settings["fp16"] else ""
    what = f"loop over bare forward pass; {name} ({settings['protocol']}, {settings['mode']})"
    note = f"{number(outside)} of {number(own)} s are outside the forward pass"
    if outside < 0:
        note = f"{number(own)} s, the forward pass timed apart {number(own - outside)} s"
    by_batch = content["forward"]["ms_an_image"]
    note += f" (batch {min(by_batch, key=by_batch.__getitem__)}, of {', '.join(by_batch)} tried)"
    ratio = content["loop_over_forward"]
    # The bar is that of the whole protocol; a short one shows the report's fixed cost instead.
    whole = settings["protocol"] == "cityscapes-c" and settings["size"] == WHOLE_TEST["size"]
    key = "loop.forward" if whole else ""
    short = f"B{settings['variant']} {settings['mode']}{', fp16' if settings['fp16'] else ''}"
    label = f"{short}, {settings['images']} x {content['passes']} passes"
    yield Row(key, what, "times", ratio, note, "loop" if whole else "", label)
    key = "loop.minutes" if WHOLE_TEST.items() <= settings.items() else ""
    yield Row(key, f"the loop itself; {name}", "minutes", own / 60)
    if "peak_gib" in content["loop"]:  # not in the oldest files
        what = f"memory, cells_per_batch={settings['cells_per_batch']}; {name} ({settings['mode']})"
        yield Row("", what, "GiB", content["loop"]["peak_gib"], "peak of the whole test")
    for workers, times in content["times_faster_than_stock"].items():
        what = f"faster than the stock loop with {workers} workers; {name}"
        stock = content["stock_seconds_by_workers"][workers]
        note, label = f"{number(stock)} s to {number(own)} s", f"{workers} workers"
        if settings.get("stock_severity"):
            note += (
                f"; stock ran severity {settings['stock_severity']}, which stands for the others"
            )
        yield Row(f"stock.{workers}", what, "times", times, note, "stock", label)
    for workers, stock in (content.get("stock_as_released_seconds_by_workers") or {}).items():
        what = f"faster than stock, {workers} workers, glass blur as released; {name}"
        yield Row("", what, "times", stock / own, "derived, not run")


def counting_rows(result: Result) -> Iterator[Row]:
    """The kernel that counts a pass, beside plain torch."""
    for case, forms in result.content["results"].items():
        for name, own in forms.items():
            if not name.startswith("kernel"):
                continue
            equal = own["table_equal"] and own["flips_equal"] and own["nan_equal"]
            note = (
                f"{number(own['times_faster_than_torch'])} times faster than plain torch, "
                f"{number(own['over_one_reading'])} times one reading of the logits; "
                f"tables {'equal' if equal else 'DIFFER'}, "
                f"{own['confidence_pixels_moved']} pixels in another bin"
            )
            yield Row("counting", f"{name}: {case}", "ms", own["median_ms"], note)


def ratio_row(name: str, own: dict[str, Any], first: str) -> Row:
    """A step over the first one's; judged by rounds, in which what drifts cancels."""
    what = f"{name}: step over {first}"
    if "error" in own:
        return Row(f"step.{name}", what, "times", None, own["error"])
    others = own["ratio_of_medians"], own["ratio_of_minima"]
    ratio = own["ratio_by_round"]
    note = f"of medians {number(others[0])}, of minima {number(others[1])}"
    note += f"; {number(own['median_ms'])} ms"
    if "ratio_of_device" in own:
        note += f", device's work x{number(own['ratio_of_device'])}"
    if "ratio_of_peaks" in own:
        note += f", memory x{number(own['ratio_of_peaks'])}"
    spread = min(ratio, *others), max(ratio, *others)
    return Row(f"step.{name}", what, "times", ratio, note, "", name, spread)


def step_rows(result: Result) -> Iterator[Row]:
    """The training steps of the methods over the plain step."""
    settings = result.content["settings"]
    model = f"B{settings['variant']}, batch {settings['batch']}"
    model += ", merged groups" if settings.get("merged") else ""
    model += ", fused attention" if settings.get("fused") else ""
    for name, own in result.content["results"].items():
        if name == "plain":
            continue
        row = ratio_row(name, own, f"the plain one; {model}")
        panel = "step" if settings["variant"] == 0 else ""
        key = row.key if settings["batch"] == STEP_BATCH else ""  # the bars are for that one
        yield replace(row, key=key, panel=panel, label=f"{name} ({result.tag})")


def attention_rows(result: Result) -> Iterator[Row]:
    """The variants beside stock. The fastest is judged, of a forward pass the fastest fused one.

    By whatever other means it is; what fused attention adds to some of these has a row of its own.
    """
    for case in result.content["cases"]:
        part, panel = case["part"], {"forward": "forward", "step": "training"}[case["part"]]
        stem = f"B{case['model']}, batch {case['batch']}"
        what = f"{part}; {stem}, {case['width']}x{case['height']}, {case['dtype']}"
        timed = {k: v for k, v in case["variants"].items() if "times_faster_by_round" in v}
        mark = "fused" if part == "forward" else ""
        judged = [name for name in timed if name != "stock" and name.startswith(mark)]
        best = max(judged, key=lambda name: timed[name]["times_faster_by_round"], default="")
        for name, own in case["variants"].items():
            key = f"attention.{part}" if name == best else ""
            title = f"{name}{' (the best)' if key else ''}: {what}"
            if name not in timed:
                note = own.get("error", "nothing to compare with")
                yield Row(key, title, "times faster", None, note)
            elif name != "stock":
                yield attention_row(key, title, own, panel, f"{stem}: {name}")
        for means, name in (("merged", "merged groups"), ("kept_casts", "kept casts")):
            yield from over_same(timed, what, means, name)


def attention_row(key: str, what: str, own: dict[str, Any], panel: str, label: str) -> Row:
    """A variant over stock."""
    ratio, of_medians = own["times_faster_by_round"], own["times_faster"]
    note = f"of medians {number(of_medians)}; {number(own['median_ms'])} ms"
    if "share_of_peak" in own:
        note += f", memory x{number(own['share_of_peak'])}"
    spread = min(ratio, of_medians), max(ratio, of_medians)
    return Row(key, what, "times faster", ratio, note, panel, label, spread)


def over_same(timed: dict[str, dict[str, Any]], what: str, means: str, name: str) -> Iterator[Row]:
    """What fused attention adds where stock has another means, too."""
    stock, fused = f"stock {means}", f"fused {means}"
    if stock in timed and fused in timed:
        ratio = timed[stock]["median_ms"] / timed[fused]["median_ms"]
        note = f"of medians; what fused attention adds to {name}"
        yield Row("", f"{fused} over {stock}: {what}", "times faster", ratio, note)


def scaling_rows(result: Result) -> Iterator[Row]:
    """Several GPUs over the first number of them; two over one have a bar."""
    content = result.content
    first = next(iter(content["times_the_first"]))
    for gpus, row in content["times_the_first"].items():
        if gpus == first:
            continue
        unit, judged = f"times {first} GPU", (first, gpus) == ("1", "2")
        for name, times in row.items():
            if name == "equal_records":
                continue
            part, note = ("evaluation" if name == "evaluation" else "training"), ""
            if name == "evaluation":
                note = "records are equal" if row["equal_records"] else "records DIFFER"
            key = f"scaling.{part}" if judged else ""
            own = name if part == name else f"{part}, {name}"
            yield Row(key, f"{gpus} GPUs: {own}", unit, times, note)
        if not row.get("equal_records", True):
            what = f"{gpus} GPUs: the records of {first} GPU"
            yield Row("", what, "", None, "other counts")


def series_rows(result: Result) -> Iterator[Row]:
    """The steps of the runs of a series over its first."""
    results = result.content["results"]
    first = result.content["settings"].get("first") or next(iter(results))
    for name, own in results.items():
        if name != first:
            yield replace(ratio_row(name, own, first), key="series")


def reference_rows(result: Result) -> Iterator[Row]:
    """Seconds that ``imagecorruptions`` takes for an image."""
    settings = result.content["settings"]
    size = f"{settings['width']}x{settings['height']}"
    for name, own in result.content["totals"].items():
        what = f"{name}, {own['cells']} cells; {size}, one thread"
        yield Row("reference", what, "s an image", own["wall_s"])


SCRIPTS: dict[str, Callable[[Result], Iterable[Row]]] = {
    "corruption_engine": engine_rows,
    "robustness_evaluation": evaluation_rows,
    "pass_counting": counting_rows,
    "step_time": step_rows,
    "attention": attention_rows,
    "scaling": scaling_rows,
    "series_cost": series_rows,
    "reference_corruptions": reference_rows,
}
"""How the files of each script are read, in the order of the page."""


def number(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    if abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def rows_of(result: Result) -> list[Row]:
    """The rows of a file."""
    try:
        machine, torch = result.machine, result.torch
        return [
            replace(row, file=result.file, machine=machine, torch=torch)
            for row in SCRIPTS[result.script](result)
        ]
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise BrokenResult(
            f"{result.file} is not as benchmarks/{result.script}.py writes it ({problem})."
        ) from error


def all_rows(results: dict[str, list[Result]]) -> dict[str, list[Row]]:
    """The rows of each script: what its files say, then what is still to come."""
    made = {s: [row for one in own for row in rows_of(one)] for s, own in results.items()}
    return {script: [*rows, *rows_to_come(script, rows)] for script, rows in made.items()}


def rows_to_come(script: str, rows: list[Row]) -> Iterator[Row]:
    """Those of a script's wanted figures that none of its rows is."""
    found = {row.key for row in rows}
    for key, wanted in WANTED.items():
        if wanted.file.startswith(script) and key not in found:
            label = wanted.what.removeprefix("faster than the stock loop with ")
            yield Row(
                key, wanted.what, wanted.unit, panel=wanted.panel, label=label, file=wanted.file
            )
