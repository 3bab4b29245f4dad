"""``tools/analysis_tools/fourier_heat_map.py`` as a user calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_runs import build, config, write_scenes
from load_tool import load_tool
from PIL import Image

from mmseg_robust.engine.command_line import run_tool

TOOL = load_tool("analysis_tools/fourier_heat_map.py")
SMALL = ("--size", 3, "--images", 2, "--strength", 0.2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config and checkpoints: a good one, road everywhere, and one of another model."""
    root = tmp_path_factory.mktemp("files")
    cfg = config(write_scenes(root / "data", 3), root / "unused")
    model = build(cfg).model
    cfg.dump(root / "config.py")
    state = model.state_dict()
    torch.save(dict(state_dict=state), root / "good.pth")
    road = {key: torch.zeros_like(value) for key, value in state.items()}
    torch.save(dict(state_dict=road), root / "road.pth")
    torch.save(dict(state_dict={"other": torch.zeros(1)}), root / "wrong.pth")
    return root


def call(monkeypatch: pytest.MonkeyPatch, files: Path, *arguments: Any) -> int:
    given = [str(argument) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["fourier_heat_map.py", str(files / "config.py"), *given])
    return run_tool(TOOL.main)


def test_maps_side_by_side(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "good.png"
    good = (files / "good.pth", *SMALL, "--work-dir", tmp_path / "work", "--out", out)
    assert call(monkeypatch, files, *good) == 0
    assert Image.open(out).width > 300
    road = (files / "road.pth", "--names", "all road", *SMALL, "--work-dir", tmp_path / "work")
    assert call(monkeypatch, files, *road, "--beside", tmp_path / "good.json") == 0
    text = capsys.readouterr().out
    assert "| all road |" in text and "Heat maps written to" in text
    both = tmp_path / "work/fourier_heat_map.png"
    assert Image.open(both).width > 2 * Image.open(out).width
    maps = json.loads(both.with_suffix(".json").read_text())["maps"]
    assert [one["name"] for one in maps] == ["good", "all road"]
    assert len({json.dumps(one[key]) for one in maps for key in ("images", "grid")}) == 2
    assert np.ptp(maps[1]["error"]) == 0 and maps[1]["clean"] > maps[0]["clean"]
    assert np.shape(maps[0]["error"]) == (3, 3)
    assert maps[0]["run"]["checkpoint"] == str(files / "good.pth")


def test_names(files: Path) -> None:
    assert TOOL.names_of(["a/plain.pth", "a/cwfa.pth"], None) == ["plain", "cwfa"]
    assert TOOL.names_of(["a/iter_9.pth", "b/iter_9.pth"], None) == ["a/iter_9", "b/iter_9"]
    assert TOOL.names_of(["a/iter_9.pth"], ["mine"]) == ["mine"]


@pytest.mark.parametrize(
    "checkpoints, options, message",
    [
        (["good", "none"], (), "none.pth' does not exist"),
        (["wrong"], (), "wrong.pth' is of another architecture"),
        (["good", "good"], (), "Two models have one name"),
        (["good"], ("--names", "a", "b"), "--names needs a name for each of 1 checkpoints"),
        (["good"], ("--size", "4"), "odd number from 3"),
        (["good"], ("--size", "61"), "no room for a cycle of 0.0166667"),
        (["good"], ("--greatest-frequency", "0.7"), "The greatest frequency must be"),
        (["good"], ("--strength", "17.8"), "from 0.0039"),
        (["good"], ("--images", "0"), "number of images must be an integer from 1"),
        (["good"], ("--cells-per-batch", "0"), "cells_per_batch must be an integer from 1"),
        (["good"], ("--out", "map.txt"), "--out takes a .png, .svg or .pdf file"),
        (["good"], ("--beside", "none.json"), "Cannot read the heat maps 'none.json'"),
    ],
)
def test_wrong_input_ends_in_one_line(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture, checkpoints: list[str], options: tuple, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    paths = [files / f"{name}.pth" for name in checkpoints]
    assert call(monkeypatch, files, *paths, "--work-dir", tmp_path / "work", *options) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ") and message in lines[-1]


def test_maps_of_other_options_are_refused_before_the_test(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from mmseg_robust.analysis.fourier_heat_map import HeatMap, write_maps
    from mmseg_robust.corruptions import FourierGrid

    blank = np.zeros((5, 5))
    other = HeatMap(
        "other", FourierGrid(5), "mIoU", 1.0, blank, blank, blank, 2, "", ("a",), {"seed": 0}
    )
    write_maps([other], tmp_path / "other.json")
    monkeypatch.setattr(TOOL, "measure", None)  # would fail
    options = (*SMALL, "--work-dir", tmp_path, "--beside", tmp_path / "other.json")
    assert call(monkeypatch, files, files / "good.pth", *options) == 2
    message = capsys.readouterr().err
    assert "are of fourier-5x5-to0.5-rms0.07 with seed 0, this command asks for" in message
