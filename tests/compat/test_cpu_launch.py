"""MMEngine's distributed launch without an accelerator."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from typing import Any

import mmengine.logging
import pytest
import torch
from mmengine import device as mmengine_device
from mmengine.dist import init_dist
from mmengine.dist import utils as dist_utils
from mmengine.model import MMDistributedDataParallel
from torch import distributed, nn

from mmseg_robust.compat import cpu_launch

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variables of a launcher that has started one process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=1, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


def network() -> nn.Sequential:
    """A network with SyncBN in it and below a child."""
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4), nn.Sequential(nn.SyncBatchNorm(4))
    )
    with torch.no_grad():
        for index, parameter in enumerate(layers.parameters()):
            parameter.fill_(0.1 * (index + 1))
    return layers


@without_gpu
def test_model_with_sync_batch_norm_trains_under_gloo(
    one_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="'gloo' in place of 'nccl'"):
        init_dist("pytorch", backend="nccl")
    assert distributed.get_backend() == "gloo"

    messages: list[str] = []
    monkeypatch.setattr(mmengine.logging, "print_log", lambda text, **_: messages.append(text))
    stock = network()
    before = {key: value.clone() for key, value in stock.state_dict().items()}
    model = MMDistributedDataParallel(module=stock, device_ids=[0], broadcast_buffers=False)
    assert model.device_ids is None
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    torch.testing.assert_close(dict(model.module.state_dict()), before)
    model(torch.randn(2, 3, 4, 4)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert len(messages) == 1
    assert "2 SyncBN layers became BN" in messages[0]


@without_gpu
def test_gloo_that_was_asked_for_needs_no_warning(one_process: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        init_dist("pytorch", backend="gloo")
    assert distributed.get_backend() == "gloo"


@without_gpu
def test_only_the_first_rank_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    backends: list[str] = []
    launch = cpu_launch._with_gloo(backends.append)
    monkeypatch.setenv("RANK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        launch("nccl")
    assert backends == ["gloo"]


@without_gpu
def test_cuda_device_is_selected_by_nobody() -> None:
    original = torch.cuda.set_device
    launch = cpu_launch._with_gloo(lambda backend: torch.cuda.set_device(0))
    launch("gloo")
    assert torch.cuda.set_device is original


def test_accelerator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    launch = cpu_launch._with_gloo(lambda *args: calls.append(args))
    monkeypatch.setattr(mmengine_device, "get_device", lambda: "cuda")
    launch("nccl", "torch")
    assert calls == [("nccl", "torch")]


def test_model_on_another_device_is_left_alone() -> None:
    calls: list[dict[str, Any]] = []
    init = cpu_launch._on_any_device(lambda self, module, **kwargs: calls.append(kwargs))
    model = nn.SyncBatchNorm(2, device="meta")
    init(nn.Module(), model, device_ids=[3])
    assert calls == [{"device_ids": [3]}]


def test_second_call_changes_nothing() -> None:
    before = [getattr(dist_utils, name) for name in cpu_launch.LAUNCHERS]
    assert cpu_launch.mend_cpu_launch() is False
    assert before == [getattr(dist_utils, name) for name in cpu_launch.LAUNCHERS]
    assert all(hasattr(function, "__wrapped__") for function in before)
