"""A resumed run must be the uninterrupted one, to the bit."""

from __future__ import annotations

import copy
import itertools
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.runner import Runner
from small_runs import (
    ROOT,
    equal,
    fork,
    fork_ranks,
    load_weights,
    python,
    run_cfg,
    run_script,
    write_cfg,
    write_images,
)

from mmseg_robust.engine.hooks.random_state_hook import (
    RandomStateHook,
    capture_random_state,
    restore_random_state,
)

NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
NAMES = (f"random-state-{number}" for number in itertools.count())


class Stop(Exception):
    """The end of a run that is interrupted."""


class StopAt(Hook):
    """Interrupt the run after an iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.iter + 1 == self.iteration:
            raise Stop


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_images(root, 8)
    write_images(root, 2, "val")
    return root


def train(cfg: dict[str, Any], work_dir: Path, stop: int = 0, resume: bool = False) -> Runner:
    """Train in this process; ``stop`` interrupts the run after an iteration."""
    cfg = dict(copy.deepcopy(cfg), work_dir=str(work_dir), resume=resume)
    hooks = [StopAt(stop)] if stop else []
    cfg["custom_hooks"] = cfg.get("custom_hooks", [RandomStateHook()]) + hooks
    # Not from_cfg: formatting the config anew for each checkpoint takes longer than the training.
    runner = Runner(**ConfigDict(cfg), experiment_name=next(NAMES))
    if stop:
        with pytest.raises(Stop):
            runner.train()
    else:
        runner.train()
    iterator = runner.train_dataloader._iterator
    if iterator is not None:  # or the workers of later runs would inherit it and wait for it
        iterator._shutdown_workers()
    return runner


def weights_after(cfg: dict[str, Any], folder: Path, stop: int, last: str) -> list[Any]:
    """Weights of an uninterrupted run and of one that was interrupted and resumed."""
    train(cfg, folder / "whole")
    train(cfg, folder / "parts", stop=stop)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # a new process has any state
    train(cfg, folder / "parts", resume=True)
    barrier()  # the first rank alone writes, and the other may be here before it has
    return [load_weights(folder / name / last) for name in ("whole", "parts")]


def draw() -> list[float]:
    """Draw from every generator, by methods that keep a spare number too."""
    numpy = [np.random.randn(), np.random.rand()]
    return [random.gauss(0, 1), random.random(), *numpy, *torch.rand(2).tolist()]


def test_state_round_trip_under_the_unpickling_guard(tmp_path: Path) -> None:
    random.gauss(0, 1), np.random.randn()  # leaves a spare normal number in both
    torch.save(capture_random_state(), tmp_path / "state.pth")
    drawn = draw()
    assert draw() != drawn
    restore_random_state(torch.load(tmp_path / "state.pth", weights_only=True))
    assert draw() == drawn


@pytest.mark.parametrize("workers", [0, 2])
def test_iterations_with_validation_and_without_a_seed(
    data: Path, tmp_path: Path, workers: int
) -> None:
    """Checkpoint at 4, validation after it, stop at 5; 8 iterations are 2 passes over the data."""
    cfg = run_cfg(data, iters=8, workers=workers, randomness=dict(seed=None))
    cfg["custom_hooks"] = [dict(type="RandomStateHook"), dict(type="EMAHook")]
    cfg["default_hooks"]["checkpoint"].update(interval=4, save_best="mIoU")
    train(cfg, tmp_path / "parts", stop=5)
    resumed = train(cfg, tmp_path / "parts", resume=True)
    # The seed was drawn by the first process, so the uninterrupted run is made last.
    cfg["randomness"] = dict(seed=resumed.seed)
    train(cfg, tmp_path / "whole")
    whole, parts = (load_weights(tmp_path / name / "iter_8.pth") for name in ("whole", "parts"))
    assert equal(whole, parts)


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs(data: Path, tmp_path: Path, workers: int) -> None:
    """Four iterations an epoch; workers live through the epochs."""
    cfg = run_cfg(data, workers=workers)
    cfg["train_cfg"] = dict(type="EpochBasedTrainLoop", max_epochs=3, val_interval=1)
    cfg["train_dataloader"]["sampler"] = dict(type="DefaultSampler", shuffle=True)
    cfg["default_hooks"]["checkpoint"].update(by_epoch=True, interval=1)
    assert equal(*weights_after(cfg, tmp_path, stop=10, last="epoch_3.pth"))


def test_without_the_hook_the_weights_differ(data: Path, tmp_path: Path) -> None:
    """The other tests prove something: dropout and augmentation do draw."""
    cfg = run_cfg(data, iters=4, custom_hooks=[], **NO_VALIDATION)
    assert not equal(*weights_after(cfg, tmp_path, stop=3, last="iter_4.pth"))


def test_warns_when_exactness_is_lost(data: Path, tmp_path: Path, caplog: Any) -> None:
    cfg = run_cfg(data, **NO_VALIDATION)
    cfg["optim_wrapper"]["accumulative_counts"] = 4
    train(cfg, tmp_path, stop=3)
    path = tmp_path / "iter_2.pth"
    checkpoint = torch.load(path, weights_only=True)
    torch.save(dict(checkpoint, random_state=checkpoint["random_state"] * 2), path)
    log = log_of(train(cfg, tmp_path, stop=4, resume=True))
    assert "was saved by 2 processes and 1 resume it" in log
    assert "gradients are accumulated over 4" in log
    checkpoint.pop("random_state")
    torch.save(checkpoint, path)
    (tmp_path / "last_checkpoint").write_text(str(path))
    assert "holds no random state" in log_of(train(cfg, tmp_path, stop=3, resume=True))


def log_of(runner: Runner) -> str:
    return (Path(runner.log_dir) / f"{runner.timestamp}.log").read_text()


def test_two_ranks(data: Path, tmp_path: Path) -> None:
    """The ranks draw differently, and the states of both are kept."""
    cfg = run_cfg(data, randomness=dict(seed=0, diff_rank_seed=True), **NO_VALIDATION)
    cfg["default_hooks"]["checkpoint"]["interval"] = 3
    cfg["launcher"] = "pytorch"
    ranks = fork_ranks(weights_after, cfg, tmp_path, 5, "iter_6.pth")
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    states = torch.load(tmp_path / "parts/iter_3.pth", weights_only=True)["random_state"]
    assert not torch.equal(states[0]["torch"], states[1]["torch"])
    whole, parts = (load_weights(tmp_path / name / "iter_6.pth") for name in ("whole", "parts"))
    assert equal(whole, parts)


@pytest.mark.long
def test_killed_process(data: Path, tmp_path: Path) -> None:
    """The real thing: SIGKILL in mid-run, then ``tools/train.py --resume``; with CWFA."""
    cwfa = dict(type="CWFAHook", epsilon=1.0, prob=0.5, begin=2)
    cfg = run_cfg(data, iters=400, workers=2, custom_hooks=[cwfa])
    cfg["train_cfg"]["val_interval"] = cfg["default_hooks"]["checkpoint"]["interval"] = 5
    config = write_cfg(tmp_path / "config.py", cfg)
    command = [ROOT / "tools/train.py", config, "--work-dir", tmp_path / "killed"]
    process = fork(run_script, *command)
    try:
        while not (tmp_path / "killed/last_checkpoint").exists():
            assert process.exitcode is None, "the run ended before a checkpoint was there"
            time.sleep(0.02)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    reached = int(Path((tmp_path / "killed/last_checkpoint").read_text()).stem.split("_")[1])
    end = f"train_cfg.max_iters={reached + 7}"
    resumed = python(*command, "--resume", "--cfg-options", end)
    assert f"resumed epoch: 0, iter: {reached}" in resumed.stdout, resumed.stderr
    cfg["train_cfg"]["max_iters"] = reached + 7
    cfg["custom_hooks"] = [cwfa, dict(type="RandomStateHook")]
    train(cfg, tmp_path / "whole")
    last = f"iter_{reached + 7}.pth"
    assert equal(load_weights(tmp_path / "whole" / last), load_weights(tmp_path / "killed" / last))
