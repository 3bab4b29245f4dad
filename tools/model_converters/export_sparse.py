"""Write the checkpoint of a sparse training as a stock one, and say how sparse it really is.

The result holds the weights and the meta data alone: masks, optimizer, logs and the second copy of
the weights that EMAHook keeps are left out. Stock MMSegmentation and MMPretrain load it, and torch
reads it without trusting code in it.

Example:
    python tools/model_converters/export_sparse.py work_dirs/mine/iter_160000.pth sparse.pth
"""

from __future__ import annotations

import argparse
import io
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (torch's safe loader learns MMEngine's checkpoints)
import torch
from torch import Tensor

from mmseg_robust.engine.weights.sparsity.densities import Layer
from mmseg_robust.engine.weights.sparsity.layers import density_table
from mmseg_robust.engine.weights.sparsity.stored import StoredMasks
from mmseg_robust.errors import InputError
from mmseg_robust.files import check_writable, write_whole

_NO_PARAMETERS = ("running_mean", "running_var", "num_batches_tracked")


def export(source: Path, target: Path, last: bool = False) -> str:
    """Write the stock checkpoint.

    Args:
        source (Path): A checkpoint of a run with ``DynamicSparseTrainingHook``.
        target (Path): Where to write.
        last (bool): Of a run with ``EMAHook``, the weights of the last iteration in place of their
            average. Default: False.

    Returns:
        str: A table of the densities by layer, and the sparsity of the whole.

    Raises:
        InputError: If the source is no such checkpoint, or the target cannot be written.
    """
    checkpoint = _read(source)
    check_writable(target)
    if target.exists() and source.samefile(target):
        raise InputError(f"{target} is the checkpoint itself: name another file to write")
    stored = StoredMasks.of(checkpoint)
    if stored is None:
        raise InputError(
            f"{source} holds no masks: it is no checkpoint of a run with DynamicSparseTrainingHook"
        )
    weights = _weights(checkpoint, last, source)
    outside = _mask(weights, stored, source)
    buffer = io.BytesIO()
    torch.save(dict(meta=checkpoint.get("meta", {}), state_dict=weights), buffer)
    write_whole(target, buffer.getvalue())
    return _report(weights, stored, outside)


def _read(source: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(source, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{source} cannot be read as a checkpoint: {error}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise InputError(f"{source} is no checkpoint of MMEngine: it has no state_dict")
    return checkpoint


def _weights(checkpoint: dict[str, Any], last: bool, source: Path) -> dict[str, Tensor]:
    """EMAHook stores the average as ``state_dict`` and the last weights as ``ema_state_dict``."""
    weights = dict(checkpoint["state_dict"])
    if last:
        if "ema_state_dict" not in checkpoint:
            raise InputError(f"--last: {source} holds no averages, so leave it out")
        prefix = "module."
        other = checkpoint["ema_state_dict"].items()
        weights.update((k[len(prefix) :], v) for k, v in other if k.startswith(prefix))
    return weights


def _mask(weights: dict[str, Tensor], stored: StoredMasks, source: Path) -> int:
    """Make inactive weights 0, and count those that were not."""
    outside = 0
    for name, mask in stored.masks.items():
        if name not in weights or weights[name].shape != mask.shape:
            raise InputError(f"{source} is broken: the mask of {name} fits none of its weights")
        outside += int(weights[name][~mask].count_nonzero())
        weights[name] = weights[name] * mask
    return outside


def _report(weights: dict[str, Tensor], stored: StoredMasks, outside: int) -> str:
    layers = [Layer(name, tuple(shape)) for name, shape in stored.layers.items()]
    table = density_table(layers, [int(weights[layer.name].count_nonzero()) for layer in layers])
    parameters = [
        value
        for name, value in weights.items()
        if value.is_floating_point() and not name.endswith(_NO_PARAMETERS)
    ]
    size = sum(value.numel() for value in parameters)
    zeros = size - sum(int(value.count_nonzero()) for value in parameters)
    lines = [
        table,
        f"asked for: sparsity {stored.settings['sparsity']} by {stored.settings['method']}, after "
        f"{stored.updates:,} updates",
        f"whole model: {zeros:,} of {size:,} parameters are 0, sparsity {zeros / size:.4f}",
    ]
    if outside:
        lines.append(f"{outside:,} weights outside the masks were not 0; they are now")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="checkpoint of a sparse training")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument(
        "--last",
        action="store_true",
        help="of a run with EMAHook: the weights of the last iteration, not their average",
    )
    args = parser.parse_args(arguments)
    try:
        print(export(args.source, args.target, args.last))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
