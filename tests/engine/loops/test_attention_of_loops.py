"""The robustness loops with fused and with stock attention, on a SegFormer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_runs import run_cfg, write_images
from torch import nn

from mmseg_robust.errors import InputError

HOOK = [dict(type="FusedAttentionHook")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    write_images(root, 2, "train")
    write_images(root, 2, "val")
    return root


def hooks(model: nn.Module) -> int:
    """Forward pre-hooks in the whole model."""
    return sum(len(module._forward_pre_hooks) for module in model.modules())


class Watch(Hook):
    """Counts the forward pre-hooks in every iteration; raises in the third test on request."""

    priority = "LOWEST"

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.seen: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}

    def before_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.seen["train"].add(hooks(runner.model))

    def before_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        self.seen["val"].add(hooks(runner.model))

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.seen["test"].add(hooks(runner.model))
        if self.fails and batch_idx == 2:
            raise RuntimeError("stop")


@torch.no_grad()
def spread(model: Any) -> None:
    """Weights with which all classes are predicted, depending on what attention gives."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.train()
    for _ in range(20):  # statistics of the batch norm
        model(torch.randn(4, 3, 48, 48))
    classifier = model.decode_head.conv_seg
    classifier.weight -= classifier.weight.mean(1, keepdim=True)
    classifier.bias.zero_()


def build(data: Path, work_dir: Path, watch: Watch, **changes: Any) -> Runner:
    """A runner of a tiny SegFormer whose four blocks have attention each."""
    test = dict(type="RobustnessTestLoop", protocol="demo", out_file=str(work_dir / "o.json"))
    cfg = Config(run_cfg(data, iters=1, work_dir=str(work_dir), log_level="WARNING", test_cfg=test))
    cfg.default_hooks.pop("visualization")
    cfg.custom_hooks = changes.pop("custom_hooks", [])
    cfg.merge_from_dict(changes)
    runner = Runner.from_cfg(cfg)
    spread(runner.model)
    runner.register_hook(watch)
    return runner


def measure(data: Path, work_dir: Path, **changes: Any) -> tuple[dict, dict, set[int]]:
    """Metrics, record, and how many modules were fused meanwhile."""
    work_dir.mkdir(exist_ok=True)
    watch = Watch()
    runner = build(data, work_dir, watch, **changes)
    metrics = runner.test()
    assert hooks(runner.model) == 0, "hooks must be gone"
    return metrics, json.loads((work_dir / "o.json").read_text()), watch.seen["test"]


def test_stock_attention_is_the_stock_loop_to_the_bit(data: Path, tmp_path: Path) -> None:
    """Also where the hook is in the config: for what the loop measures the loop decides."""
    stock = build(data, tmp_path, Watch(), test_cfg=dict(type="TestLoop", _delete_=True)).test()
    changes = {"test_cfg.attention": "stock", "custom_hooks": HOOK}
    metrics, record, seen = measure(data, tmp_path, **changes)
    assert 1 < stock["mIoU"] < 99
    assert {key: metrics[key] for key in stock} == stock
    assert record["run"]["attention"] == "stock"
    assert seen == {0}


def test_fused_attention_is_the_default_and_gives_the_same(data: Path, tmp_path: Path) -> None:
    fused, record, seen = measure(data, tmp_path / "fused")
    assert seen == {4}
    assert record["run"]["attention"] == "fused"
    # With the hook, which adds nothing.
    assert measure(data, tmp_path / "hook", custom_hooks=HOOK)[::2] == (fused, {4})
    stock = measure(data, tmp_path / "stock", **{"test_cfg.attention": "stock"})[0]
    assert fused.keys() == stock.keys()
    for name, value in stock.items():
        assert fused[name] == pytest.approx(value, abs=0.2), name
    assert stock["robustness/mean"] != stock["robustness/clean"]


def test_a_store_of_the_other_attention_is_refused(data: Path, tmp_path: Path) -> None:
    store = {"test_cfg.store": str(tmp_path / "store"), "test_dataloader.dataset.indices": 1}
    first = measure(data, tmp_path, **store)[0]
    identity = json.loads((tmp_path / "store/identity.json").read_text())
    assert identity["attention"] == "fused"
    with pytest.raises(InputError, match="another run: attention: 'fused' there, 'stock' here"):
        measure(data, tmp_path, **store, **{"test_cfg.attention": "stock"})
    assert measure(data, tmp_path, **store)[0] == first


def test_it_is_taken_away_when_the_test_fails(data: Path, tmp_path: Path) -> None:
    watch = Watch(fails=True)
    runner = build(data, tmp_path, watch)
    with pytest.raises(RuntimeError, match="stop"):
        runner.test()
    assert watch.seen["test"] == {4}
    assert hooks(runner.model) == 0


@pytest.mark.parametrize("loop", ["test", "val"])
def test_another_name_is_refused(data: Path, tmp_path: Path, loop: str) -> None:
    cfg = dict(type="RobustnessValLoop", protocol="demo", attention="flash")
    changes = {"val_cfg": cfg} if loop == "val" else {"test_cfg.attention": "flash"}
    with pytest.raises(InputError, match="attention must be one of fused, stock, got 'flash'"):
        getattr(build(data, tmp_path, Watch(), **changes), loop)()


@pytest.mark.parametrize("attention, during", [("fused", 4), ("stock", 0)])
def test_validation_decides_for_itself(
    data: Path, tmp_path: Path, attention: str, during: int
) -> None:
    """Whatever the hook has done for the training, which has it back afterwards."""
    val = dict(type="RobustnessValLoop", protocol="demo", attention=attention)
    changes = {"val_cfg": val, "train_cfg.val_interval": 1, "train_cfg.max_iters": 2}
    watch = Watch()
    runner = build(data, tmp_path, watch, custom_hooks=HOOK, **changes)
    runner.train()
    assert watch.seen == {"train": {4}, "val": {during}, "test": set()}
    assert hooks(runner.model) == 0
