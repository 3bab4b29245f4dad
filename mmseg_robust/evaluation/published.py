"""Baselines from published tables, which ship with the package."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from mmseg_robust.errors import InputError

FOLDER = Path(__file__).with_name("baselines")


def published_baselines() -> dict[str, Path]:
    """The shipped baselines: subsets of a record, with ``name``, ``source`` and ``evidence``.

    Those of ``cityscapes-c`` are the rows of SegFormer's Table 5 (arXiv 2105.15203). ``alexnet``
    holds the errors that published mCE on ``imagenet-c`` divides by, as ``top1_error``.

    Returns:
        dict[str, Path]: Files by name, in the order of the names.
    """
    return {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def find_baseline(baseline: str | os.PathLike[str]) -> Path:
    """Resolves what a user gave as a baseline.

    Args:
        baseline (str | os.PathLike): A record's file, or a name of :func:`published_baselines`. A
            file of that name comes first.

    Returns:
        Path: The file.

    Raises:
        InputError: If it is neither. The message lists the names.
    """
    path, published = Path(baseline), published_baselines()
    if path.is_file():
        return path
    if str(baseline) in published:
        return published[str(baseline)]
    nearest = difflib.get_close_matches(str(baseline), published, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise InputError(
        f"{str(baseline)!r} is neither a file nor a published baseline.{hint} Give "
        f"the robustness.json of a run, or one of: {', '.join(published)}."
    )
