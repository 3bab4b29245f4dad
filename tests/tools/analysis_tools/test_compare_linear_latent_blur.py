"""The comparison of the auto-encoder's variants, with trainings in this process."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
from load_tool import load_tool
from small_stacks import write_images

from mmseg_robust.engine.command_line import run_tool

tool = load_tool("analysis_tools/compare_linear_latent_blur.py")
FILES = {"results.json", "table.md", "levels.png", "blur.jpg", "deblur.jpg"}


class Finished:
    """Stands in for a process whose work was done in this one."""

    def __init__(self, status: int) -> None:
        self.returncode = status

    def poll(self) -> int:
        return self.returncode

    def terminate(self) -> None:
        pass


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs tools/train.py here when it is to be started; the variants that were."""
    started: list[str] = []

    def start(args: argparse.Namespace, variant: str) -> Finished:
        started.append(variant)
        (args.out / f"{variant}.log").touch()
        monkeypatch.setattr(sys, "argv", tool.command_of(args, variant)[1:])
        return Finished(run_tool(load_tool("train.py").main))

    monkeypatch.setattr(tool, "start", start)
    return started


def test_trains_scores_and_draws_once(
    tmp_path: Path, trainings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_images(tmp_path / "data", count=2), tmp_path / "out"
    command = ["--data", str(data), "--out", str(out), "--iters", "1", "--channels", "4", "4"]
    command += ["--crop", "32", "--batch", "2", "--val-images", "1", "--workers", "0"]
    assert tool.main(command) == 0
    assert trainings == ["baseline", "implicit", "explicit"]
    assert {path.name for path in out.iterdir()} > FILES
    results = json.loads((out / "results.json").read_text())
    assert results["settings"]["channels"] == [4, 4] and results["settings"]["val_images"] == 1
    table = (out / "table.md").read_text()
    assert table in capsys.readouterr().out
    for variant in trainings:
        record = json.loads((out / f"{variant}.json").read_text())
        assert results["variants"][variant] == record and record["images"] == 1
        cells = next(line for line in table.splitlines() if f"{variant}, latent space |" in line)
        mean = sum(record["blur"]["latent"]["psnr"]) / 7
        assert f"| {mean:.2f} |" in cells

    (out / "table.md").unlink()
    assert tool.main(command) == 0
    assert len(trainings) == 3, "nothing is trained again"
    assert (out / "table.md").read_text() == table
    assert tool.main([*command, "--seed", "1"]) == 2
    assert "holds results of other settings" in capsys.readouterr().err


def test_wrong_input(
    tmp_path: Path, trainings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "does not exist" in capsys.readouterr().err
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
    assert tool.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "There are no images in" in capsys.readouterr().err
    assert trainings == []


def test_a_training_that_fails_shows_the_end_of_its_log(
    tmp_path: Path, trainings: list[str]
) -> None:
    data, out = write_images(tmp_path / "data", count=1), tmp_path / "out"
    command = ["--data", str(data), "--out", str(out), "--crop", "64", "--workers", "0"]
    with pytest.raises(SystemExit, match="the training of baseline failed; all of it is in"):
        tool.main([*command, "--iters", "1", "--channels", "4", "4"])
