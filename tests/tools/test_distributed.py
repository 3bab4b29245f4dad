"""Two processes on the CPU train and test through the shell scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from small_runs import (
    ROOT,
    SIZE,
    call,
    equal,
    fork_ranks,
    logged_metrics,
    run_cfg,
    run_ranks,
    run_script,
    write_cfg,
    write_images,
)

import mmseg_robust  # noqa: F401  (MMSegmentation runs in this process too)

# A hook in a module of the user's own: keeps what each rank ends with.
RANK_WEIGHTS = """
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RankWeightsHook(Hook):
    def after_train(self, runner):
        state = dict(runner.model.module.named_parameters())
        torch.save(state, f'{runner.work_dir}/rank_{get_rank()}.pth')
        cwfa = next(h.attached.cwfa for h in runner.hooks if type(h).__name__ == 'CWFAHook')
        drawn = torch.from_numpy(cwfa.drawn(16))
        torch.save(drawn, f'{runner.work_dir}/drawn_{get_rank()}.pth')
"""


@pytest.mark.long
def test_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "data", 6)
    write_images(tmp_path / "data", 3, "val")  # odd: one rank sees a sample twice
    (tmp_path / "rank_weights.py").write_text(RANK_WEIGHTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)  # where MMEngine leaves the folder .dist_test
    monkeypatch.delenv("PORT", raising=False)
    hooks = dict(
        custom_imports=dict(imports=["rank_weights"], allow_failed_imports=False),
        custom_hooks=[
            dict(type="RankWeightsHook"),
            dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0),
        ],
    )
    config = write_cfg(tmp_path / "a config.py", run_cfg(tmp_path / "data", iters=3, **hooks))
    work_dir = tmp_path / "work dir"
    trained = call(ROOT / "tools/dist_train.sh", config, 2, "--work-dir", work_dir)
    assert trained.returncode == 0, trained.stderr
    assert "SyncBN layers became BN" in trained.stdout + trained.stderr
    ranks = [torch.load(work_dir / f"rank_{rank}.pth") for rank in (0, 1)]
    assert equal(*ranks)
    # MMEngine seeds all ranks alike; CWFA must still draw for each rank by itself.
    drawn = [torch.load(work_dir / f"drawn_{rank}.pth") for rank in (0, 1)]
    assert not torch.equal(*drawn)

    checkpoint = work_dir / "iter_3.pth"
    # The processes that dist_test.sh starts, see test_what_the_launcher_gets.
    options = ["--launcher", "pytorch", "--work-dir", tmp_path / "both"]
    run_ranks(run_script, ROOT / "tools/test.py", config, checkpoint, *options)
    cfg = Config(dict(run_cfg(tmp_path / "data"), load_from=str(checkpoint)))
    cfg.work_dir = str(tmp_path / "one")
    assert Runner.from_cfg(cfg).test()["mIoU"] > 0
    assert logged_metrics(tmp_path / "both") == logged_metrics(tmp_path / "one")


def run_train_tool(config: Path, stderr: Path) -> None:
    """Be one rank of ``tools/train.py``."""
    with open(f"{stderr}_{os.environ['RANK']}", "w") as file, redirect_stderr(file):
        run_script(ROOT / "tools/train.py", config, "--launcher", "pytorch")


def test_wrong_input_that_one_rank_sees(tmp_path: Path) -> None:
    """The rank says what is wrong and ends; its launcher then ends the others."""
    write_images(tmp_path / "data", 40)
    wrong = tmp_path / "data/labels/train/1.png"  # not among the labels that are sampled at start
    Image.fromarray(np.full((SIZE, SIZE), 34, np.uint8)).save(wrong)
    cfg = run_cfg(tmp_path / "data", val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg["train_dataloader"]["sampler"]["shuffle"] = False
    config = write_cfg(tmp_path / "config.py", dict(cfg, work_dir=str(tmp_path / "work")))
    other, rank = fork_ranks(run_train_tool, config, tmp_path / "stderr")
    rank.join(120)
    other.kill()
    other.join()
    assert rank.exitcode == 2
    lines = (tmp_path / "stderr_1").read_text().splitlines()
    assert [line for line in lines if line.startswith("error: ") and str(wrong) in line]
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "tools").glob("*.sh")))
def test_scripts(script: str, tmp_path: Path) -> None:
    """Scripts are valid, executable, and say how to call them."""
    path = ROOT / "tools" / script
    subprocess.run(["bash", "-n", path], check=True)
    assert os.access(path, os.X_OK)
    run = call(path)
    assert run.returncode == 2
    assert "usage: " in run.stderr


@pytest.mark.parametrize("task", ["train", "test"])
def test_what_the_launcher_gets(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both scripts call torch's launcher alike; test_two_processes lets one of them do it."""
    python = tmp_path / "python"
    python.write_text(
        "#!/usr/bin/env bash\n"
        f'[ "$1" = -c ] && exec "{sys.executable}" "$@"\n'  # which finds a free port
        'printf "%s\\n" "$PYTHONPATH" "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("NNODES", "NODE_RANK", "MASTER_ADDR", "PORT"):
        monkeypatch.delenv(name, raising=False)
    files = ["my config.py"] if task == "train" else ["my config.py", "my weights.pth"]
    command = [ROOT / f"tools/dist_{task}.sh", *files, "2", "--work-dir", "a b"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    path, *arguments = done.stdout.splitlines()
    assert Path(path.split(os.pathsep)[0]).resolve() == ROOT
    (port,) = (text for text in arguments if text.startswith("--master_port="))
    assert 1024 <= int(port.partition("=")[2]) < 65536
    assert arguments == [
        "-m", "torch.distributed.run", "--nnodes=1", "--node_rank=0", "--master_addr=127.0.0.1",
        port, "--nproc_per_node=2", str(ROOT / f"tools/{task}.py"), *files, "--launcher", "pytorch",
        "--work-dir", "a b",
    ]  # fmt: skip


@pytest.mark.parametrize("task", ["train", "test"])
def test_slurm_scripts(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches srun: the tool by its full path, and arguments with spaces in one piece."""
    srun = tmp_path / "srun"
    srun.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GPUS", "16")
    monkeypatch.setenv("SRUN_ARGS", "--qos=high --time=10")
    files = ["my config.py"] if task == "train" else ["my config.py", "my weights.pth"]
    run = call(ROOT / f"tools/slurm_{task}.sh", "gpu", "a job", *files, "--work-dir", "a b")
    lines = run.stdout.splitlines()
    assert lines[lines.index("-p") + 1] == "gpu"
    assert {"--job-name=a job", "--ntasks=16", "--qos=high", "--time=10"} <= set(lines)
    tool = lines.index(str(ROOT / f"tools/{task}.py"))
    assert lines[tool + 1 :] == [*files, "--launcher", "slurm", "--work-dir", "a b"]
