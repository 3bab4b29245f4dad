"""Engine against reference at model level: the committed records, and records that differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from load_tool import ROOT, load_tool

FOLDER = ROOT / "docs" / "results" / "model_level"
ENGINE = FOLDER / "engine_seed0.json"
REFERENCES = sorted(FOLDER.glob("reference_seed*.json"))
compare = load_tool("results/compare_generators.py")


def run(*paths: Path, options: tuple[str, ...] = ()) -> int:
    return compare.main([*map(str, paths), *options])


def test_the_trained_model_scores_the_same_on_both(capsys: pytest.CaptureFixture) -> None:
    """Every cell within 0.7 points or three standard deviations, the mean within 0.2."""
    assert len(REFERENCES) == 3
    assert run(ENGINE, *REFERENCES) == 0
    assert "72 of 72 cells agree" in capsys.readouterr().out


def shifted(path: Path, cells: dict[int, float], mean: float = 0.0) -> Path:
    record = json.loads(ENGINE.read_text())
    for index, points in cells.items():
        record["cells"][index]["mIoU"] += points
    record["summary"]["mean"] += mean
    path.write_text(json.dumps(record))
    return path


def test_a_cell_that_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    name = "{corruption} {severity}".format(**json.loads(ENGINE.read_text())["cells"][0])
    assert run(shifted(tmp_path / "a.json", {0: 1.5}), *REFERENCES) == 1
    output = capsys.readouterr()
    assert f"outside: {name}: +1." in output.err
    assert "71 of 72 cells agree" in output.out
    assert run(tmp_path / "a.json", *REFERENCES, options=("--cell", "2")) == 0


def test_a_mean_that_differs(tmp_path: Path) -> None:
    assert run(shifted(tmp_path / "a.json", {}, mean=0.3), *REFERENCES) == 1


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        run(ENGINE, REFERENCES[0])
    assert "two or more" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="made by the same generator"):
        run(ENGINE, shifted(tmp_path / "a.json", {}), REFERENCES[0])
    record = json.loads(REFERENCES[0].read_text())
    record["num_images"] = 24
    (tmp_path / "b.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="has another num_images"):
        run(ENGINE, tmp_path / "b.json", REFERENCES[1])
    record = json.loads(REFERENCES[0].read_text())
    (tmp_path / "c.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="has the seed of"):
        run(ENGINE, REFERENCES[0], tmp_path / "c.json")
    record["run"]["checkpoint"] = "other.pth"
    (tmp_path / "c.json").write_text(json.dumps(record))
    with pytest.raises(SystemExit, match="has another checkpoint"):
        run(ENGINE, REFERENCES[1], tmp_path / "c.json")
    with pytest.raises(SystemExit):
        run(ENGINE, REFERENCES[1], REFERENCES[1])
    assert "named twice" in capsys.readouterr().err
