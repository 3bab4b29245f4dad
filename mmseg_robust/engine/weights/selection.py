"""Which parameters of a model are weights, by the type of the module that owns them.

A rule on names or on the number of dimensions would take Swin's tables of relative positions,
position embeddings and layer scales for weights; the type of the owner does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from mmseg_robust.errors import InputError

KINDS = ("conv", "linear", "norm")
_NORMS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm)
# The projections of queries, keys and values are bare parameters of the attention module.
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


@dataclass(frozen=True)
class Weight:
    """A weight and where it is.

    Args:
        name (str): Its name in the model, as in ``named_parameters``.
        parameter (nn.Parameter): The weight itself.
        module (nn.Module): The module that owns it.
        kind (str): ``"conv"``, ``"linear"`` (the projections of ``nn.MultiheadAttention`` are
            linear layers too) or ``"norm"``.
    """

    name: str
    parameter: nn.Parameter
    module: nn.Module
    kind: str


def all_weights(model: nn.Module) -> Iterator[Weight]:
    """Every weight of convolutions, linear layers and norms, trainable or not, once each.

    Biases, position embeddings, tables, class tokens and layer scales are none.

    Args:
        model (nn.Module): The model, not wrapped for distributed training.

    Yields:
        Weight: In the order of ``named_modules``.
    """
    seen: set[nn.Parameter] = set()
    for path, module in model.named_modules():
        for name, kind in _own_weights(module):
            parameter = getattr(module, name, None)
            if parameter is not None and parameter not in seen:
                seen.add(parameter)
                yield Weight(f"{path}.{name}" if path else name, parameter, module, kind)


def select_weights(
    model: nn.Module,
    kinds: Sequence[str] = KINDS,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> list[Weight]:
    """The trainable weights of some kinds whose names pass two filters.

    Args:
        model (nn.Module): The model, not wrapped for distributed training.
        kinds (sequence of str): Of ``"conv"``, ``"linear"``, ``"norm"``.
        include (sequence of str): Regular expressions; a weight stays if one is found in its name.
            Empty: all stay.
        exclude (sequence of str): Regular expressions; a weight goes if one is found in its name.

    Returns:
        list[Weight]: At least one.

    Raises:
        InputError: If a kind is unknown, an expression is none or matches no weight, or nothing is
            left.
    """
    check_filters(kinds, include, exclude)
    weights = [w for w in all_weights(model) if w.kind in kinds and w.parameter.requires_grad]
    for option, patterns in (("include", include), ("exclude", exclude)):
        for pattern in patterns:
            if not any(re.search(pattern, weight.name) for weight in weights):
                raise InputError(
                    f"{option}={pattern!r} matches no trainable weight of kind "
                    f"{', '.join(kinds)}; there are: {_examples(weights)}"
                )
    left = [
        weight
        for weight in weights
        if (not include or any(re.search(pattern, weight.name) for pattern in include))
        and not any(re.search(pattern, weight.name) for pattern in exclude)
    ]
    if not left:
        raise InputError(
            f"kinds={tuple(kinds)}, include={tuple(include)} and exclude={tuple(exclude)} leave no "
            f"trainable weight of {type(model).__name__}; there are: {_examples(weights)}"
        )
    return left


def check_filters(kinds: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> None:
    """Check what can be checked without a model.

    Raises:
        InputError: If a kind is unknown or a filter is no list of regular expressions.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or isinstance(kinds, str) or not kinds:
        raise InputError(f"kinds={kinds!r} must be a list of one or more of {', '.join(KINDS)}")
    for option, patterns in (("include", include), ("exclude", exclude)):
        if isinstance(patterns, str):
            raise InputError(f"{option}={patterns!r} must be a list of regular expressions")
        for pattern in patterns:
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                message = f"{option}: {pattern!r} is no regular expression: {error}"
                raise InputError(message) from None


def _own_weights(module: nn.Module) -> list[tuple[str, str]]:
    """Names and kinds of the weights that a module itself holds."""
    if isinstance(module, _ConvNd):
        return [("weight", "conv")]
    if isinstance(module, nn.Linear):
        return [("weight", "linear")]
    if isinstance(module, nn.MultiheadAttention):
        return [(name, "linear") for name in _ATTENTION]
    if isinstance(module, _NORMS):
        return [("weight", "norm")]
    return []


def _examples(weights: Sequence[Weight]) -> str:
    names = [weight.name for weight in weights]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) or "none") + more
