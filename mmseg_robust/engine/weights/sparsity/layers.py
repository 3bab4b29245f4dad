"""Which layers of a model sparse training masks, and the table of their densities."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn
from torch.nn.modules.conv import _ConvNd

from mmseg_robust.engine.weights.selection import Weight, all_weights, select_weights
from mmseg_robust.engine.weights.sparsity.densities import Layer
from mmseg_robust.engine.weights.sparsity.settings import KINDS, Settings
from mmseg_robust.errors import InputError

DEFAULT_EXCLUDE = (r"(^|\.)conv_seg\.", r"^auxiliary_head\.", r"^head\.fc\.")
"""What stays dense if the user says nothing: classifiers, and heads that only training uses."""


def select_layers(model: nn.Module, settings: Settings) -> tuple[list[Weight], list[Layer]]:
    """The weights that sparse training counts.

    Weights of convolutions and linear layers (the projections of ``nn.MultiheadAttention`` too)
    that pass the filters. Depthwise convolutions stay dense: they hold few weights (1 % in a MiT),
    and each of their filters sees one channel alone. ``DEFAULT_EXCLUDE`` holds unless the user
    gives another ``exclude``. Under the uniform distribution the model's first layer is dense, as
    with RigL; the rest is the project's own choice. (ITOP's code masks every weight but biases and
    batch norms, stem and classifier too; read.)

    Args:
        model (nn.Module): The model, not wrapped for distributed training.
        settings (Settings): Of the run.

    Returns:
        tuple: The weights, and the layers that they are.

    Raises:
        InputError: If a filter matches nothing, or nothing is left.
    """
    exclude = settings.exclude
    if exclude is None:
        names = [weight.name for weight in select_weights(model, KINDS)]
        exclude = [p for p in DEFAULT_EXCLUDE if any(re.search(p, name) for name in names)]
    weights = select_weights(model, KINDS, settings.include, exclude)
    weights = [weight for weight in weights if not is_depthwise(weight.module)]
    if not weights:
        raise InputError(
            "sparse training has nothing to mask: the filters leave depthwise convolutions alone, "
            "which stay dense"
        )
    first = next(weight.name for weight in all_weights(model) if weight.kind in KINDS)
    uniform = settings.distribution == "uniform"
    layers = [
        Layer(weight.name, tuple(weight.parameter.shape), uniform and weight.name == first)
        for weight in weights
    ]
    return weights, layers


def is_depthwise(module: nn.Module) -> bool:
    """Whether a module is a convolution in which each output sees one input channel."""
    return isinstance(module, _ConvNd) and 1 < module.groups == module.in_channels


def density_table(layers: Sequence[Layer], counts: Sequence[int]) -> str:
    """Each layer's shape, weights, active weights and density, and those of all.

    Args:
        layers (sequence of Layer): The layers.
        counts (sequence of int): Active weights of each.

    Returns:
        str: Lines of a table in plain text.
    """
    rows: list[tuple[str, ...]] = [("layer", "shape", "weights", "active", "density")]
    for layer, count in zip(layers, counts):
        rows.append(_row(layer.name, "x".join(map(str, layer.shape)), layer.size, count))
    size = sum(layer.size for layer in layers)
    rows.append(_row(f"all {len(layers)} layers", "", size, sum(counts)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )


def _row(name: str, shape: str, size: int, active: int) -> tuple[str, ...]:
    return name, shape, f"{size:,}", f"{active:,}", f"{active / size:.4f}"
