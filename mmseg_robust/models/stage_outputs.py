"""Where each backbone family puts the outputs of its encoder stages, and in which layout.

A *stage output* is the tensor that leaves an encoder stage before anything else reads it: both the
next stage and the decode head see what is done to it. The table below names, for each family, the
module whose output that tensor is. It was read off the ``forward`` methods of MMSegmentation 1.2.2
and MMPretrain 1.2.0; no upstream code is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Union

import torch.nn as nn

from mmseg_robust.errors import InputError

LAYOUTS = ("NCHW", "NLC", "NHWC")

ModuleSpec = Union[str, dict]


@dataclass(frozen=True)
class StageOutput:
    """One encoder stage's output.

    Attributes:
        path (str): Dotted path of the module whose output it is, relative to the searched module.
        module (nn.Module): That module.
        layout (str, optional): ``'NCHW'``, ``'NLC'`` or ``'NHWC'``; None to tell it from the
            tensor: four dimensions are NCHW, three are NLC.
    """

    path: str
    module: nn.Module
    layout: str | None = None


def _mix_transformer(backbone: Any) -> list[tuple[str, str]]:
    # layers[i] = [patch embedding, blocks, norm]; the norm's output goes to the head and onwards.
    return [(f"layers.{i}.2", "NLC") for i in range(len(backbone.layers))]


def _swin(backbone: Any) -> list[tuple[str, str]]:
    # A stage returns its output already merged for the next stage as well; the last block's output
    # is what both the merging and the head's norm read. It is not normalised.
    return [
        (f"stages.{i}.blocks.{len(stage.blocks) - 1}", "NLC")
        for i, stage in enumerate(backbone.stages)
    ]


def _twins(backbone: Any) -> list[tuple[str, str]]:
    if backbone.norm_after_stage:
        return [(f"norm_list.{i}", "NLC") for i in range(len(backbone.layers))]
    # The position encoding follows the first block, so in a stage of one block it comes last.
    return [
        (f"layers.{i}.{len(blocks) - 1}" if len(blocks) > 1 else f"position_encodings.{i}", "NLC")
        for i, blocks in enumerate(backbone.layers)
    ]


def _resnet(backbone: Any) -> list[tuple[str, str]]:
    return [(name, "NCHW") for name in backbone.res_layers]


def _convnext(backbone: Any) -> list[tuple[str, str]]:
    return [(f"stages.{i}", "NCHW") for i in range(len(backbone.stages))]


# Looked up by class name along the MRO, so that neither package needs to be imported here and
# subclasses (ResNetV1c, ResNeXt, SVT) are known through their parents.
FAMILIES: dict[str, Callable[[Any], list[tuple[str, str]]]] = {
    "MixVisionTransformer": _mix_transformer,
    "SwinTransformer": _swin,
    "PCPVT": _twins,
    "SVT": _twins,
    "ResNet": _resnet,
    "ConvNeXt": _convnext,
}


def _known_family(module: nn.Module) -> Callable[[Any], list[tuple[str, str]]] | None:
    for cls in type(module).__mro__:
        if cls.__name__ in FAMILIES and cls is not nn.Module:
            return FAMILIES[cls.__name__]
    return None


def find_backbone(model: nn.Module) -> nn.Module:
    """The encoder of a model: ``model.backbone``, or the model itself if it is a backbone.

    Args:
        model (nn.Module): A segmentor, a classifier or a backbone.

    Returns:
        nn.Module: The backbone.
    """
    backbone = getattr(model, "backbone", None)
    return backbone if isinstance(backbone, nn.Module) else model


def find_stage_outputs(
    model: nn.Module,
    stages: Sequence[int] | None = None,
    modules: Sequence[ModuleSpec] | None = None,
) -> list[StageOutput]:
    """Find the modules whose outputs are the stage outputs of a model.

    Args:
        model (nn.Module): A model with a ``backbone``, or a backbone.
        stages (sequence of int, optional): Indexes of the stages to return, from 0. Default: all.
        modules (sequence of str or dict, optional): For a backbone that is not known: the dotted
            paths of the modules in ``model`` whose outputs are the stages' outputs, first stage
            first, as ``model.named_modules()`` gives them. A dict
            ``dict(path='backbone.stage1', layout='NHWC')`` also says the layout; without it four
            dimensions are taken as NCHW and three as NLC.

    Returns:
        list[StageOutput]: One entry a selected stage, in the order of ``stages``.

    Raises:
        InputError: If the backbone is unknown and no modules are named, a named module does not
            exist, a layout is unknown, or a stage index is out of range or given twice.
    """
    found = _named_outputs(model, modules) if modules is not None else _family_outputs(model)
    if stages is None:
        return found
    _check_stages(stages, len(found))
    return [found[i] for i in stages]


def _family_outputs(model: nn.Module) -> list[StageOutput]:
    backbone = find_backbone(model)
    family = _known_family(backbone)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise InputError(
            f"The stage outputs of the backbone {type(backbone).__name__} are not known. Known: "
            f"{known}. For any other, name the modules whose outputs are the stage outputs, as in "
            "modules=['backbone.stage1', 'backbone.stage2'] (paths as in model.named_modules(); "
            f"this backbone has: {_children(backbone)})."
        )
    prefix = "backbone." if backbone is not model else ""
    outputs = [
        StageOutput(prefix + path, backbone.get_submodule(path), layout)
        for path, layout in family(backbone)
    ]
    if not outputs:
        raise InputError(f"The backbone {type(backbone).__name__} has no stages.")
    return outputs


def _named_outputs(model: nn.Module, modules: Sequence[ModuleSpec]) -> list[StageOutput]:
    if isinstance(modules, (str, dict)) or not modules:
        raise InputError(f"modules must be a list of at least one module path, but is {modules!r}.")
    by_path = dict(model.named_modules())
    outputs = []
    for spec in modules:
        path, layout = (
            (spec.get("path"), spec.get("layout")) if isinstance(spec, dict) else (spec, None)
        )
        if layout is not None and layout not in LAYOUTS:
            raise InputError(f"layout {layout!r} of module {path!r} is not one of {LAYOUTS}.")
        if not isinstance(path, str) or path not in by_path or path == "":
            close = get_close_matches(str(path), list(by_path), n=3, cutoff=0.4)
            hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
            raise InputError(
                f"The model has no module {path!r}.{hint} Paths are those of model.named_modules()."
            )
        outputs.append(StageOutput(path, by_path[path], layout))
    return outputs


def _check_stages(stages: Sequence[int], count: int) -> None:
    valid = isinstance(stages, Sequence) and not isinstance(stages, str) and len(stages) > 0
    if not valid or any(isinstance(i, bool) or not isinstance(i, int) for i in stages):
        raise InputError(f"stages must be a list of stage indexes, but is {stages!r}.")
    for i in stages:
        if not 0 <= i < count:
            raise InputError(
                f"Stage index {i} is out of range: the backbone has {count} stages, 0 to "
                f"{count - 1}."
            )
    if len(set(stages)) != len(stages):
        raise InputError(f"stages names a stage twice: {list(stages)}.")


def _children(module: nn.Module) -> str:
    names = [name for name, _ in module.named_children()]
    return (
        ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") if names else "no submodules"
    )
