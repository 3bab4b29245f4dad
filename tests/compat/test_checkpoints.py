"""MMEngine's checkpoints load, and a malicious pickle does not."""

from __future__ import annotations

import builtins
import os
import pickle
import random
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import load_from_http
from torch import nn

from mmseg_robust.compat import checkpoints

has_guard = pytest.mark.skipif(
    not hasattr(torch.serialization, "get_safe_globals"), reason="this torch has no guard"
)


class _Model(BaseModel):
    """One linear layer, in MMEngine's interface."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs: torch.Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        outputs = self.layer(inputs)
        return {"loss": outputs.square().mean()} if mode == "loss" else [outputs]


class _Metric(BaseMetric):
    """Counts batches."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {"batches": float(len(results))}


def make_runner(work_dir: Path, iterations: int, resume: bool) -> Runner:
    """A run with everything that MMEngine puts into a checkpoint."""
    loader: dict[str, Any] = dict(
        dataset=[dict(inputs=torch.ones(2)) for _ in range(4)],
        batch_size=2,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=True),
        collate_fn=dict(type="default_collate"),
    )
    return Runner(
        model=_Model(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=Evaluator(_Metric()),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=2),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.1)),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=1),
            dict(type="PolyLR", power=0.9, by_epoch=False, begin=1, end=4),
        ],
        default_hooks=dict(
            checkpoint=dict(
                type="CheckpointHook",
                by_epoch=False,
                interval=2,
                save_best="batches",
                rule="greater",
            ),
            logger=dict(type="LoggerHook", interval=1),
        ),
        custom_hooks=[dict(type="EMAHook")],
        resume=resume,
        experiment_name=f"{work_dir.name}_{iterations}",
    )


def test_checkpoint_of_a_run_loads_and_resumes(tmp_path: Path) -> None:
    make_runner(tmp_path, 2, resume=False).train()
    file = tmp_path / "iter_2.pth"
    stored = torch.load(file)
    buffers = [
        value
        for value in stored["message_hub"]["log_scalars"].values()
        if isinstance(value, HistoryBuffer)
    ]
    assert buffers
    assert all(np.isfinite(buffer.mean()) for buffer in buffers)
    assert {"optimizer", "param_schedulers", "ema_state_dict"} <= set(stored)

    resumed = make_runner(tmp_path, 4, resume=True)
    resumed.train()
    assert resumed.iter == 4
    assert len(MessageHub.get_current_instance().log_scalars["train/loss"].data[0]) == 4

    model = _Model()
    load_checkpoint(model, str(file))
    torch.testing.assert_close(model.state_dict(), stored["state_dict"])


def test_random_states_load(tmp_path: Path) -> None:
    states = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    torch.save(states, tmp_path / "states.pth")
    loaded = torch.load(tmp_path / "states.pth")
    assert loaded["python"] == states["python"]
    np.testing.assert_array_equal(loaded["numpy"][1], states["numpy"][1])
    assert torch.equal(loaded["torch"], states["torch"])


@pytest.mark.parametrize("kind", checkpoints.NUMBER_KINDS)
def test_arrays_and_scalars_of_numbers_load(tmp_path: Path, kind: str) -> None:
    array = np.ones((2, 3), dtype=kind)
    torch.save([array, array[0, 0]], tmp_path / "numbers.pth")
    loaded = torch.load(tmp_path / "numbers.pth")
    np.testing.assert_array_equal(loaded[0], array)
    assert loaded[0].dtype == loaded[1].dtype == array.dtype


class _Call:
    """Pickles as a call that unpickling carries out."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@has_guard
@pytest.mark.parametrize(
    "function, args",
    [
        (os.system, ("touch {file}",)),
        (builtins.eval, ("open({file!r}, 'w')",)),
        (builtins.exec, ("open({file!r}, 'w')",)),
        (builtins.getattr, (HistoryBuffer, "__init__")),
        (builtins.getattr, (HistoryBuffer, "register_statistics")),
        (builtins.getattr, (np.ndarray, "tofile")),
    ],
)
def test_malicious_pickle_is_refused(
    tmp_path: Path, function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    traces = tmp_path / "was_here"
    filled = [arg.format(file=str(traces)) if isinstance(arg, str) else arg for arg in args]
    file = tmp_path / "malicious.pth"
    torch.save({"state_dict": {}, "meta": _Call(function, *filled)}, file)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file)
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(_Model(), str(file))
    assert not traces.exists()


@has_guard
def test_downloads_have_the_guard_too(tmp_path: Path) -> None:
    """MMEngine's download of a URL; a file:// URL goes the same way without a network."""
    traces = tmp_path / "was_here"
    torch.save({"meta": _Call(os.mkdir, str(traces))}, tmp_path / "malicious.pth")
    torch.save({"state_dict": {"layer.bias": torch.ones(1)}}, tmp_path / "good.pth")

    def download(name: str) -> Any:
        url = (tmp_path / name).as_uri()
        return load_from_http(url, model_dir=str(tmp_path / "cache"), progress=False)

    with pytest.raises(pickle.UnpicklingError):
        download("malicious.pth")
    assert not traces.exists()
    assert download("good.pth")["state_dict"]["layer.bias"] == 1
    assert checkpoints.guard_downloads() is False


@has_guard
def test_object_array_is_refused(tmp_path: Path) -> None:
    torch.save(np.array([{}], dtype=object), tmp_path / "objects.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "objects.pth")


def test_second_call_changes_nothing() -> None:
    assert checkpoints.allow_mmengine_checkpoints() is False


@has_guard
def test_list_is_extended_once(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Any] = []
    monkeypatch.setattr(torch.serialization, "get_safe_globals", lambda: added)
    monkeypatch.setattr(torch.serialization, "add_safe_globals", added.extend)
    assert checkpoints.allow_mmengine_checkpoints() is True
    assert builtins.getattr not in added
    assert checkpoints.allow_mmengine_checkpoints() is False


def test_old_torch_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    monkeypatch.delattr(torch.serialization, "get_safe_globals", raising=False)
    assert checkpoints.allow_mmengine_checkpoints() is False
