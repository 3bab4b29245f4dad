"""``tools/train.py`` and ``tools/test.py`` as a user calls them, and MMSegmentation's own tools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mmseg
import numpy as np
import pytest
import torch
from load_tool import load_tool
from mmengine.config import Config
from PIL import Image
from small_runs import ROOT, dataset_cfg, python, run_cfg, write_cfg, write_images

from mmseg_robust.engine.command_line import run_tool
from mmseg_robust.errors import InputError

STOCK_TOOLS = Path(mmseg.__file__).parent / ".mim/tools"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_images(root, 6)
    write_images(root, 2, "val")
    return root


def call_tool(tool: str, monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> None:
    """Call a tool in this process."""
    monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
    assert run_tool(load_tool(f"{tool}.py").main) == 0


def fail(tool: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: Any) -> str:
    """Call a tool in this process; it must end as wrong input does. Returns the message."""
    monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
    assert run_tool(load_tool(f"{tool}.py").main) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


@pytest.mark.long
def test_spawned_workers_then_test_with_pictures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that starts from nothing; no ``custom_imports`` in the config."""
    cfg = run_cfg(data, iters=2, workers=1)
    cfg["env_cfg"]["mp_cfg"]["mp_start_method"] = "spawn"
    cfg["train_cfg"]["val_interval"] = 10
    config = write_cfg(tmp_path / "config.py", cfg)
    run = python(
        ROOT / 'tools/train.py', config, '--work-dir', tmp_path / 'work', '--cfg-options',
        'optim_wrapper.optimizer.lr=0.5',
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "RandomStateHook" in run.stdout
    assert "PreflightHook" in run.stdout
    assert Config.fromfile(tmp_path / "work/config.py").optim_wrapper.optimizer.lr == 0.5

    cfg["visualizer"]["name"] = str(tmp_path)  # or that of an earlier run in this process
    cfg["train_dataloader"]["dataset"]["data_root"] = "not needed"
    write_cfg(config, cfg)
    call_tool(
        'test', monkeypatch, config, tmp_path / 'work/iter_2.pth', '--work-dir', tmp_path / 'test',
        '--out', tmp_path / 'out', '--show-dir', tmp_path / 'pictures',
    )  # fmt: skip
    (numbers,) = (tmp_path / "test").glob("*/2*.json")
    assert "mIoU" in json.loads(numbers.read_text())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png"]
    assert np.asarray(Image.open(tmp_path / "out/0.png")).max() < 4
    assert len(list((tmp_path / "pictures").glob("**/*.png"))) == 2


STOCK_CONFIG = """
_base_ = ["mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="CWFAHook", epsilon=3.0, begin=0)]
test_cfg = dict(type="RobustnessTestLoop", protocol="demo")
train_cfg = dict(max_iters=2, val_interval=2)
model = dict(
    data_preprocessor=dict(size=(32, 32)),
    backbone=dict(init_cfg=None, embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4),
    decode_head=dict(in_channels=[8] * 4, channels=8, num_classes=4),
    test_cfg=dict(_delete_=True, mode="whole"),
)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(
    _delete_=True, **{train}))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(
    _delete_=True, **{val}))
test_dataloader = val_dataloader
"""


@pytest.mark.long
def test_stock_tools(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stock config, extended in a folder of the user's own, under MMSegmentation's tools."""
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.py"
    datasets = {"{train}": dataset_cfg(data), "{val}": dataset_cfg(data, "val")}
    text = STOCK_CONFIG
    for name, dataset in datasets.items():
        text = text.replace(name, repr(dataset))
    config.write_text(text)
    run = python(STOCK_TOOLS / "train.py", config, "--work-dir", tmp_path / "work")
    assert run.returncode == 0, run.stderr
    (log,) = (tmp_path / "work").glob("*/*.log")
    assert log.read_text().count("times the norm") == 4  # a line for each stage
    checkpoint = tmp_path / "work/iter_2.pth"
    run = python(STOCK_TOOLS / "test.py", config, checkpoint, "--work-dir", tmp_path / "test")
    assert run.returncode == 0, run.stderr
    (record,) = (tmp_path / "test").glob("*/robustness.json")
    assert json.loads(record.read_text())["protocol"]["name"] == "demo"


def test_wrong_command_lines(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def message(tool: str, *arguments: Any) -> str:
        return fail(tool, monkeypatch, capsys, *arguments, "--work-dir", tmp_path / "work")

    config = write_cfg(tmp_path / "config.py", run_cfg(data))
    (tmp_path / "broken.py").write_text("model = dict(\n")
    (tmp_path / "orphan.py").write_text("_base_ = ['mmseg::segformer/nothing.py']\n")
    assert "nowhere.py" in message("train", "nowhere.py")
    assert "broken.py" in message("train", tmp_path / "broken.py")
    assert "nothing.py" in message("train", tmp_path / "orphan.py")
    assert "'ssh' (choose from" in message("train", config, "--launcher", "ssh")
    assert "--fast" in message("train", config, "--fast")
    assert "checkpoint" in message("test", config)
    assert "key=value" in message("train", config, "--cfg-options", "lr")
    assert "not fit" in message("train", config, "--cfg-options", "param_scheduler.5.power=1")
    assert "AMP" in message("train", config, "--amp").upper()
    assert "nowhere.pth" in message("test", config, "nowhere.pth")
    assert "tta_model" in message("test", config, "nowhere.pth", "--tta")
    hooks = [dict(type="CWFAHook", epsilon=-1)]  # raised inside a registry
    write_cfg(tmp_path / "cwfa.py", run_cfg(data, custom_hooks=hooks))
    assert "epsilon" in message("train", tmp_path / "cwfa.py")
    changes = ["--cfg-options", "test_evaluator.type=DepthMetric"]
    assert "IoUMetric" in message("test", config, "nowhere.pth", "--out", tmp_path, *changes)


def test_one_line_for_any_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when a registry or a data loader worker raised the error again in a longer text."""

    def registry() -> None:
        raise InputError("class `CWFAHook` in cwfa_hook.py:\n  epsilon must be positive")

    def worker() -> None:
        raise InputError(
            "Caught InputError in DataLoader worker process 0.\nOriginal Traceback (most recent "
            'call last):\n  File "a.py"\nmmseg_robust.errors.InputError: no such corruption\n'
        )

    assert run_tool(registry) == 2
    expected = "error: class `CWFAHook` in cwfa_hook.py: epsilon must be positive\n"
    assert capsys.readouterr().err == expected
    assert run_tool(worker) == 2
    assert capsys.readouterr().err == "error: no such corruption\n"
    with pytest.raises(ZeroDivisionError):  # a bug keeps its traceback
        run_tool(lambda: print(1 / 0))


def test_resume_of_a_fine_tuning_run(tmp_path: Path) -> None:
    """``load_from`` in the config is where it started, not what to resume from."""
    enable_resume = load_tool("train.py").enable_resume

    def resumed(load_from_given: bool) -> tuple[bool, Any]:
        cfg = Config(dict(work_dir=str(tmp_path), load_from="pretrained.pth", resume=False))
        enable_resume(cfg, load_from_given)
        return cfg.resume, cfg.load_from

    assert resumed(load_from_given=False) == (False, "pretrained.pth")  # nothing saved yet
    saved = tmp_path / "iter_10.pth"
    torch.save({"state_dict": {}}, saved)
    (tmp_path / "last_checkpoint").write_text("/moved/iter_10.pth")
    assert resumed(load_from_given=False) == (True, str(saved))
    assert resumed(load_from_given=True) == (True, "pretrained.pth")


def test_hooks_are_added_once_and_resume_needs_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--resume`` without a checkpoint starts from the beginning, as stock."""
    cfg = run_cfg(data, iters=1, custom_hooks=[dict(type="RandomStateHook")])
    config = write_cfg(tmp_path / "config.py", cfg)
    call_tool("train", monkeypatch, config, "--work-dir", tmp_path / "work", "--resume")
    assert (tmp_path / "work/iter_1.pth").exists()
    dumped = Config.fromfile(tmp_path / "work/config.py")
    assert sorted(hook.type for hook in dumped.custom_hooks) == ["PreflightHook", "RandomStateHook"]
