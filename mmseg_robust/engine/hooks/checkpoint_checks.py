"""Find out whether a checkpoint belongs to a model before it is loaded.

MMEngine loads what fits and logs the rest: a checkpoint of another architecture then trains or
tests a half random model.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmseg_robust.errors import InputError
from mmseg_robust.models.auxiliary_norm import is_auxiliary

# Shares of a backbone's tensors; both are the project's own choice. A checkpoint that a training
# starts from may hold a few tensors more than the model, such as the norms of stages that the head
# does not use; the next larger model of a family has at least a quarter more.
MAX_EXTRA_SHARE = 0.1
# Pretrained(checkpoint=...) is meant for parts of a model, so that it may lack some.
MIN_PRETRAINED_SHARE = 0.5
# Made to fit by the transformers that load them from another image size or window.
RESIZED = ("position", "pos_embed", "attn_mask")
# Not needed for predictions, often cut from published checkpoints; so are auxiliary norms.
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


def read(path: str) -> Mapping[str, Any]:
    """Read a local checkpoint as MMEngine does.

    Args:
        path (str): The file.

    Returns:
        mapping: What it holds.

    Raises:
        InputError: If it is missing, cut off, no checkpoint, or refused as it could run code.
    """
    check_file(path)
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location="cpu")
    except Exception as error:  # torch raises nearly anything for a file that is no checkpoint
        if "Unsupported global" in str(error):
            found = re.search(r"Unsupported global: (?:GLOBAL )?(\S+)", str(error))
            raise InputError(
                f"The checkpoint '{path}' is refused: besides tensors it names "
                f"{found.group(1) if found else 'other objects'}, and such a file can run code. "
                "If you trust its source, load it with torch.load(..., weights_only=False) and "
                "save its state_dict alone."
            ) from error
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"The checkpoint '{path}' cannot be read: {type(error).__name__}: {reason[:200]} It "
            "may be cut off, or no checkpoint at all."
        ) from error
    stored = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, Mapping) else None
    if not isinstance(stored, Mapping):
        raise InputError(
            f"The checkpoint '{path}' cannot be read: it holds no dict of tensors. Save a "
            "model's state_dict."
        )
    return checkpoint


def find_resumable(work_dir: str) -> tuple[str | None, str]:
    """Find the checkpoint to resume from, also after a crash while one was saved.

    MMEngine writes the file ``last_checkpoint`` last and with the path of the time: it can name a
    file that was deleted since, or that lay in a folder which was moved.

    Args:
        work_dir (str): The folder of the run.

    Returns:
        tuple: The path, None if the run has saved nothing; and a warning, empty if
        ``last_checkpoint`` was right.

    Raises:
        InputError: If ``last_checkpoint`` names no readable file and there is no other.
    """
    pointer, named = os.path.join(work_dir, "last_checkpoint"), None
    if os.path.isfile(pointer):
        with open(pointer) as file:
            named = file.read().strip()
    if named and ("://" in named or os.path.isdir(named)):  # not for us to read
        return named, ""
    moved = os.path.join(work_dir, os.path.basename(named)) if named else ""
    for path in filter(os.path.isfile, (named or "", moved)):
        if _is_readable(path):
            return path, ""
    folder = glob.escape(work_dir)
    saved = glob.glob(f"{folder}/iter_*.pth") + glob.glob(f"{folder}/epoch_*.pth")
    newest_first = sorted(saved, key=_number, reverse=True)
    newest = next(filter(_is_readable, newest_first), None)
    if newest is None and named is not None:
        raise InputError(
            f"'{pointer}' names the checkpoint '{named}', which cannot be read, and there is no "
            f"other iter_*.pth or epoch_*.pth in '{work_dir}'. Give one by --cfg-options "
            "load_from=FILE, or start anew in another work folder."
        )
    if newest is None:
        return None, ""
    what = "is missing" if named is None else f"names '{named}', which cannot be read"
    return newest, f"'{pointer}' {what}: resuming from '{newest}', the newest that can be read."


def _number(path: str) -> int:
    found = re.search(r"_(\d+)\.pth$", path)
    return int(found.group(1)) if found else 0


def _is_readable(path: str) -> bool:
    try:
        read(path)
    except InputError:
        return False
    return True


def compare(model: Mapping[str, torch.Tensor], checkpoint: Mapping[str, Any]) -> Comparison:
    """Compare a checkpoint's tensors with a model's.

    Args:
        model (mapping): The model's ``state_dict``.
        checkpoint (mapping): A loaded checkpoint, or its ``state_dict`` alone.
    """
    loaded = _tensors(checkpoint.get("state_dict", checkpoint))
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
        InputError: If a tensor of the backbone is missing or has another shape, or the checkpoint's
            backbone has many more than the model's.
    """
    fitting, extra = _backbone(result.fitting), _backbone(result.unexpected)
    lacking = _backbone(result.misshaped + result.missing)
    problems = result.describe()
    if not result.fitting or lacking or extra > MAX_EXTRA_SHARE * fitting:
        raise InputError(
            f"The checkpoint '{path}' (load_from) is of another architecture: {fitting} of the "
            f"backbone's {fitting + lacking} tensors fit; {problems}. Give a checkpoint of this "
            "architecture, or load a part of the backbone by model.backbone.init_cfg=dict("
            "type='Pretrained', checkpoint=..., prefix='backbone.'; no prefix for a bare one)."
        )
    if not problems:
        return ""
    return f"Not all of the checkpoint '{path}' (load_from) fits and is loaded: {problems}."


