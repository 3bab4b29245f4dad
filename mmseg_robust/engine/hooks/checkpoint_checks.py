"""Find out whether a checkpoint belongs to a model before it is loaded.

MMEngine loads what fits and logs the rest: a checkpoint of another architecture then trains or
tests a half random model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mmseg_robust.errors import InputError

# A training starts from a checkpoint if at least this share of the backbone's tensors fits; the
# project's own choice. A larger relative of the same family has under half of them in common.
MIN_BACKBONE_SHARE = 0.5
# Not needed for predictions, often cut from published checkpoints.
TRAINING_ONLY = ("auxiliary_head.",)
NAMED = 4


@dataclass
class Comparison:
    """Names of tensors, by how a checkpoint's fit the model's.

    Args:
        fitting (list of str): In both, with the same shape.
        misshaped (list of str): In both, with different shapes; with the shapes.
        missing (list of str): In the model alone.
        unexpected (list of str): In the checkpoint alone.
    """

    fitting: list[str]
    misshaped: list[str]
    missing: list[str]
    unexpected: list[str]

    def describe(self) -> str:
        """Say in one line what does not fit; empty if all does."""
        groups = {
            "with another shape": self.misshaped,
            "missing in the checkpoint": self.missing,
            "not in the model": self.unexpected,
        }
        return "; ".join(
            f"{len(names)} tensors {what} ({', '.join(names[:NAMED])}"
            f"{', ...' if len(names) > NAMED else ''})"
            for what, names in groups.items()
            if names
        )


def check_file(path: str) -> None:
    """Raise an InputError if a local checkpoint file does not exist.

    Args:
        path (str): A file, or an address such as ``https://...``, which is not checked.
    """
    if "://" not in path and not os.path.isfile(path):
        raise InputError(f"The checkpoint '{path}' does not exist. Give the path of a .pth file.")


def compare(model: Mapping[str, torch.Tensor], checkpoint: Mapping[str, Any]) -> Comparison:
    """Compare a checkpoint's tensors with a model's.

    Args:
        model (mapping): The model's ``state_dict``.
        checkpoint (mapping): A loaded checkpoint, or its ``state_dict`` alone.
    """
    stored = checkpoint.get("state_dict", checkpoint)
    loaded = {
        name[7:] if name.startswith("module.") else name: value
        for name, value in stored.items()
        if isinstance(value, torch.Tensor)
    }
    wanted = {name: value for name, value in model.items() if not _is_optional(name)}
    shared = [name for name in wanted if name in loaded]
    return Comparison(
        fitting=[name for name in shared if wanted[name].shape == loaded[name].shape],
        misshaped=[
            f"{name}: {tuple(loaded[name].shape)} for {tuple(wanted[name].shape)}"
            for name in shared
            if wanted[name].shape != loaded[name].shape
        ],
        missing=[name for name in wanted if name not in loaded],
        unexpected=[name for name in loaded if name not in model and not _is_optional(name)],
    )


def check_whole(result: Comparison, path: str, purpose: str) -> None:
    """Raise an InputError unless checkpoint and model hold the same tensors.

    Args:
        result (Comparison): From :func:`compare`.
        path (str): The checkpoint, to be named.
        purpose (str): ``'test'`` or ``'resume'``, to be named.
    """
    problems = result.describe()
    if problems:
        raise InputError(
            f"The checkpoint '{path}' is of another architecture than the model to {purpose}: "
            f"{problems}. Give the config that it was trained with."
        )


def check_start(result: Comparison, path: str) -> str:
    """Check a checkpoint that a new training starts from.

    A head for other classes is no error: that is fine-tuning.

    Args:
        result (Comparison): From :func:`compare`.
        path (str): The checkpoint, to be named.

    Returns:
        str: A warning that names the tensors that will not be loaded; empty if all are.

    Raises:
        InputError: If less than half of the backbone's tensors fit.
    """
    fitting = _backbone(result.fitting)
    others = _backbone(result.misshaped + result.missing + result.unexpected)
    problems = result.describe()
    if not result.fitting or fitting < MIN_BACKBONE_SHARE * (fitting + others):
        raise InputError(
            f"The checkpoint '{path}' (load_from) is of another architecture: {fitting} of the "
            f"backbone's {fitting + others} tensors fit; {problems}. Give a checkpoint of this "
            "architecture, or load a bare backbone by model.backbone.init_cfg=dict("
            "type='Pretrained', checkpoint=...)."
        )
    if not problems:
        return ""
    return f"Not all of the checkpoint '{path}' (load_from) fits and is loaded: {problems}."


def _is_optional(name: str) -> bool:
    return name.startswith(TRAINING_ONLY) or name.endswith("num_batches_tracked")


def _backbone(names: list[str]) -> int:
    return sum(name.startswith("backbone.") for name in names)
