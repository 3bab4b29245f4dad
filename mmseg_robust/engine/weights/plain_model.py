"""The model that a run trains, without the wrapper of distributed training."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmseg_robust.errors import InputError


def plain_model(runner: Runner, method: str) -> nn.Module:
    """The model that a runner trains, if a weight method can act on it.

    Args:
        runner (Runner): The runner, with its optimizer wrapper built.
        method (str): Name of the weight method's hook, for the error.

    Returns:
        nn.Module: The model, out of its wrapper; its parameters are those that the optimizer has.

    Raises:
        InputError: If the model is sharded, or trained by several optimizers.
    """
    if isinstance(runner.optim_wrapper, OptimWrapperDict):
        raise InputError(
            f"{method} acts around the one backward pass of a training step, but the optim_wrapper "
            "is an OptimWrapperDict, whose model makes a backward pass for each of its optimizers. "
            "Use one optimizer (paramwise_cfg gives parameters settings of their own)."
        )
    model = runner.model
    if isinstance(model, DistributedDataParallel):
        return model.module
    if is_model_wrapper(model):
        raise InputError(
            f"{method} needs whole weights on each GPU, but the model is wrapped in "
            f"{type(model).__name__}, which shards them. Use MMDistributedDataParallel (leave out "
            "model_wrapper_cfg)."
        )
    return model
