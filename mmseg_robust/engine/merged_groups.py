"""Parameters with equal settings in one group of the optimizer, for steps that launch less.

With ``paramwise_cfg`` MMEngine's ``DefaultOptimWrapperConstructor`` gives every parameter a group
of its own: 177 for SegFormer-B0, 965 for B5. PyTorch's optimizers join the work of a group into a
few kernels, so that with one parameter a group each of them pays for all launches alone: a third of
SegFormer-B0's training step on an H200 (``docs/fused_attention.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """As MMEngine's default constructor, with one group for all parameters of equal settings.

    ``optim_wrapper = dict(constructor="MergedOptimWrapperConstructor", ...)``; ``paramwise_cfg`` is
    read as ever. The optimizer takes the same steps to the bit, except that ``clip_grad`` sums the
    norms of the gradients in the order of the groups, which differs by rounding.

    A checkpoint holds the optimizer's groups: training resumes with the constructor that it began
    with, and PyTorch refuses another one (``different number of parameter groups``).
    """

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Adds all parameters of a module to a list of groups, those of equal settings to one.

        Args:
            params (list[dict]): The groups, changed in place.
            module (nn.Module): The module; its children call this method again.
            prefix (str): Path of the module in the model; empty for the model itself.
            is_dcn_module (int or float, optional): As MMEngine has it.
        """
        super().add_params(params, module, prefix, is_dcn_module)
        if not prefix:
            params[:] = merged(params)


def merged(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Joins groups whose settings are equal, in the order of the first ones.

    Args:
        groups (sequence of mapping): Each with ``params``, a list, and its settings.

    Returns:
        list[dict]: New groups with all parameters.
    """
    made: list[dict[str, Any]] = []
    for group in groups:
        settings = {name: value for name, value in group.items() if name != "params"}
        for other in made:
            if settings == {name: value for name, value in other.items() if name != "params"}:
                other["params"].extend(group["params"])
                break
        else:
            made.append({"params": list(group["params"]), **settings})
    return made
