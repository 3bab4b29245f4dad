"""What the benchmark scripts share of their command lines and of the files that they write."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import mmseg_robust  # isort: skip  # noqa: F401  (mends what the import below needs)
import torch

from mmseg_robust.evaluation.provenance import package_versions


def size_of(text: str) -> tuple[int, int]:
    """Width and height from ``WIDTHxHEIGHT``."""
    width, height = text.lower().split("x")
    return int(width), int(height)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The command line, but for where the result goes."""
    return {name: value for name, value in vars(args).items() if name not in ("out", "folder")}


def conditions(args: argparse.Namespace, cuda: bool) -> dict[str, Any]:
    """What the figures depend on: settings, machine and versions."""
    return dict(
        settings=settings_of(args),
        machine=torch.cuda.get_device_name() if cuda else platform.machine(),
        versions=package_versions(),
    )


def write(report: dict[str, Any], out: Path | None) -> None:
    """The report on the console and, where one is named, in a JSON file."""
    text = json.dumps(report, indent=1, default=str)
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