def check_pretrained(module: torch.nn.Module) -> list[str]:
    """Check the local files that a backbone's ``init_cfg`` loads.

    Args:
        module (nn.Module): The backbone, with MMEngine's ``init_cfg``.

    Returns:
        list of str: Warnings that name the tensors that will not be loaded.

    Raises:
        InputError: If a file is missing or unreadable, a tensor has another shape, or less than
            half of the backbone's tensors are there.
    """
    configs = getattr(module, "init_cfg", None) or []
    warnings = []
    for config in [configs] if isinstance(configs, dict) else configs:
        path = config.get("checkpoint")
        if config.get("type") == "Pretrained" and path and "://" not in path:
            warnings.append(_check_pretrained_file(module, path, config.get("prefix")))
    return [warning for warning in warnings if warning]


def _check_pretrained_file(module: torch.nn.Module, path: str, prefix: str | None) -> str:
    checkpoint = read(path)
    stored = checkpoint.get("state_dict", checkpoint)
    if any(kind.__name__ == "SwinTransformer" for kind in type(module).__mro__):
        # Has a loader of its own, for the files of its authors and of classifiers.
        stored = checkpoint.get("model", stored)
        prefix = prefix or ("backbone." if any(n.startswith("backbone.") for n in stored) else None)
    stored = _tensors(stored)
    if prefix:
        prefix = prefix if prefix.endswith(".") else f"{prefix}."
        stored = {n[len(prefix) :]: value for n, value in stored.items() if n.startswith(prefix)}
    result = compare(module.state_dict(), stored)
    result.unexpected = []  # the classifier's head
    count = len(result.fitting) + len(result.misshaped) + len(result.missing)
    wrong = [name for name in result.misshaped if not any(word in name for word in RESIZED)]
    problems = result.describe()
    if wrong or count - len(result.missing) < MIN_PRETRAINED_SHARE * count:
        raise InputError(
            f"The checkpoint '{path}' (backbone.init_cfg, prefix {prefix!r}) is not of a "
            f"{type(module).__name__} like the model's: {len(result.fitting)} of {count} tensors "
            f"fit; {problems}. Give a checkpoint of this architecture, or the right prefix: "
            "'backbone.' for that of a whole model."
        )
    return f"Not all of the backbone is in the checkpoint '{path}': {problems}." if problems else ""


def _tensors(stored: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {
        name[7:] if name.startswith("module.") else name: value
        for name, value in stored.items()
        if isinstance(value, torch.Tensor)
    }


def _is_optional(name: str) -> bool:
    training_only = name.startswith(TRAINING_ONLY) or is_auxiliary(name)
    return training_only or name.endswith("num_batches_tracked")


def _backbone(names: list[str]) -> int:
    return sum(name.startswith("backbone.") for name in names)
