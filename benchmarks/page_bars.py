"""The targets of speed and memory, and the rows that meet or miss them.

``page_rows.py`` makes the rows of the results files, ``draw_page.py`` the page of the rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

SIGNS: dict[str, Callable[[float, float], bool]] = {
    "≤": operator.le,
    "<": operator.lt,
    "≥": operator.ge,
}
MET, MISSED, FAILED, MISSING = "met", "missed", "failed", "not measured yet"


@dataclass(frozen=True)
class Bar:
    """The target of a figure, and the better one that was hoped for."""

    sign: str
    limit: float
    goal: float | None = None

    def __str__(self) -> str:
        goal = "" if self.goal is None else f" (goal {self.goal:g})"
        return f"{self.sign} {self.limit:g}{goal}"

    def met_by(self, value: float) -> bool:
        """Whether a figure meets it."""
        return SIGNS[self.sign](value, self.limit)


@dataclass(frozen=True)
class Wanted:
    """A figure that the page shows in any case.

    Args:
        what (str): What it is.
        unit (str): Its unit.
        bar (Bar, optional): What was asked of it.
        file (str): Where it is written.
        options (str): Of the script that measures it.
        panel (str): Where the figure draws it; default: nowhere.
    """

    what: str
    unit: str
    bar: Bar | None
    file: str
    options: str = ""
    panel: str = ""


ENGINE = "corruption_engine_h200.json"
STOCK = dict(
    file="robustness_evaluation_stock_h200.json",
    options="--images 32 --stock-severity 3 --released --workers 16 4",
    panel="stock",
)
WANTED = {
    "engine.mean": Wanted("mean over the 19", "ms an image", Bar("≤", 1), ENGINE),
    "engine.slowest": Wanted("slowest corruption", "ms an image", Bar("≤", 5), ENGINE),
    "engine.memory": Wanted("most memory of a call", "float32 batches", Bar("≤", 12), ENGINE),
    "engine.cpu": Wanted(
        "sum over the 19 on the CPU", "of the reference's", Bar("≤", 0.5),
        "corruption_engine_cpu.json", "--device cpu --size 1024x512 --batch 1",
    ),
    "loop.forward": Wanted(
        "evaluation loop over the bare forward pass", "times", Bar("≤", 1.15, goal=1.1),
        "robustness_evaluation_h200.json", "--images 64 --workers", panel="loop",
    ),
    "stock.16": Wanted(
        "faster than the stock loop with 16 workers", "times", Bar("≥", 1.7), **STOCK
    ),
    "stock.4": Wanted(
        "faster than the stock loop with 4 workers", "times", Bar("≥", 6), **STOCK
    ),
    "loop.minutes": Wanted(
        "B0, whole cityscapes-c on 500 images", "minutes", Bar("<", 7.5),
        "robustness_evaluation_500_h200.json", "--images 500 --scenes 50 --workers",
    ),
    "counting": Wanted("counting a pass", "ms", None, "pass_counting_h200.json"),
    "step.cwfa": Wanted(
        "cwfa: step over the plain one", "times", Bar("≤", 1.03),
        "step_time_b0_h200.json", "--methods cwfa", panel="step",
    ),
    "step.dfm-x": Wanted(
        "dfm-x: step over the plain one", "times", Bar("≤", 1.05),
        "step_time_b0_methods_h200.json", "--methods dfm-x", panel="step",
    ),
    "attention.forward": Wanted(
        "fused attention: forward pass", "times faster", Bar("≥", 1.8),
        "attention_b0_h200.json", "--models 0 --channels-last --merged", panel="forward",
    ),
    "attention.step": Wanted(
        "stock SegFormer's training step, by all means", "times faster", Bar("≥", 1.3),
        "attention_b0_h200.json", "--models 0 --channels-last --merged", panel="training",
    ),
    "scaling.training": Wanted(
        "two GPUs: training", "times one GPU", Bar("≥", 1.8), "scaling_h200.json", "--gpus 1 2"
    ),
    "scaling.evaluation": Wanted(
        "two GPUs: evaluation", "times one GPU", Bar("≥", 1.8), "scaling_h200.json", "--gpus 1 2"
    ),
    "series": Wanted(
        "steps of a results series", "times the first", None,
        "series_cost_h200.json", "docs/results/camvid/series.json",
    ),
    "reference": Wanted("reference corruptions", "s an image", None, "reference_corruptions.json"),
}  # fmt: skip
"""The figures that the page shows in any case, by key."""


@dataclass(frozen=True)
class Row:
    """A figure of a file, or one that is still to come.

    Args:
        key (str): Which of :data:`WANTED` it is, for its bar; any other has none.
        what (str): What was measured.
        unit (str): Of the figure.
        measured (float, optional): The figure; None where there is none.
        note (str): More about it.
        panel (str): Where the figure draws it; default: nowhere.
        label (str): What the figure calls it.
        spread (tuple): Least and greatest of the ways to form the figure, if there are several.
        file (str): Its JSON file, or where it will be.
        machine (str): What it was measured on.
        torch (str): Version.
        listed (bool): Whether the page's tables have it; the figure may be enough.
    """

    key: str
    what: str
    unit: str
    measured: float | None = None
    note: str = ""
    panel: str = ""
    label: str = ""
    spread: tuple[float, float] | None = None
    file: str = ""
    machine: str = ""
    torch: str = ""
    listed: bool = True

    @property
    def bar(self) -> Bar | None:
        """What was asked of it, if anything."""
        wanted = WANTED.get(self.key)
        return None if wanted is None else wanted.bar

    @property
    def verdict(self) -> str:
        """Whether it meets its bar; empty without one."""
        if self.measured is None:
            return FAILED if self.machine else MISSING
        if self.bar is None:
            return ""
        return MET if self.bar.met_by(self.measured) else MISSED
