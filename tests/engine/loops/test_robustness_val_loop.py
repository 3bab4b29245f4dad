"""The light measure at validation."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from colour_runs import build, config, flags_of_cudnn, write_scenes
from mmengine.config import Config

from mmseg_robust.corruptions import get_protocol


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), count=3)


def validating(root: Path, work_dir: Path, **changes: Any) -> Config:
    """A run that can also train and validate."""
    cfg = config(root, work_dir)
    cfg.val_dataloader = copy.deepcopy(cfg.test_dataloader)
    cfg.val_evaluator = copy.deepcopy(cfg.test_evaluator)
    cfg.val_cfg = dict(type="RobustnessValLoop", protocol="demo")
    cfg.train_dataloader = copy.deepcopy(cfg.test_dataloader)
    cfg.train_dataloader.sampler = dict(type="InfiniteSampler", shuffle=False)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=1)
    cfg.model.data_preprocessor.size = (60, 80)  # what training pads to
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05))
    cfg.merge_from_dict(changes)
    return cfg


def test_it_gives_the_numbers_of_the_test_loop(scenes: Path, tmp_path: Path) -> None:
    cfg = validating(scenes, tmp_path)
    cfg.test_cfg.out_file = str(tmp_path / "o.json")
    runner = build(cfg)
    validated, tested = runner.val(), runner.test()
    assert validated["mIoU"] == tested["mIoU"]
    groups = get_protocol("demo").groups
    for name in ("clean", "mean", "retention", *groups):
        assert validated[f"robustness/{name}"] == tested[f"robustness/{name}"]
    assert validated["robustness/retention"] < 100


def test_cudnn_tries_algorithms_in_training_alone(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = flags_of_cudnn(monkeypatch)
    build(validating(scenes, tmp_path, **{"env_cfg.cudnn_benchmark": True})).train()
    assert set(flags) == {("train_step", True, False), ("test_step", False, True)}


def test_the_best_checkpoint_follows_retention(scenes: Path, tmp_path: Path) -> None:
    hook = dict(
        type="CheckpointHook", by_epoch=False, interval=1,
        save_best="robustness/retention", rule="greater",
    )  # fmt: skip
    cfg = validating(scenes, tmp_path, **{"default_hooks.checkpoint": hook})
    runner = build(cfg)
    runner.train()
    assert list(tmp_path.glob("best_robustness_retention_iter_*.pth"))
    logged = next(Path(runner.log_dir).rglob("scalars.json")).read_text().splitlines()
    seen = [json.loads(line) for line in logged]
    assert sum("robustness/retention" in line for line in seen) == 2


def test_the_default_protocol_is_the_light_one(scenes: Path, tmp_path: Path) -> None:
    cfg = validating(scenes, tmp_path)
    cfg.val_cfg = dict(type="RobustnessValLoop")
    assert build(cfg).val_loop.protocol.name == "cityscapes-c-light"
