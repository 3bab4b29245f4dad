"""Entries of a record of any version, of which each may be missing or null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]


def find(record: Record | None, *keys: str) -> Any:
    """An entry below several keys.

    Args:
        record (Record, optional): A record, or a part of one.
        *keys (str): From the outside to the inside.

    Returns:
        Any: The entry, None where a key is missing.
    """
    value: Any = record
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def figure(record: Record | None, *keys: str) -> float | None:
    """A number below several keys; None where it is missing, no number or NaN."""
    return known(find(record, *keys))


def bounds(record: Record | None, *keys: str) -> tuple[float, float] | None:
    """An interval below several keys; None where it or one of its ends is missing."""
    ends = find(record, *keys)
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return None
    low, high = known(ends[0]), known(ends[1])
    return None if low is None or high is None else (low, high)


def known(value: Any) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
