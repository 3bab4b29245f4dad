"""What decides the numbers of a robustness run, for the store of its results."""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

import mmseg_robust
from mmseg_robust.corruptions import Protocol


def run_identity(
    model: nn.Module, cfg: Config, protocol: Protocol, paths: Sequence[str], **settings: Any
) -> dict[str, Any]:
    """What decides the numbers of a run.

    Args:
        model (nn.Module): The model as it is tested, with the averaged weights if a hook put them
            in.
        cfg (Config): Config of the run.
        protocol (Protocol): The protocol.
        paths (Sequence[str]): Files of the images, in their order.
        **settings (Any): What else decides, as JSON can hold it.

    Returns:
        dict[str, Any]: As JSON can hold it.
    """
    device = model_device(model)
    tested = {
        key: cfg.get(key) for key in ("model", "tta_model", "test_dataloader", "test_evaluator")
    }
    # How the data is loaded decides nothing.
    dataset = (tested.pop("test_dataloader") or {}).get("dataset")
    names = "\n".join(os.path.basename(path) for path in paths)
    return {
        "protocol": f"{protocol.name} version {protocol.version}",
        "weights": weights_digest(model),
        "config": _digest(f"{tested}{dataset}".encode()),
        "images": f"{len(paths)}, {_digest(names.encode())}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cudnn": "deterministic, by rule",  # see algorithms_by_rule
        "tf32": [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32],
        "torch": torch.__version__,
        "mmseg_robust": mmseg_robust.__version__,
        **settings,
    }


def model_device(model: nn.Module) -> torch.device:
    """Where a model is.

    Args:
        model (nn.Module): A model with parameters or buffers.

    Returns:
        torch.device: The device of the first of them.
    """
    return next(iter(model.state_dict().values())).device


def default_folder(work_dir: str, protocol: Protocol, identity: dict[str, Any]) -> str:
    """Folder of a run's results that no other run shares.

    Args:
        work_dir (str): Work folder of the run.
        protocol (Protocol): The protocol.
        identity (dict[str, Any]): See :func:`run_identity`.

    Returns:
        str: A folder, which need not exist.
    """
    text = json.dumps(identity, sort_keys=True)
    return os.path.join(work_dir, "robustness", f"{protocol.name}-{_digest(text.encode())}")


def weights_digest(model: nn.Module) -> str:
    """Check sum of a model's parameters and buffers.

    Args:
        model (nn.Module): Any model.

    Returns:
        str: SHA-256 over names and values.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous().reshape(-1)
            digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
