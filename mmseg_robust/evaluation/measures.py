"""What a run is judged by: mIoU for a segmentor, top-1 error for a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A figure in percent, as its field states it.

    All arithmetic is done on scores, of which more is better. An error is 100 minus its score: what
    is stated, in records and reports, is turned round at the last moment, here.

    Args:
        key (str): Name of the figure in a record; its interval is ``<key>_interval``.
        title (str): Its name in running text.
        heading (str): Its name at the beginning of a line.
        counted (str): What it counts, in the plural; ECE and flip rate count the same.
        is_error (bool): Whether less is better.
        if_nan (str): What becomes of an image whose logits hold NaN.
    """

    key: str
    title: str
    heading: str
    counted: str
    is_error: bool
    if_nan: str

    def stated(self, score: float) -> float:
        """The figure of a score, and the score of a figure, in percent."""
        return 100 - score if self.is_error else score

    def stated_interval(self, interval: tuple[float, float]) -> tuple[float, float]:
        """The interval of the figure, from that of the score or the other way round."""
        low, high = interval
        return (100 - high, 100 - low) if self.is_error else interval

    def stated_change(self, change: float) -> float:
        """By how much the figure differs where the score differs by ``change``."""
        return -change if self.is_error else change

    def stated_change_interval(self, interval: tuple[float, float]) -> tuple[float, float]:
        """The same for the interval of a difference."""
        low, high = interval
        return (-high, -low) if self.is_error else interval


MIOU = Measure(
    key="mIoU",
    title="mIoU",
    heading="mIoU",
    counted="pixels",
    is_error=False,
    if_nan="where the logits of a pixel hold NaN, argmax picks its class",
)
TOP1_ERROR = Measure(
    key="top1_error",
    title="top-1 error",
    heading="Top-1 error",
    counted="images",
    is_error=True,
    if_nan="they count as wrong, with confidence 0",
)


def measure_of(record: Mapping[str, Any]) -> Measure:
    """The measure that a record states.

    Args:
        record (Mapping[str, Any]): A record, or a part of one.

    Returns:
        Measure: ``TOP1_ERROR`` where a corruption has that entry, else ``MIOU``.
    """
    corruptions = record.get("corruptions")
    entries = corruptions.values() if isinstance(corruptions, Mapping) else ()
    found = any(isinstance(entry, Mapping) and TOP1_ERROR.key in entry for entry in entries)
    return TOP1_ERROR if found else MIOU
