"""MMEngine's distributed launch on a machine without an accelerator.

MMEngine 0.10.7 selects a CUDA device and NCCL in every launcher, gives
``DistributedDataParallel`` a GPU index, and leaves ``SyncBatchNorm``, which has no CPU form, in the
model. Here gloo takes NCCL's place, the index is dropped, and SyncBN becomes BN.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Callable

import torch
from torch import nn

LAUNCHERS = ("_init_dist_pytorch", "_init_dist_mpi", "_init_dist_slurm")
CPU_BACKENDS = ("gloo", "mpi")
_RANK_VARIABLES = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")


def _is_first_rank() -> bool:
    """Tell, before any process group exists, whether this process is the one that should speak."""
    ranks = [os.environ[name] for name in _RANK_VARIABLES if name in os.environ]
    return not ranks or ranks[0] == "0"


@contextmanager
def _no_cuda_device() -> Iterator[None]:
    """Turn ``torch.cuda.set_device`` off: without CUDA it can only fail."""
    original = torch.cuda.set_device
    torch.cuda.set_device = lambda device: None
    try:
        yield
    finally:
        torch.cuda.set_device = original


def _with_gloo(launch: Callable[..., None]) -> Callable[..., None]:
    """Wrap one of MMEngine's launchers so that it works without an accelerator."""

    @wraps(launch)
    def launch_anywhere(backend: str, *args: Any, **kwargs: Any) -> None:
        from mmengine.device import get_device

        if get_device() != "cpu":
            launch(backend, *args, **kwargs)
            return
        if backend not in CPU_BACKENDS:
            if _is_first_rank():
                warnings.warn(
                    f"no GPU was found: distributed training runs on the CPU, with the backend "
                    f"'gloo' in place of {backend!r}",
                    stacklevel=2,
                )
            backend = "gloo"
        with _no_cuda_device():
            launch(backend, *args, **kwargs)

    return launch_anywhere


def _is_on_cpu(model: nn.Module) -> bool:
    """Tell whether all parameters of a model are on the CPU."""
    return all(parameter.device.type == "cpu" for parameter in model.parameters())


def _without_sync_batch_norm(model: nn.Module) -> nn.Module:
    """Turn every SyncBN of a CPU model into BN, with one warning; keys and values stay."""
    from mmengine.logging import print_log
    from mmengine.model import revert_sync_batchnorm

    count = sum(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    if count == 0:
        return model
    print_log(
        f"SyncBN needs a GPU: {count} SyncBN layers became BN, so each process normalises with the "
        "statistics of its own part of the batch",
        logger="current",
        level=logging.WARNING,
    )
    return revert_sync_batchnorm(model)


def _on_any_device(init: Callable[..., None]) -> Callable[..., None]:
    """Wrap ``MMDistributedDataParallel.__init__`` so that it takes a model on the CPU."""

    @wraps(init)
    def init_on_any_device(self: nn.Module, module: nn.Module, *args: Any, **kwargs: Any) -> None:
        if _is_on_cpu(module):
            kwargs["device_ids"] = None
            module = _without_sync_batch_norm(module)
        init(self, module, *args, **kwargs)

    return init_on_any_device


def mend_cpu_launch() -> bool:
    """Let MMEngine's launchers and its ``MMDistributedDataParallel`` work without an accelerator.

    With an accelerator both behave as before.

    Returns:
        bool: Whether they were wrapped; ``False`` if they have been before.
    """
    from mmengine.dist import utils as dist_utils
    from mmengine.model import MMDistributedDataParallel

    if hasattr(MMDistributedDataParallel.__init__, "__wrapped__"):
        return False
    for name in LAUNCHERS:
        setattr(dist_utils, name, _with_gloo(getattr(dist_utils, name)))
    MMDistributedDataParallel.__init__ = _on_any_device(MMDistributedDataParallel.__init__)
    return True
