"""Turn a checkpoint that was trained with auxiliary norms (AFA) into one of the stock model.

What is written holds the weights and the meta data, and loads in plain MMSegmentation or
MMPretrain. The optimizer's state is left out: it is that of a model with more parameters.

Example:
    python tools/model_converters/drop_auxiliary_norms.py work_dirs/afa/iter_4000.pth afa.pth
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import torch

from mmseg_robust.engine.hooks.checkpoint_checks import read
from mmseg_robust.errors import InputError
from mmseg_robust.files import check_writable, write_whole
from mmseg_robust.models.auxiliary_norm import without_auxiliary


def drop_auxiliary_norms(source: Path, target: Path) -> int:
    """Write the stock model's part of a checkpoint.

    Args:
        source (Path): The checkpoint, or a ``state_dict`` alone.
        target (Path): The file to write, as a whole or not at all.

    Returns:
        int: Number of tensors that were left out.

    Raises:
        InputError: If the source cannot be read or has no auxiliary norms, or the target cannot be
            written.
    """
    check_writable(target)
    checkpoint = read(str(source))
    state = checkpoint.get("state_dict", checkpoint)
    kept = without_auxiliary(state)
    if len(kept) == len(state):
        raise InputError(f"The checkpoint '{source}' has no auxiliary norms: it can be used as is.")
    content = {"state_dict": kept}
    if "meta" in checkpoint:
        content["meta"] = checkpoint["meta"]
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(target, buffer.getvalue())
    return len(state) - len(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="checkpoint of a run with auxiliary norms")
    parser.add_argument("target", type=Path, help="file to write")
    args = parser.parse_args()
    try:
        count = drop_auxiliary_norms(args.source, args.target)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: without {count} tensors of auxiliary norms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
