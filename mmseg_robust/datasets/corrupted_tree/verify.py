"""Checks a tree against its manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmseg_robust.datasets.corrupted_tree.records import JOURNAL, MANIFEST, read_manifest
from mmseg_robust.errors import InputError


def verify(
    out: Path, threads: int, tick: Callable[[int, int], None] = lambda done, total: None
) -> list[str]:
    """Compares all files of a tree with its manifest.

    Args:
        out (Path): The tree.
        threads (int): How many files are read at a time.
        tick (Callable): Called as files are done with their number and that of all.

    Returns:
        list[str]: A line for each file that is missing, altered or surplus, and for each source
        image that the tree was made without.

    Raises:
        InputError: If the tree has no manifest or is not finished.
    """
    if (out / JOURNAL).exists():
        raise InputError(f"{str(out)!r} is not finished: start its conversion again.")
    manifest = read_manifest(out)
    files: dict[str, str] = manifest["files"]
    found = {
        (Path(parent) / name).relative_to(out).as_posix()
        for parent, _, names in os.walk(out)
        for name in names
    }
    problems = [f"not made: {message}" for message in manifest["unreadable"]]
    with ThreadPoolExecutor(threads) as pool:
        for name, digest in zip(files, pool.map(lambda name: _sha256(out / name), files)):
            if digest is None:
                problems.append(f"missing: {name}")
            elif digest != files[name]:
                problems.append(f"altered: {name}")
            tick(1, len(files))
    return problems + [f"surplus: {name}" for name in sorted(found - {*files, MANIFEST})]


def _sha256(path: Path) -> str | None:
    """The digest of a file, None if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
