"""The commands for spectra, dominant frequencies and shortcuts, on small scenes and pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import class_runs
import colour_runs
import numpy as np
import pytest
import torch
from load_tool import load_tool
from mmengine.config import Config
from PIL import Image

from mmseg_robust.augmentations.frequency_maps import FrequencyMaps
from mmseg_robust.engine.command_line import run_tool

TOOLS = {
    name: load_tool(f"analysis_tools/{name}.py")
    for name in ("class_spectra", "dominant_frequencies", "frequency_shortcuts")
}


def call(monkeypatch: pytest.MonkeyPatch, name: str, *words: Any) -> int:
    """Run a tool as from the command line, in this process."""
    monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, words)])
    return run_tool(TOOLS[name].main)


def write_run(cfg: Config, runs: Any, train: Path, folder: Path) -> tuple[Path, Path]:
    """Config file, with its training data, and checkpoint."""
    model = runs.build(cfg).model
    cfg.train_dataloader = dict(dataset=dict(cfg.test_dataloader.dataset, data_root=str(train)))
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / "model.pth")
    cfg.dump(folder / "config.py")
    return folder / "config.py", folder / "model.pth"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("scenes")
    cfg = colour_runs.config(colour_runs.write_scenes(root / "test", 3), root / "work")
    return write_run(cfg, colour_runs, colour_runs.write_scenes(root / "train", 8), root)


@pytest.fixture(scope="module")
def maps(scenes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps of the segmentor."""
    out = tmp_path_factory.mktemp("maps") / "maps.npz"
    with pytest.MonkeyPatch.context() as patch:
        words = ["--map-size", 3, 5, "--images-per-class", 5, "--out", out, "--device", "cpu"]
        more = ["--method", "ranking", "--top", 0.2, "--batch-size", 8]
        assert call(patch, "dominant_frequencies", *scenes, *words, *more) == 0
    return out


def test_maps_of_a_segmentor(maps: Path, scenes: tuple[Path, Path]) -> None:
    found = FrequencyMaps.load(maps, colour_runs.CLASSES)
    assert (found.task, found.size, found.found) == ("segmentation", (3, 5), (True,) * 3)
    assert found.maps.flatten(1).sum(1).tolist() == [3] * 3, "a fifth of 15"
    assert found.maps[:, 1, 2].all(), "colours are told by DC"
    assert found.source["checkpoint"] == str(scenes[1])
    record = json.loads(maps.with_suffix(".json").read_text())
    assert record["score"] == "IoU" and record["source"]["method"] == "ranking"
    entry = record["classes"]["sky"]
    assert entry["images"] == 5 and entry["kept"] == 0.2 and entry["keeps_dc"]
    assert entry["score"] > 50 and entry["filtered_score"] > 10
    assert all("train" in name for name in record["images"])
    assert Image.open(maps.with_suffix(".png")).width > 300


