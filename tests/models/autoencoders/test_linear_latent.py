"""The auto-encoder as a model that tools/train.py trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip
import pytest
import torch
from load_tool import load_tool
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS
from small_auto_encoders import CHANNELS, small_network, write_checkpoint
from small_runs import equal, load_weights, write_cfg
from small_stacks import images_cfg, run_cfg, stacks_cfg, write_images, write_stacks

from mmseg_robust.augmentations.linear_latent_space import linearity_losses, load_network
from mmseg_robust.engine.command_line import run_tool

CONFIGS = sorted((Path(__file__).parents[3] / "configs/linear_latent_blur").glob("*.py"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_images(tmp_path_factory.mktemp("data"), count=3)
    write_stacks(root / "stacks", count=3)
    return root


def train(monkeypatch: pytest.MonkeyPatch, cfg: dict, work: Path, *options: str) -> int:
    """tools/train.py in this process; returns its exit status."""
    work.mkdir(exist_ok=True)
    config = write_cfg(work / "config.py", cfg)
    arguments = ["train.py", str(config), "--work-dir", str(work / "run"), *options]
    monkeypatch.setattr(sys, "argv", arguments)
    return run_tool(load_tool("train.py").main)


def images_run(data: Path, **model: Any) -> dict:
    return run_cfg(images_cfg(data), images_cfg(data, "val"), **model)


def test_forward_in_its_three_modes() -> None:
    model = MODELS.build(dict(type="LinearLatentAutoEncoder", channels=CHANNELS))
    model.network = small_network().train()
    triplets = torch.rand(2, 3, 3, 32, 32)
    losses = model(triplets, mode="loss")
    expected = linearity_losses(small_network().train(), *triplets.unbind(1), "explicit")
    assert losses.keys() == expected.keys()
    assert all(torch.equal(losses[name], expected[name]) for name in losses)
    network = model.eval().network
    images = torch.rand(1, 3, 33, 40)
    assert torch.equal(model(images), network.decode(network.encode(images), (33, 40)))
    stack, levels = torch.rand(4, 3, 40, 48), [0.0, 4.0, 8.0, 16.0]
    (made,) = model([stack], [levels], ["a"], mode="predict")
    assert made["name"] == "a" and made["levels"] == levels
    codes = network.encode(stack)
    for place, level in enumerate(levels):
        blurred = network.decode((1 - level / 16) * codes[:1] + level / 16 * codes[3:], (40, 48))
        assert torch.allclose(made["blurred"][place], blurred[0], atol=1e-5)
    beta = 4 / 16
    sharp = network.decode(codes[1:2] / beta - (1 - beta) / beta * codes[:1], (40, 48))
    assert torch.allclose(made["deblurred"][0], sharp[0], atol=1e-5)
    assert made["deblurred_alone"].shape == made["deblurred"].shape == (2, 3, 40, 48)


@pytest.mark.parametrize("kind", ["images", "stacks"])
def test_trains_and_validates(data: Path, tmp_path: Path, monkeypatch: Any, kind: str) -> None:
    if kind == "images":
        cfg = images_run(data, linearity="implicit")
    else:
        stacks = data / "stacks"
        cfg = run_cfg(stacks_cfg(stacks), stacks_cfg(stacks), in_channels=1)
    cfg["val_evaluator"]["out_file"] = str(tmp_path / "levels.json")
    assert train(monkeypatch, cfg, tmp_path) == 0
    assert (tmp_path / "levels.json").exists()
    network = load_network(tmp_path / "run/iter_4.pth")
    assert network.in_channels == (3 if kind == "images" else 1)


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    cfg = images_run(data)
    assert train(monkeypatch, cfg, tmp_path / "whole") == 0
    short = {**cfg, "train_cfg": {**cfg["train_cfg"], "max_iters": 2}}
    assert train(monkeypatch, short, tmp_path / "cut") == 0
    assert train(monkeypatch, cfg, tmp_path / "cut", "--resume") == 0
    ends = [load_weights(tmp_path / name / "run/iter_4.pth") for name in ("whole", "cut")]
    assert equal(*ends)


def test_wrong_input_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def message(cfg: dict, *options: str) -> str:
        assert train(monkeypatch, cfg, tmp_path, *options) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "takes images of 1 channels, these have 3" in message(images_run(data, in_channels=1))
    assert "linearity is 'exact'" in message(images_run(data, linearity="exact"))
    (data / "none").mkdir(exist_ok=True)
    nothing = dict(images_cfg(data), data_prefix=dict(img_path="none"))
    assert "there are no images in" in message(run_cfg(nothing, images_cfg(data, "val")))
    other = write_checkpoint(tmp_path / "other.pth", in_channels=1)
    torch.save({"state_dict": {"backbone.weight": torch.zeros(1)}}, tmp_path / "segmentor.pth")
    for path in (other, tmp_path / "segmentor.pth"):
        resumed = message(images_run(data), "--resume", "--cfg-options", f"load_from={path}")
        assert "cannot be resumed" in resumed or "another architecture" in resumed
    start = images_run(data) | dict(load_from=str(tmp_path / "segmentor.pth"))
    assert "another architecture" in message(start)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs(path: Path, data: Path) -> None:
    cfg = Config.fromfile(path)
    assert "mmseg_robust" in cfg.custom_imports["imports"]
    model = MODELS.build(dict(cfg.model, channels=(4, 4)))
    assert model.linearity == cfg.model.linearity == path.stem.split("_")[1]
    assert list(cfg.model.channels) == [64, 128, 256, 512, 1024]
    grey = "bbbc006" in path.stem
    assert model.network.in_channels == (1 if grey else 3)
    for split in ("train", "val", "test"):
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.update(data_root=str(data / "stacks" if grey else data))
        if split != "train":
            dataset.update(data_prefix=dict(img_path="" if grey else "images/val"))
        built = DATASETS.build(dict(dataset, crop_size=32, part=(0, 1)))
        assert built.in_channels == model.network.in_channels
        assert built.test_mode == (split != "train")
