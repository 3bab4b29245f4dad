"""Parameters with equal settings in one group of the optimizer, for steps that launch less.

With ``paramwise_cfg`` MMEngine's ``DefaultOptimWrapperConstructor`` gives every parameter a group
of its own: 177 for SegFormer-B0, 965 for B5. PyTorch's optimizers join the work of a group into a
few kernels, so that with one parameter a group each of them pays for all launches alone. On a card
this may cost more than the forward and backward pass of a small model.
"""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn
from torch.optim import Optimizer


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """As MMEngine's default constructor, with one group for all parameters of equal settings.

    ``optim_wrapper = dict(constructor="MergedOptimWrapperConstructor", ...)``; ``paramwise_cfg`` is
    read as ever. The optimizer takes the same steps to the bit, except that ``clip_grad`` sums the
    norms of the gradients in the order of the groups, which differs by rounding.

    A checkpoint holds the optimizer's groups: training resumes with the constructor that it began
    with, and PyTorch refuses another one (``different number of parameter groups``).
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Builds the optimizer wrapper.

        Args:
            model (nn.Module): The model, or a wrapper with the model as ``module``.

        Returns:
            OptimWrapper: The default constructor's, with merged groups.
        """
        wrapper = super().__call__(model)
        merge_groups(wrapper.optimizer)
        return wrapper


def merge_groups(optimizer: Optimizer) -> None:
    """Joins those groups of an optimizer whose settings are equal, in the order of the first ones.

    Args:
        optimizer (torch.optim.Optimizer): Changed in place. Its state, which belongs to parameters,
            stays.
    """
    merged: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        # A plain dict: MMEngine's are config dicts, on which torch.compile breaks off.
        settings = {name: value for name, value in group.items() if name != "params"}
        for other in merged:
            if settings == {name: value for name, value in other.items() if name != "params"}:
                other["params"].extend(group["params"])
                break
        else:
            merged.append({"params": list(group["params"]), **settings})
    optimizer.param_groups[:] = merged