def test_the_same_command_again_takes_what_is_there(
    maps: Path, scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    out = tmp_path / "maps.npz"
    shutil.copytree(maps.with_suffix(".parts"), out.with_suffix(".parts"))
    words = ["--map-size", 3, 5, "--images-per-class", 5, "--out", out, "--device", "cpu"]
    again = [*words, "--method", "ranking", "--batch-size", 3]
    parts = {path: path.stat().st_mtime_ns for path in out.with_suffix(".parts").iterdir()}
    assert call(monkeypatch, "dominant_frequencies", *scenes, *again, "--top", 0.2) == 0
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    assert torch.equal(FrequencyMaps.load(out).maps, FrequencyMaps.load(maps).maps)
    assert call(monkeypatch, "dominant_frequencies", *scenes, *again, "--classes", "sky") == 2
    assert "other settings (classes)" in capsys.readouterr().err


def test_shortcuts_of_a_segmentor(
    maps: Path, scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    out = tmp_path / "rates.png"
    words = [*scenes, maps, "--out", out, "--device", "cpu"]
    monkeypatch.setattr(TOOLS["frequency_shortcuts"], "AT_ONCE", 2)
    assert call(monkeypatch, "frequency_shortcuts", *words) == 0
    assert Image.open(out).width > 300
    first = json.loads(out.with_suffix(".json").read_text())
    assert first["run"]["split"] == "test" and first["run"]["num_images"] == 3
    labels = [colour_runs.scene(index)[1] for index in range(3)]
    for label, name in enumerate(colour_runs.CLASSES):
        entry = first["classes"][name]
        assert entry["pixels"] == sum(int((own == label).sum()) for own in labels)
        assert 0 <= entry["FPR"] <= 1 and entry["unfiltered_TPR"] > 0.5
    parts = sorted(path.name for path in out.with_suffix(".parts").glob("*.npz"))
    assert parts == ["images_000000.npz", "images_000002.npz"]
    (out.with_suffix(".parts") / parts[0]).unlink()  # as if it had been killed
    assert call(monkeypatch, "frequency_shortcuts", *words) == 0
    assert json.loads(out.with_suffix(".json").read_text()) == first
    assert f"{first['classes']['sky']['TPR']:.3f}" in capsys.readouterr().out


def test_spectra_of_regions(
    scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "spectra.png"
    words = [scenes[0], "--out", out, "--window", 8, "--images-per-class", 4]
    assert call(monkeypatch, "class_spectra", *words) == 0
    assert Image.open(out).width > 300
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["task"] == "segmentation" and record["window"] == 8 and not record["skipped"]
    assert len(record["classes"]["tree"]["profile"]) == len(record["frequencies"]) == 5
    with np.load(out.with_suffix(".npz")) as arrays:
        assert arrays["spectra"].shape == arrays["adcs"].shape == (3, 8, 8)
        assert arrays["classes"].tolist() == list(colour_runs.CLASSES)


def test_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mmpretrain")
    cfg = class_runs.config(class_runs.write_pictures(tmp_path / "test", 6), tmp_path / "work")
    train = class_runs.write_pictures(tmp_path / "train", 16)
    run = write_run(cfg, class_runs, train, tmp_path)
    out = tmp_path / "spectra.png"
    assert call(monkeypatch, "class_spectra", run[0], "--out", out) == 0
    record = json.loads(out.with_suffix(".json").read_text())
    assert [entry["images"] for entry in record["classes"].values()] == [6, 5, 5]
    maps = tmp_path / "maps.npz"
    words = ["--map-size", 2, 2, "--method", "greedy", "--out", maps, "--device", "cpu"]
    assert call(monkeypatch, "dominant_frequencies", *run, *words, "--classes", "cat", "dog") == 0
    found = FrequencyMaps.load(maps, class_runs.CLASSES)
    assert found.task == "classification" and found.found == (False, True, True)
    entries = json.loads(maps.with_suffix(".json").read_text())["classes"]
    assert entries["bird"]["skipped"] == "not asked for" and entries["bird"]["kept"] == 1
    rates = tmp_path / "rates.png"
    words = [*run, maps, "--out", rates, "--device", "cpu", "--images-per-class", 2]
    assert call(monkeypatch, "frequency_shortcuts", *words) == 0
    entries = json.loads(rates.with_suffix(".json").read_text())["classes"]
    assert entries["cat"]["images"] == 2 and entries["bird"]["TPR"] is None


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("dominant_frequencies", ["--split", "test"], "never chosen on test data"),
        ("dominant_frequencies", ["--split", "val"], "needs val_dataloader"),
        ("dominant_frequencies", ["--method", "best"], "--method is 'best'"),
        ("dominant_frequencies", ["--top", 0.1], "--top is no option of the method 'hierarchical'"),
        ("dominant_frequencies", ["--images-per-class", 3], "3 images, 5 are needed"),
        ("dominant_frequencies", ["--map-size", 99, 9], "smaller than the frequency maps"),
        ("dominant_frequencies", ["--classes", "cow"], "no class 'cow'; there are road, sky, tree"),
        ("dominant_frequencies", ["--out", "maps.pkl"], "--out takes a .npz file"),
        ("dominant_frequencies", ["--device", "tpu"], "torch sees cpu"),
        ("dominant_frequencies", ["--launcher", "pytorch"], "RANK"),
        ("class_spectra", ["--window", 7], "even number from 4"),
        ("class_spectra", ["--out", "spectra.txt"], "--out takes a .png"),
    ],
)
def test_wrong_options(
    name: str, options: list[Any], message: str, scenes: tuple[Path, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    run = scenes if name == "dominant_frequencies" else scenes[:1]
    assert call(monkeypatch, name, *run, "--work-dir", tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_maps_that_do_not_fit(
    maps: Path, scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    weights = torch.load(scenes[1])
    weights["state_dict"]["decode_head.conv_seg.bias"] += 0.01
    torch.save(weights, tmp_path / "other.pth")
    other = [scenes[0], tmp_path / "other.pth"]
    words = ["--out", tmp_path / "rates.png", "--images-per-class", 1]
    assert call(monkeypatch, "frequency_shortcuts", *other, maps, *words) == 2
    assert "maps are of another model" in capsys.readouterr().err
    assert call(monkeypatch, "frequency_shortcuts", *other, maps, *words, "--any-model") == 0
    assert call(monkeypatch, "frequency_shortcuts", *scenes, scenes[1], *words) == 2
    assert "is no file of frequency maps" in capsys.readouterr().err
    fewer = FrequencyMaps.load(maps)
    path = tmp_path / "fewer.npz"
    FrequencyMaps(
        fewer.maps[:2], fewer.classes[:2], fewer.found[:2], fewer.task, fewer.source
    ).save(path)
    assert call(monkeypatch, "frequency_shortcuts", *scenes, path, *words) == 2
    assert "2 classes, here are 3" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_classify(
    scenes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    weights = torch.load(scenes[1])
    weights["state_dict"]["decode_head.conv_seg.weight"].zero_()
    torch.save(weights, tmp_path / "blind.pth")
    words = ["--map-size", 2, 2, "--images-per-class", 5, "--out", tmp_path / "maps.npz"]
    run = [scenes[0], tmp_path / "blind.pth"]
    assert call(monkeypatch, "dominant_frequencies", *run, *words) == 2
    assert "The checkpoint cannot classify" in capsys.readouterr().err
    assert not (tmp_path / "maps.npz").exists()
